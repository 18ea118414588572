"""Signals that come before a run can take them, or after its end: nothing is running, so the process ends at once.

Python's own way is an exception in the middle of whatever is being imported, and a second one in whatever handles the
first; or, for SIGTERM, an end without a word. While jobs run, `stopping` has the signals.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_first: list[Callable[[], object]] = []


def quit_at_signals() -> None:
    """Let the signals end this process, for good: for a program, never for a library. What is ignored stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _quit)


def before_quitting(function: Callable[[], object]) -> None:
    """Have `function` called, once, before a signal ends this process."""
    _first[:] = [function]


def exit_code(number: int) -> int:
    """Return what a shell says of a program that a signal ended."""
    return 128 + number


def _quit(number: int, _frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    try:
        while _first:
            _first.pop()()
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        if select.select([], [2], [], 0)[1]:  # it may be a pipe that nobody reads
            os.write(2, f"job-runtime: {what}\n".encode())
    finally:
        os._exit(exit_code(number))
