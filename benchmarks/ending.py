"""Nothing that is started here outlives this program, whatever ends it; SIGKILL excepted.

A signal that would end the program becomes an exception, so that each block that has started something ends it, as it
does after an error. Only the first one: nothing is to disturb the ending, whose steps have deadlines of their own.

Two gaps are left. An exception may come between a start and the block that is to see to its end, or in the midst of an
ending; and what a sample has started may have left the sample's process group. So whatever is started in the block
inherits a mark, and whoever still has it when the block ends is killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.model import BenchmarkError
from tests.slurm.cluster import Process

MARK: Final = "RUNTIME_BENCHMARKS"
"""The environment variable that is inherited; its value is another one for each block."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE: Final = 5.0
"""Seconds for processes to end after SIGKILL. Arbitrary."""


class Stopped(BaseException):
    """A signal asks this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def nothing_outlives() -> Iterator[None]:
    """End all that was started in the block, also when a signal ends it; for the main thread.

    A signal that this program was started to ignore, as `nohup` does with SIGHUP, is ignored.

    Raises:
        Stopped: in the block, at the first signal of `SIGNALS`.
        BenchmarkError: if a process survives SIGKILL for `PATIENCE`.
    """
    is_ending = False

    def stop(number: int, _: object) -> None:
        nonlocal is_ending
        if not is_ending:
            is_ending = True
            raise Stopped(number)

    os.environ[MARK] = mark = secrets.token_hex(8)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        try:
            for number, handler in handlers.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, stop)
            yield
        finally:
            is_ending = True
    finally:  # where a signal just before that line leads, too
        try:
            _kill_all(f"{MARK}={mark}".encode())
        finally:
            del os.environ[MARK]
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _kill_all(variable: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := list(_processes(variable)):
        for process in left:
            process.signal(signal.SIGKILL)
        for process in left:
            process.wait(max(0.0, deadline - time.monotonic()))
        if time.monotonic() > deadline:
            msg = f"processes survive SIGKILL: {', '.join(str(process.pid) for process in left)}"
            raise BenchmarkError(msg)


def _processes(variable: bytes) -> Iterator[Process]:
    """All that were started with `variable` in their environment; this one was not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (process := Process.of(int(entry.name))) is not None:
            try:
                if variable in (entry / "environ").read_bytes().split(b"\0"):
                    yield process
            except OSError:
                continue  # it has just ended, or is somebody else's
