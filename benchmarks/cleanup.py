"""`no_process_left`: no process that the benchmarks start outlives them, however they end. SIGKILL is the exception.

A signal that would end the program becomes an exception, so that each block that has started a process ends it, as it
does after an error. Only the first signal raises: a later one must not interrupt the clean-up, whose steps have
deadlines of their own.

Two gaps remain. The exception may come between the start of a process and the block that ends it, or in the middle of a
clean-up; and a sample's child may have left the process group of the sample. So all processes inherit a mark in their
environment, and those that still have it when the block ends are killed.
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
"""The environment variable that processes inherit. Each block has a value of its own."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILL_TIMEOUT: Final = 5.0
"""Seconds for processes to end after SIGKILL. Arbitrary: ten times less would fail on a busy machine, ten times more
would only delay the error."""


class Stopped(BaseException):
    """A signal to end the program has been received. Not an `Exception`, so that no handler of errors takes it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def no_process_left() -> Iterator[None]:
    """End all processes that were started in the block, also if a signal ends it. For the main thread.

    A signal that is ignored when the block begins stays ignored, as SIGHUP is under `nohup`.

    Raises:
        Stopped: in the block, at the first signal of `SIGNALS`.
        BenchmarkError: if a process survives SIGKILL for `KILL_TIMEOUT` seconds.
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
    finally:  # the outer one, as a signal may raise just before `is_ending` is set
        try:
            _kill_all(f"{MARK}={mark}".encode())
        finally:
            del os.environ[MARK]
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _kill_all(variable: bytes) -> None:
    deadline = time.monotonic() + KILL_TIMEOUT
    while left := list(_processes(variable)):
        for process in left:
            process.signal(signal.SIGKILL)
        for process in left:
            process.wait(max(0.0, deadline - time.monotonic()))
        if time.monotonic() > deadline:
            msg = f"processes survive SIGKILL: {', '.join(str(process.pid) for process in left)}"
            raise BenchmarkError(msg)


def _processes(variable: bytes) -> Iterator[Process]:
    """Yield the processes that started with `variable` in their environment. This program did not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (process := Process.of(int(entry.name))) is not None:
            try:
                if variable in (entry / "environ").read_bytes().split(b"\0"):
                    yield process
            except OSError:
                continue  # it has just ended, or belongs to another user
