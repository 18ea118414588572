"""What programs of the question `cli` share: a command is started as a shell starts it, and waited for."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

JOB = "/bin/true"
FIRST = "first"
"""The file that the first of the jobs makes: its time is that of the first job."""


def first_job(directory: Path) -> list[str]:
    """Return the words of the first of the jobs."""
    return ["/bin/touch", str(directory / FIRST)]


def measured(
    command: Sequence[str], jobs: int, directory: Path, left: Path, stdin: str = os.devnull
) -> dict[str, float]:
    """Run a command, from its start to its exit; return the sample.

    Args:
        command: its words.
        jobs: how many jobs it runs.
        directory: where it runs, and where the file `FIRST` is, if the first job makes it.
        left: the directory of all that it leaves.
        stdin: the file that is its standard input.
    """
    with open(stdin, "rb") as given:
        start, begin = time.time(), time.perf_counter()
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL, cwd=directory)
        # The largest resident set of the command, or of one of its descendants, whichever is larger.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    measures = {
        "jobs_per_second": jobs / seconds,
        "cpu_ms_per_job": 1000 * (usage.ru_utime + usage.ru_stime) / jobs,
        "command_mb": usage.ru_maxrss * 1024 / 1e6,
    }
    if (first := directory / FIRST).exists():
        # A file's time is that of the last tick of the kernel, up to 4 ms ago.
        measures["first_ms"] = max(1000 * (first.stat().st_mtime - start), 1)
    if size := _size(left):
        measures["kb_per_job"] = size / 1000 / jobs
    return measures


def _size(directory: Path) -> int:
    """Return the bytes that files take on disk, as ``du`` counts them."""
    return sum(
        os.lstat(os.path.join(place, name)).st_blocks * 512
        for place, folders, files in os.walk(directory)
        for name in (*folders, *files)
    )
