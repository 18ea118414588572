"""Starts the command line as a program, in a directory of its own, and drives it and its jobs by signals and FIFOs."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import attrs

from tests.cli.fork_server import ForkServer, can_run

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60
"""Seconds after which a program counts as hanging."""


@attrs.frozen
class Done:
    """A program that has ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a program: this package in its path, and nothing about this terminal."""
    gone = {"JOB_RUNTIME_BACKEND", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "GITHUB_STEP_SUMMARY"}
    inherited = {name: value for name, value in os.environ.items() if name not in gone}
    return {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "runtime", *arguments]


def reset_signals() -> None:
    """In a child: reset signals to their defaults, which is not how tests in the background inherit them."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(
    directory: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    words: Sequence[str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start the command line, or the command `words`, in `directory` and in a session of its own."""
    return subprocess.Popen(
        command(*arguments) if words is None else words,
        cwd=directory,
        env=environment(**(env or {})),
        text=True,
        start_new_session=True,
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "preexec_fn": reset_signals,
            **options,
        },
    )


def call(
    directory: Path,
    *arguments: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    module: str = "runtime",
    program: str | None = None,
) -> Done:
    """Run the command line, a module that calls it, or another program in Python, in `directory` to its end."""
    whole = environment(**(env or {}))
    with TemporaryFile() as inward, TemporaryFile() as outward, TemporaryFile() as errors:
        streams = inward, outward, errors
        inward.write((stdin or "").encode(errors="surrogateescape"))
        inward.seek(0)
        if program is None and can_run(whole):
            code = _fork_server().run(module, arguments, directory, whole, streams, LIMIT)
        else:
            words = [sys.executable, *(["-m", module] if program is None else [program]), *arguments]
            code = subprocess.run(
                words, cwd=directory, env=whole, timeout=LIMIT, check=False, stdin=inward, stdout=outward, stderr=errors
            ).returncode
        for stream in (outward, errors):
            stream.seek(0)
        return Done(code, *(stream.read().decode(errors="surrogateescape") for stream in (outward, errors)))


_SERVERS: list[ForkServer] = []
"""Of this process; the last one is in use."""


def _fork_server() -> ForkServer:
    if not _SERVERS or _SERVERS[-1].is_broken:
        _SERVERS.append(ForkServer())
    return _SERVERS[-1]


@contextmanager
def started(directory: Path, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the command line for a block, and end it with the block."""
    program = start(directory, *arguments, **options)
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()
        program.wait(LIMIT)
        for stream in (program.stdout, program.stderr, program.stdin):
            if stream is not None:
                stream.close()


def end_of(program: subprocess.Popen[str]) -> Done:
    out, err = program.communicate(timeout=LIMIT)
    return Done(program.returncode, out or "", err or "")


def wait_for(stream: IO[str] | None, text: str) -> str:
    """Read lines until one has `text`; return all of them."""
    assert stream is not None
    read = ""
    for line in stream:
        read += line
        if text in line:
            return read
    raise AssertionError(f"no {text!r} in:\n{read}")


def insist(program: subprocess.Popen[str], number: int, text: str | None = None) -> str:
    """Send a signal until it counts as a new request: until the program prints `text`, or has ended.

    Return its output meanwhile.
    """
    assert program.stdout is not None
    output = ""
    while program.poll() is None and (text is None or text not in output):
        program.send_signal(number)
        if select.select([program.stdout], [], [], 0.05)[0]:
            output += os.read(program.stdout.fileno(), 1000).decode()
    assert (text or "") in output
    return output


def results(directory: Path) -> dict[str, Any]:
    """Return ``results.json`` of the last run."""
    document: dict[str, Any] = json.loads((directory / "results" / "latest" / "results.json").read_bytes())
    return document


def statuses(directory: Path) -> dict[str, str]:
    return {job["id"]: job["status"] for job in results(directory)["jobs"]}


def links(directory: Path) -> dict[str, list[str]]:
    """Return the links of the last run by folder; none may be broken."""
    found = {}
    for folder in ("running", "passed", "failed", "killed"):
        entries = sorted((directory / "results" / "latest" / folder).iterdir())
        assert all(entry.is_symlink() and entry.is_dir() for entry in entries)
        found[folder] = [entry.name for entry in entries]
    return {folder: names for folder, names in found.items() if names}


class Fifo:
    """A FIFO on which a test waits for a line of a job, or a job for a line of the test.

    Both ends are open as long as this object exists, so that opening it never blocks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def hear(self) -> str:
        """Wait for a line of a job, and return it."""
        ready, _, _ = select.select([self._descriptor], [], [], LIMIT)
        assert ready, f"no job has written to {self.path.name}"
        return os.read(self._descriptor, 1000).decode().strip()

    def say(self) -> None:
        """Write a line, for a job that reads now or later."""
        os.write(self._descriptor, b"go\n")


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return not re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return False


def job_file(directory: Path, jobs: Mapping[str, Any], **rest: Any) -> str:
    """Write a job file; return its name."""
    (directory / "jobs.json").write_text(json.dumps({"jobs": jobs, **rest}))
    return "jobs.json"
