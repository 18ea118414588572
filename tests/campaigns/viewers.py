"""A run with and without viewers, in turn. Does a run that is looked at use more CPU time?

What a job costs changes by more than viewers could add, from one run to the next and from one minute to the next. So
the server is stopped (SIGSTOP) and continued while a run goes on, and what is compared is the CPU time for each job of
windows that follow one another. The run and its jobs are on one CPU, the server and its viewers on another: who waits
for whom changes how much a run does at once, and so what a job costs.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import statistics
import subprocess
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from runtime.journal import read, replay
from tests.campaigns import Campaign
from tests.cli.program import job_file, reset_signals, start, started

JOBS: Final = 20_000
VIEWERS: Final = 50
WINDOW: Final = 1.0
"""Seconds. Arbitrary: some hundred jobs and a look of each viewer; ten times longer, and the load of the machine
changes meanwhile; ten times shorter, and jobs that began in the window before count."""
HALF_WIDTH: Final = 0.03
"""How wide the interval may be on either side, as a share of the CPU time."""
PAIRS: Final = 160
"""Pairs of windows by default: enough where a pair differs by a fifth, as on a machine that others use."""
TRIMMED: Final = 0.2
"""Which part of the pairs is left out at either end: the usual one. Something else took the machine in some window."""
JUDGED: Final = 10
"""Pairs from which on a judgement is made."""


@attrs.frozen
class Window:
    """A part of the time of a run."""

    begin: float
    """Seconds since 1970."""
    end: float
    cpu: float
    """CPU seconds of the run's process, without those of its children."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, without that of its children.

    Raises:
        OSError: if there is no such process.
    """
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) computes it


def on_cpu(index: int) -> None:
    """In a child: use one CPU, if there are several."""
    reset_signals()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[index % len(cpus)]})


@contextmanager
def begun(directory: Path, jobs: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a run; return it, and its name."""
    name = job_file(directory, {"job": {"cmd": "true", "seeds": jobs}})
    known = set(os.listdir(directory / "results"))
    nothing = subprocess.DEVNULL
    words = ("run", name, "-q", "--keep", "failed")
    run = start(directory, *words, stdout=nothing, stderr=nothing, preexec_fn=lambda: on_cpu(0))
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


async def measure(directory: Path, jobs: int, viewers: int, chance: random.Random, window: float) -> list[float]:
    """Return what viewers add to the CPU time of each job, as a share, for pairs of windows of one run."""
    seen: list[int] = []
    pairs: list[tuple[Window, Window]] = []
    with started(directory, "serve", "--port", "0", preexec_fn=lambda: on_cpu(1)) as server:
        assert server.stdout is not None
        found = re.match(r"http://127.0.0.1:(\d+)/ ", server.stdout.readline())
        assert found
        with begun(directory, jobs) as (run, name):
            async with trio.open_nursery() as nursery:
                for _ in range(viewers):
                    nursery.start_soon(view, int(found[1]), name, seen)
                await trio.sleep(window)  # until the run is under way, and seen
                while run.poll() is None:
                    windows = {}
                    for is_seen in chance.sample((False, True), 2):
                        server.send_signal(signal.SIGCONT if is_seen else signal.SIGSTOP)
                        begin, used = time.time(), cpu_seconds(run.pid)
                        await trio.sleep(window)
                        windows[is_seen] = Window(begin, time.time(), cpu_seconds(run.pid) - used)
                    pairs.append((windows[False], windows[True]))
                server.send_signal(signal.SIGCONT)
        assert run.returncode == 0
    assert len(seen) == viewers
    assert all(seen), "a viewer saw nothing"
    return shares_of(pairs[:-1], ends_of(directory / "results" / name))  # the run has ended in the last pair


def ends_of(run_dir: Path) -> list[float]:
    """Return when the jobs of a run ended, in order: seconds since 1970."""
    state = replay(read(run_dir / "journal.jsonl").records)
    epoch = state.segments[0].begin.epoch
    return sorted(epoch + event.ended for event in state.results())


def shares_of(pairs: Sequence[tuple[Window, Window]], ends: Sequence[float]) -> list[float]:
    """Return how much more CPU time each job took in the second window of each pair: the logarithm, near to a share.

    Args:
        pairs: windows. Those in which no job ended do not count.
        ends: when jobs ended, in order.
    """

    def each(window: Window) -> float:
        jobs = bisect_left(ends, window.end) - bisect_left(ends, window.begin)
        return window.cpu / jobs if jobs and window.cpu else math.nan

    # By logarithms, as a quotient of noisy figures is too large on average.
    found = [math.log(each(seen) / each(unseen)) for unseen, seen in pairs]
    return [share for share in found if not math.isnan(share)]


def interval(shares: Sequence[float]) -> tuple[float, float]:
    """Return the trimmed mean, and half of the width of its interval of 95 %, or of a little more.

    After J. W. Tukey and D. H. McLaughlin, "Less vulnerable confidence and significance procedures for location based
    on a single sample", Sankhya A 25 (1963): the deviation is that of the shares with both ends brought to the
    last that are kept.
    """
    ordered, cut = sorted(shares), int(TRIMMED * len(shares))
    kept = ordered[cut : len(ordered) - cut]
    mean, others = statistics.mean(kept), len(kept) - 1
    if not others:
        return mean, math.inf
    # Student's t, from above: 12.706 for one, 2.228 for ten, 1.990 for eighty.
    t = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}.get(others, 1.96 + 3.1 / others)
    moved = [kept[0]] * cut + kept + [kept[-1]] * cut
    return mean, t * statistics.stdev(moved) * math.sqrt(len(moved)) / len(kept)


def play(seed: int, count: int, jobs: int, viewers: int, window: float) -> list[float]:
    """Return what viewers add to the CPU time of each job, as a share, for pairs of windows.

    Args:
        seed: for the order of windows.
        count: pairs of windows, at least: runs are made until there are so many.
        jobs: of each run.
        viewers: how many there are.
        window: seconds.
    """
    chance, shares = random.Random(seed), list[float]()
    with tempfile.TemporaryDirectory(prefix="viewers-") as name:
        directory = Path(name)
        (directory / "results").mkdir()
        while len(shares) < count:
            more = trio.run(measure, directory, jobs, viewers, chance, window)
            assert more, f"a run of {jobs} jobs has no two windows of {window} s"
            shares += more
    return shares


def judge(shares: Sequence[float]) -> str:
    """Raise if viewers add to the CPU time, or if that cannot be told of `JUDGED` pairs."""
    mean, half = interval(shares)
    text = f"{len(shares)} pairs of windows, {VIEWERS} viewers: {100 * mean:+.2f} % ± {100 * half:.2f} % CPU time"
    if len(shares) >= JUDGED:
        assert mean - half <= 0, text
        assert half < HALF_WIDTH, text
    return text


def run(seed: int, count: int) -> str:
    """Raise if a run that is looked at uses more CPU time."""
    return judge(play(seed, count, JOBS, VIEWERS, WINDOW))


CAMPAIGN = Campaign("viewers", "does a run that 50 viewers look at use no more CPU time?", PAIRS, run)
