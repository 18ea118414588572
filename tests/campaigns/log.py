"""A log of many gigabytes. Is the verdict right, the memory bounded, and the event loop not blocked?"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import trio

from runtime.backend.verdict_pool import VerdictPool
from runtime.job import FailureKind, JobSpec
from runtime.process import Exit
from tests.campaigns import Campaign

FAILING: Final = (
    r"^UVM_ERROR\s[^:].*$",
    r"^UVM_FATAL\s[^:].*$",
    "^Assert failed: ",
    r"^\s*Offending '.*'",
    r"^Error-\[.*\]$",
)
PASSING: Final = ("^TEST PASSED",)
LINE: Final = b"UVM_INFO @ %d ns: (scoreboard.sv:%d) [uvm_test_top.env.scoreboard] item received and compared\n"
MAX_EXTRA: Final = 64 << 20  # bytes above the baseline
MAX_GAP: Final = 0.02  # seconds that the loop may be blocked; a limit for the median, as the machine may be shared
TIMES: Final = 5


def write(path: Path, size: int, seed: int) -> tuple[int, int]:
    """Write a log of about `size` bytes with one failing line. Return its line number and the true size."""
    rng = random.Random(seed)
    piece = b"".join(LINE % (rng.randrange(10**9), rng.randrange(1000)) for _ in range(100_000))
    pieces = max(2, size // len(piece))
    where = rng.randrange(1, pieces)
    with path.open("wb") as file:
        for number in range(pieces):
            if number == where:
                file.write(b"UVM_ERROR @ 5 ns: mismatch\r\n")
            file.write(piece)
        file.write(b"TEST PASSED\n")
        return where * 100_000 + 1, file.tell()


def peak() -> int:
    """Return the largest resident set of this process, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Reset the largest resident set."""
    Path("/proc/self/clear_refs").write_text("5")


async def judge(path: Path, line: int) -> tuple[float, float, int]:
    """Judge the log. Return the seconds, the longest gap of the event loop, and the bytes above the baseline."""
    gap = 0.0

    async def beat() -> None:
        nonlocal gap
        last = time.perf_counter()
        while True:
            await trio.sleep(0.001)
            now = time.perf_counter()
            gap, last = max(gap, now - last - 0.001), now

    spec = JobSpec(name="log", cmd="true", pass_patterns=PASSING, fail_patterns=FAILING)
    async with trio.open_nursery() as nursery:
        judges = VerdictPool(trio.CapacityLimiter(2))
        nursery.start_soon(judges.run)
        nursery.start_soon(beat)
        await trio.sleep(0.1)
        gap = 0.0
        forget_peak()
        before = peak()
        began = time.perf_counter()
        verdict = await judges.of(spec, Exit(code=0), str(path))
        took = time.perf_counter() - began
        extra = peak() - before
        nursery.cancel_scope.cancel()
    found = verdict.log
    assert found is not None
    assert found.failure is not None, verdict
    assert verdict.reason is not None
    assert verdict.reason.kind is FailureKind.FAIL_PATTERN
    assert found.failure.line == line
    assert found.missing == ()
    return took, gap, extra


def run(seed: int, count: int) -> str:
    """Judge a log of `count` gigabytes, five times."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        path = Path(directory) / "log"
        line, size = write(path, count << 30, seed)
        times, gaps, extras = zip(*(trio.run(judge, path, line) for _ in range(TIMES)), strict=True)
    rate = size / statistics.median(times) / 1e6
    seen = f"{size / 1e9:.2f} GB at {rate:.0f} MB/s, {max(extras) / 2**20:.1f} MB above the baseline, "
    seen += f"longest gaps of the loop {', '.join(f'{gap * 1000:.1f}' for gap in sorted(gaps))} ms"
    assert max(extras) <= MAX_EXTRA, seen
    assert statistics.median(gaps) <= MAX_GAP, seen
    return seen


CAMPAIGN: Final = Campaign("log", "Is a log of N GB judged rightly, in bounded memory, while the loop goes on?", 5, run)
