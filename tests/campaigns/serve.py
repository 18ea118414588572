"""Hostile requests to a server of runs: paths, headers, sizes, slow clients. Is anything else shown, or lost?"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from runtime.job import FailureKind, JobSpec
from tests.campaigns import Campaign
from tests.cli.past_run import NAME, held, write_journal, write_run
from tests.cli.program import LIMIT, end_of, started
from tests.report.results import result
from tests.report.states import records

SECRET: Final = "SECRET-7f3a"
"""What is in files that must not be shown."""
LIVE, HOSTILE = "20260203-040506-abcdef", "hostile"
MOST_MEMORY: Final = 64 << 20
"""Bytes by which the server may grow at its peak. A request has at most some 20 kB, and a connection a snapshot; there
are 256 of them. Ten times less would be in the noise of the allocator."""
_HELD: Final = 300
"""Clients at a time that send nothing more, or read nothing: more than there may be connections."""
_MOST_READ: Final = 4 << 20

FRAGMENTS = (
    *("..", ".", "", "%2e%2e", "%2E.", "..%2f", "%2f", "%5c..", "..\\", "%252e%252e", "%00", "%ff%fe", "\x7f", ";a=b"),
    *(
        "runs",
        "jobs",
        "history",
        "static",
        "events",
        "latest",
        NAME,
        LIVE,
        HOSTILE,
        "0",
        "1",
        "-1",
        "99999999999999999999",
    ),
    *("journal.jsonl", "secret", "etc", "passwd", "proc", "self", "environ", "app.py", "page.css", "~", "C:", "con"),
)
HOSTS = (
    *("localhost", "127.0.0.1", "[::1]:80", "evil.example", "", "localhost:0", "a" * 300, "127.0.0.1\t", "[", "::"),
    *("localhost, evil.example", "\xff", "0", "localhost#", "user@localhost"),
)
METHODS = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "A" * 100)
HEADERS = (
    *("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13", "Upgrade: h2c"),
    *("Connection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Expect: 100-continue"),
    *("Content-Length: 99999999999999999999", "Content-Length: 5", "Content-Length: -1", "Transfer-Encoding: chunked"),
    *("Transfer-Encoding: gzip, chunked", "Range: bytes=0-,0-,0-", "Cookie: a=b; =; \x01", "Authorization: Bearer x"),
    *("X-Forwarded-Host: evil.example", "X-Original-URL: /etc/passwd", "Accept-Encoding: gzip;q=\xff", "Bad Name: x"),
    *(" folded: x", "A:" + "x" * 20_000, "\r\n".join(f"h{number}: x" for number in range(500)), "Origin: null"),
    *("Last-Event-ID: " + "9" * 5000, "If-None-Match: *", "\0: \0"),
)


class Attack:
    """A client that does what a server does not expect.

    Args:
        port: of the server.
        chance: decides what is done.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self._chance = chance
        self._held: list[socket.socket] = []
        self._kinds: tuple[Callable[[], bytes], ...] = (
            *3 * (self._path,),
            *3 * (self._headers,),
            self._size,
            self._query,
            self._noise,
            self._ahead,
        )

    def send(self) -> bytes:
        """Make one attack; return what the server has answered, as far as it was read."""
        chance = self._chance
        content = chance.choice(self._kinds)()
        client = socket.create_connection(("127.0.0.1", self._port), timeout=LIMIT)
        how = chance.random()
        try:
            with suppress(ConnectionError):  # it may have seen enough
                if how < 0.2:  # a slow client
                    client.sendall(content[: chance.randrange(1, len(content) + 1)])
                    self._hold(client)
                    return b""
                client.sendall(content)
                if how < 0.3:  # one that does not read
                    self._hold(client)
                    return b""
                if how < 0.4:  # one that is gone: its end is no orderly one
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return b""
                with suppress(OSError):  # which is another error than those of a connection
                    client.shutdown(socket.SHUT_WR)
            return read(client)
        finally:
            if client not in self._held:
                client.close()

    def close(self) -> None:
        """End all clients that are left."""
        for client in self._held:
            client.close()
        self._held.clear()

    def _hold(self, client: socket.socket) -> None:
        if len(self._held) == _HELD:
            self._held.pop(self._chance.randrange(_HELD)).close()
        self._held.append(client)

    def _target(self) -> str:
        parts = self._chance.choices(FRAGMENTS, k=self._chance.randrange(1, 9))
        return self._chance.choice(("/", "//", "", "/runs/", "/static/")) + "/".join(parts)

    def _request(self, target: str, *headers: str, method: str = "GET", host: str = "localhost") -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _path(self) -> bytes:
        return self._request(self._target())

    def _headers(self) -> bytes:
        chance = self._chance
        headers = chance.sample(HEADERS, k=chance.randrange(4))
        target = chance.choice(("/", f"/runs/{LIVE}/events", f"/runs/{NAME}/jobs/0", self._target()))
        return self._request(target, *headers, method=chance.choice(METHODS), host=chance.choice(HOSTS))

    def _size(self) -> bytes:
        size = self._chance.choice((100, 16_000, 17_000, 1_000_000))
        return self._chance.choice(
            (
                self._request("/" + "a" * size),
                self._request("/?" + "a=b&" * (size // 4)),
                self._request("/", "X: " + "x" * size),
                self._request("/", f"Content-Length: {size}") + bytes(size),
                b"GET / HTTP/1.1\r\n" + b"\r\n" * size,
                b"\r\n" * size,
            )
        )

    def _query(self) -> bytes:
        chance = self._chance
        texts = (
            "a",
            "%00",
            "%ff",
            "<script>",
            "'",
            "9" * 5000,
            "-1",
            "1e9",
            "line",
            "x" * 5000,
            "%F0%9F%92%A9",
            "[",
            ".*",
        )
        fields = [
            f"{chance.choice(('q', 'status', 'from', 'lines', 'token'))}={chance.choice(texts)}" for _ in range(4)
        ]
        run = chance.choice((NAME, LIVE, HOSTILE))
        target = chance.choice((f"/runs/{run}/jobs", f"/runs/{run}/jobs/0", f"/runs/{run}/jobs/1", "/history"))
        return self._request(f"{target}?job={chance.choice(texts)}&{'&'.join(fields)}")

    def _noise(self) -> bytes:
        return self._chance.choice(
            (
                self._chance.randbytes(2000),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
                b"GET / HTTP/0.9\r\n\r\n",
                b"GET /\r\n",
                b"GET / HTTP/1.1\nHost: localhost\n\n",
                b"\0" * 100_000,
            )
        )

    def _ahead(self) -> bytes:
        return b"".join(self._path() for _ in range(self._chance.randrange(2, 200)))


def read(client: socket.socket) -> bytes:
    """Return what comes until the other side ends, or enough of it."""
    client.settimeout(1)  # of a stream of events no more is expected
    found = b""
    with suppress(OSError):
        while len(found) < _MOST_READ and (data := client.recv(1 << 16)):
            found += data
            if b"event: message" in found:
                break
    return found


def make_runs(root: Path) -> Path:
    """Make runs with a file beside them that must not be shown; return their directory."""
    out = root / "results"
    (root / "secret").write_text(SECRET)
    (root / "app.py").write_text(SECRET)
    jobs = [result("good", run_dir=out / NAME), result("bad", FailureKind.EXIT_CODE, "exit 7", run_dir=out / NAME)]
    for name in (NAME, LIVE):
        write_run(out, jobs, name=name, ended=5.0 if name == NAME else None)
    for name in ("good", "bad"):
        (out / NAME / name).mkdir()
        (out / NAME / name / "job.log").write_text("a line of the log\n" * 10_000)
    (out / "secret").write_text(SECRET)
    (out / NAME / "secret").write_text(SECRET)
    (out / "link").symlink_to(root)
    hostile = out / HOSTILE
    specs = [JobSpec(name=str(path), cmd="true", log_path=str(path)) for path in (root / "secret", hostile / "link")]
    write_journal(hostile, records([], hostile, ended=None, more=specs))
    (hostile / "link").symlink_to(root / "secret")
    return out


def memory(pid: int, what: str) -> int:
    """Return a figure about the memory of a process, in bytes."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def check(answer: bytes, sent: int) -> None:
    """Raise if an answer shows what it must not."""
    for word in (SECRET.encode(), b"Traceback", b"root:x:", b"site-packages"):
        assert word not in answer, f"answer {sent} has {word!r}: {answer[:300]!r}"
    assert not answer or answer.startswith(b"HTTP/1.1 "), f"answer {sent} is {answer[:100]!r}"
    assert b"HTTP/1.1 500 " not in answer, f"answer {sent}: {answer[:300]!r}"


def is_served(port: int) -> bool:
    """Whether an ordinary client is served."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        found = b""
        while data := client.recv(1 << 16):
            found += data
    return found.startswith(b"HTTP/1.1 200 ") and NAME.encode() in found


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def attack(program: subprocess.Popen[str], chance: random.Random, count: int) -> str:
    """Attack a server; return what was seen."""
    assert program.stdout is not None
    found = re.match(r"http://127.0.0.1:(\d+)/ ", program.stdout.readline())
    assert found
    port, descriptors = int(found[1]), Path(f"/proc/{program.pid}/fd")
    assert is_served(port)
    for run in (NAME, LIVE, HOSTILE):
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
            client.sendall(f"GET /runs/{run}/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    before, opened, answered = memory(program.pid, "VmRSS"), len(os.listdir(descriptors)), 0
    client_ = Attack(port, chance)
    try:
        for sent in range(count):
            answer = client_.send()
            check(answer, sent)
            answered += bool(answer)
            if sent % 100 == 99:  # also while hundreds of clients hold connections
                assert is_served(port)
    finally:
        client_.close()
    assert is_served(port)
    wait_until(lambda: len(os.listdir(descriptors)) <= opened, "connections stay open")
    growth = memory(program.pid, "VmHWM") - before
    assert growth <= MOST_MEMORY, f"{growth >> 20} MB more"
    return f"{count} attacks, {answered} with an answer, {growth >> 20} MB more at the peak"


def run(seed: int, count: int) -> str:
    """Raise if a server shows what it must not, has a bug, writes anything, or does not serve others any longer."""
    with tempfile.TemporaryDirectory(prefix="serve-") as name, ExitStack() as stack:
        root = Path(name)
        out = make_runs(root)
        stack.enter_context(held(out / LIVE))
        files = sorted((path, path.lstat().st_mtime_ns) for path in out.rglob("*"))
        program = stack.enter_context(started(root, "serve", "--port", "0"))
        try:
            seen = attack(program, random.Random(seed), count)
        finally:
            program.send_signal(signal.SIGINT)
            end = end_of(program)
            sys.stdout.write(end.err.removesuffix("job-runtime: interrupted\n"))
        assert (end.code, end.err) == (130, "job-runtime: interrupted\n"), end
        assert sorted((path, path.lstat().st_mtime_ns) for path in out.rglob("*")) == files
    return seen


CAMPAIGN = Campaign("serve", "does a server of runs survive hostile requests, and show nothing else?", 2000, run)
