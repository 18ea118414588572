"""A sample of `log`: how fast a log is judged by us, with all extras or RE2 alone, by `grep -E`, or only read.

The patterns are compiled before the clock starts, as for each log of a run but the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from runtime import JobSpec
from runtime.job import compile_pattern
from runtime.process import Exit
from runtime.verdict import Verdicts
from runtime.verdict.prefilter import expression

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))
from log_text import FAILING, PASSING, write

WARM_UP = 10
"""Megabytes of a first log: so many that the patterns are compiled for it."""

JOB = JobSpec(name="job", cmd="true", pass_patterns=PASSING, fail_patterns=FAILING)


def judge(path: Path, engine: str = "hyperscan") -> None:
    """Find the verdict; see that it was done with `engine`, and not with what stands in for it."""
    found = Verdicts(time.thread_time, time.monotonic).of(JOB, Exit(code=0), str(path))
    assert found.passed
    assert found.log is not None
    assert engine in sys.modules


def judge_with_re2(path: Path) -> None:
    """Find the verdict as if Hyperscan were not installed."""
    sys.modules["hyperscan"] = None  # type: ignore[assignment]  # so that importing it raises
    judge(path, "re2")


def grep(path: Path) -> None:
    """Look for the fail patterns."""
    command = ["grep", "-aE", "-m1", "|".join(FAILING), str(path)]
    assert subprocess.run(command, check=False, env={**os.environ, "LC_ALL": "C"}).returncode == 1


def read(path: Path) -> None:
    """Read all of it."""
    assert sum(map(len, pieces(path))) == path.stat().st_size


def limit(path: Path) -> None:
    """Read all of it, and let Hyperscan search it: without lines, and without a verdict."""
    scan, scratch = database()
    found: set[int] = set()
    for piece in pieces(path):
        scan(piece, lambda number, *_: found.add(number), scratch=scratch)
    assert found == {0}


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the log in large pieces."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 18):
            yield piece


@cache
def database() -> tuple[Callable[..., object], object]:
    """Return what searches with Hyperscan for the patterns that it gets from us, and its scratch space."""
    import hyperscan

    made = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    patterns = [(expression(compile_pattern(pattern)) or "").encode() for pattern in (*PASSING, *FAILING)]
    made.compile(expressions=patterns, flags=hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH)
    return made.scan, hyperscan.Scratch(made)


def main() -> None:
    """Measure once."""
    ways: dict[str, Callable[[Path], None]] = {
        "--grep": grep,
        "--read": read,
        "--re2": judge_with_re2,
        "--limit": limit,
    }
    how = ways.get(sys.argv[-1], judge)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        write(path, WARM_UP)
        how(path)
        size = write(path, int(sys.argv[1]))
        begin = time.perf_counter()
        how(path)
        seconds = time.perf_counter() - begin
    print(json.dumps({"megabytes_per_second": size / seconds / 1e6}))


if __name__ == "__main__":
    main()
