"""A sample of `display`: the command line runs jobs on the fake backend, with its live display on a terminal.

What the display costs is the CPU time of the thread that draws, and that of what a picture is made of: all status
changes, the list of jobs, the snapshots. It is taken in the run itself, but for the changes: taking the time of each
would take longer than they do, so they are applied once more at the end.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import struct
import tempfile
import termios
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from runtime.cli.main import main as run_command_line
from runtime.cli.run import Run
from runtime.cli.screen import Screen
from runtime.report.progress import RunProgress

ROWS, COLUMNS = 24, 80


class Timer:
    """The CPU time of some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is timed."""

        def timed(*args: object, **options: object) -> object:
            begin = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds += time.thread_time() - begin

        return timed


def on_terminal(rows: int, columns: int) -> None:
    """Make a terminal, which a process of its own reads, the standard output."""
    terminal, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    if not os.fork():
        os.close(ours)
        try:
            while os.read(terminal, 1 << 16):
                pass
        finally:
            os._exit(0)  # reading fails when nobody has the terminal any longer
    os.close(terminal)
    os.dup2(ours, 1)
    os.environ["TERM"] = "xterm"  # nothing is drawn on one that cannot move its cursor
    os.close(ours)


def measure(jobs: int, directory: Path) -> dict[str, float]:
    """Run so many jobs in a directory; return what that costs, and the display's share."""
    file = directory / "jobs.json"
    file.write_text(json.dumps({"jobs": {"job": {"cmd": "true", "seeds": jobs}}}))
    drawing, snapshots = Timer(), Timer()
    changes: list[Any] = []
    progresses: list[RunProgress] = []
    apply, begin = RunProgress.apply, RunProgress.add

    def noting(progress: RunProgress, change: Any) -> None:
        changes.append(change)
        apply(progress, change)

    def adding(progress: RunProgress, given: Iterable[tuple[str, int | None]]) -> None:
        progresses.append(progress)
        snapshots.timing(begin)(progress, given)

    replaced: list[tuple[type, str, object]] = [
        (Screen, "_draw", drawing.timing(Screen._draw)),
        (Run, "_snapshot", snapshots.timing(Run._snapshot)),
        (RunProgress, "apply", noting),
        (RunProgress, "add", adding),
    ]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    words = ["run", str(file), "--backend", "fake", "--out", str(directory / "results")]
    code = run_command_line(words)
    total = time.process_time()
    assert code == 0, code
    (progress,) = progresses
    again = RunProgress("", 0)
    begun = time.thread_time()
    for change in changes:
        apply(again, change)
    applying = time.thread_time() - begun
    assert progress.snapshot({}, 0).recent == again.snapshot({}, 0).recent == ()
    assert len(changes) >= jobs
    pictures = drawing.seconds + snapshots.seconds
    return {
        "display_percent": 100 * (pictures + applying) / total,
        "cpu_seconds": total,
        "picture_seconds": pictures,
        "change_seconds": applying,
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    options = parser.parse_args()
    result = os.dup(1)
    on_terminal(ROWS, COLUMNS)
    with tempfile.TemporaryDirectory() as directory:
        found = measure(options.jobs, Path(directory))
    os.write(result, json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()
