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

from runtime.exit_calls import exit_now

_NAMES: Final = "HUP INT QUIT ABRT USR1 USR2 ALRM TERM STKFLT XCPU VTALRM PROF IO PWR"

SIGNALS: Final[tuple[int, ...]] = (
    *(number for number in (getattr(signal, f"SIG{name}", None) for name in _NAMES.split()) if number is not None),
    *range(getattr(signal, "SIGRTMIN", 1), getattr(signal, "SIGRTMAX", 0) + 1),
)
"""What ends a process that does not take it, but for three kinds. SIGKILL cannot be taken. Python ignores SIGPIPE and
SIGXFSZ, so that writing fails instead. And after SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS, with which the
system answers a fault of the program, it cannot go on. (`abort` ends a process also when SIGABRT is taken.)"""

_first: list[Callable[[], object]] = []
_files: list[int] = []
"""Descriptors that the last words go to, beside standard error."""


def quit_at_signals() -> None:
    """Let the signals end this process, for good: for a program, never for a library. What is ignored stays ignored.

    Signals that were blocked by whoever started us are not any more: nobody else is there to unblock them. And SIGCHLD
    is not ignored: else the system forgets how children end.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in SIGNALS:
        if is_free(number):
            signal.signal(number, _quit)


def is_free(number: int) -> bool:
    """Whether a signal would end this process, or has `quit_at_signals`: nobody ignores it or has a use for it."""
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _quit)


def before_quitting(function: Callable[[], object]) -> None:
    """Have `function` called, once, before a signal ends this process."""
    _first[:] = [function]


def say_to(descriptor: int) -> None:
    """Have the line that a signal's end is said in written to a file, too."""
    _files.append(descriptor)


def exit_code(number: int) -> int:
    """Return what a shell says of a program that a signal ended."""
    return 128 + number


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM`` or ``SIGRTMIN+3``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _quit(number: int, _frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    try:
        while _first:
            _first.pop()()
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal_name(number)}"
        line = f"job-runtime: {what}\n".encode()
        for descriptor in _files:
            os.write(descriptor, line)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # by which a terminal could stop us now
        if select.select([], [2], [], 0)[1]:  # it may be a pipe that nobody reads
            os.write(2, line)
    finally:
        exit_now(exit_code(number))
