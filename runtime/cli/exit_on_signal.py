"""Signals before a run and after it: no job is running, so the process exits at once, with one line.

Python's default is an exception in the middle of any import, and a second one in the code that handles the first; or,
for SIGTERM, an end without a message. While jobs run, `stop_on_signal` handles the signals.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from runtime.exit_calls import exit_now
from runtime.signal_names import signal_name

_NAMES: Final = "HUP INT QUIT ABRT USR1 USR2 ALRM TERM STKFLT XCPU VTALRM PROF IO PWR"

SIGNALS: Final[tuple[int, ...]] = (
    *(number for number in (getattr(signal, f"SIG{name}", None) for name in _NAMES.split()) if number is not None),
    *range(getattr(signal, "SIGRTMIN", 1), getattr(signal, "SIGRTMAX", 0) + 1),
)
"""The signals whose default action ends a process, except three kinds. SIGKILL cannot be handled. Python ignores
SIGPIPE and SIGXFSZ, so that a write fails instead. After SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS, by which
the system reports a fault of the program, it cannot go on. (`abort` ends a process even if SIGABRT is handled.)"""

_before_exit: list[Callable[[], object]] = []
"""At most one function."""
_descriptors: list[int] = []
"""Where the last line is written to, besides standard error."""


def exit_on_signals() -> None:
    """Install handlers that end this process: for a program, never for a library. Ignored signals stay ignored."""
    # The parent may have blocked signals or ignored SIGCHLD, which `exec` passes on. Blocked signals would never come;
    # while SIGCHLD is ignored, the system drops the exit status of children.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in SIGNALS:
        if has_default_action(number):
            signal.signal(number, _exit)


def has_default_action(number: int) -> bool:
    """Whether a signal has no handler of foreign code and is not ignored. The handler of `exit_on_signals` counts as
    the default.
    """
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _exit)


def call_before_exit(function: Callable[[], object]) -> None:
    """Call `function` once before a signal ends this process; it replaces an earlier one."""
    _before_exit[:] = [function]


def also_write_to(descriptor: int) -> None:
    """Write the line that says which signal ended this process to this file descriptor as well."""
    _descriptors.append(descriptor)


def exit_code(number: int) -> int:
    """Return the exit code that a shell reports for a program that was ended by this signal."""
    return 128 + number


def _exit(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt this, nor run it twice.
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    try:
        while _before_exit:
            _before_exit.pop()()
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal_name(number)}"
        line = f"job-runtime: {what}\n".encode()
        for descriptor in _descriptors:
            os.write(descriptor, line)
        # With `stty tostop`, a write from the background would stop this process for ever.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        if select.select([], [2], [], 0)[1]:  # it may be a full pipe, on which a write would block
            os.write(2, line)
    finally:  # whatever fails above, the process ends
        exit_now(exit_code(number))
