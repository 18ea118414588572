"""A sample of `log`: how fast a log is judged by us, with all extras or RE2 alone, by `grep -E`, or only read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runtime.verdict.file import judge_log
from runtime.verdict.judge import LogPatterns

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))
from log_text import FAILING, PASSING, write


def judge(path: Path, engine: str = "hyperscan") -> None:
    """Find the verdict; see that it was done with `engine`, and not with what stands in for it."""
    found = judge_log(str(path), LogPatterns(PASSING, FAILING), clock=time.thread_time)
    assert found.failure is None
    assert found.missing == ()
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
    left = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 18):
            left -= len(piece)
    assert left == 0


def main() -> None:
    """Measure once."""
    ways: dict[str, Callable[[Path], None]] = {"--grep": grep, "--read": read, "--re2": judge_with_re2}
    how = ways.get(sys.argv[-1], judge)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        size = write(path, int(sys.argv[1]))
        begin = time.perf_counter()
        how(path)
        seconds = time.perf_counter() - begin
    print(json.dumps({"megabytes_per_second": size / seconds / 1e6}))


if __name__ == "__main__":
    main()
