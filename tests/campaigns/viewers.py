"""Runs with and without viewers, in pairs. Does a run that is looked at use more CPU time?"""

from __future__ import annotations

import math
import os
import random
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from tests.campaigns import Campaign
from tests.cli.program import job_file, start, started

JOBS: Final = 20_000
VIEWERS: Final = 50
HALF_WIDTH: Final = 0.03
"""How wide the interval may be on either side, as a share of the CPU time."""
PAIRS: Final = 10
"""Pairs from which on a judgement is made."""
_T: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for 95 %, by the number of pairs."""
_T_MANY: Final = 2.262
"""For more pairs: a little too wide."""


def cpu_time(run: subprocess.Popen[str]) -> float:
    """Wait for the end of a run; return the CPU time of its process, in seconds, without that of its children."""
    os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
    fields = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()
    assert run.wait() == 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def begun(directory: Path, jobs: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a run; return it, and its name."""
    name = job_file(directory, {"job": {"cmd": "true", "seeds": jobs}})
    known = set(os.listdir(directory / "results"))
    run = start(directory, "run", name, "-q", "--keep", "failed", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        new: set[str] = set()
        while not new and run.poll() is None:
            new = {
                each
                for each in set(os.listdir(directory / "results")) - known - {"latest"}
                if (directory / "results" / each / "journal.jsonl").exists()
            }
        yield run, new.pop()
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()


async def view(port: int, name: str, seen: list[int]) -> None:
    """Look at a run until it ends; add how many snapshots came."""
    count, tail = 0, b""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(f"GET /runs/{name}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async for data in stream:
            found = tail + bytes(data)
            count += found.count(b"\ndata: ")
            if b"event: last" in found:
                break
            tail = found[-20:].replace(b"\ndata: ", b"")
    seen.append(count)


async def measure(directory: Path, jobs: int, viewers: int) -> tuple[float, list[int]]:
    """Return the CPU time of a run that so many look at, and how many snapshots each has seen."""
    seen: list[int] = []
    with started(directory, "serve", "--port", "0") as server:
        assert server.stdout is not None
        found = re.match(r"http://127.0.0.1:(\d+)/ ", server.stdout.readline())
        assert found
        with begun(directory, jobs) as (run, name):
            async with trio.open_nursery() as nursery:
                for _ in range(viewers):
                    nursery.start_soon(view, int(found[1]), name, seen)
                used = await trio.to_thread.run_sync(cpu_time, run)
    return used, seen


def interval(shares: list[float]) -> tuple[float, float]:
    """Return the mean, and half of the width of its interval of 95 %."""
    if len(shares) == 1:
        return shares[0], math.inf
    return (
        statistics.mean(shares),
        _T.get(len(shares), _T_MANY) * statistics.stdev(shares) / math.sqrt(len(shares)),
    )


def play(seed: int, count: int, jobs: int, viewers: int) -> str:
    """Raise if runs with viewers use more CPU time, or if that cannot be told of `PAIRS` pairs."""
    chance, shares = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="viewers-") as name:
        directory = Path(name)
        (directory / "results").mkdir()
        for _ in range(count):
            used: dict[int, float] = {}
            for how_many in chance.sample((0, viewers), 2):
                used[how_many], seen = trio.run(measure, directory, jobs, how_many)
                assert len(seen) == how_many
                assert all(seen), "a viewer saw nothing"
            shares.append(used[viewers] / used[0] - 1)
    mean, half = interval(shares)
    text = f"{count} pairs of {jobs} jobs, {viewers} viewers: {100 * mean:+.2f} % ± {100 * half:.2f} % CPU time"
    if count >= PAIRS:
        assert mean - half <= 0, text
        assert half < HALF_WIDTH, text
    return text


def run(seed: int, count: int) -> str:
    """Raise if a run that is looked at uses more CPU time."""
    return play(seed, count, JOBS, VIEWERS)


CAMPAIGN = Campaign("viewers", "does a run that 50 viewers look at use no more CPU time?", PAIRS, run)
