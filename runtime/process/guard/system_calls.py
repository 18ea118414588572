"""System calls that Python has no function for, and the waiting of a guard."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Final
else:
    # The Python modules around these take 10 ms to import.
    import _signal as signal

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_SFD_CLOEXEC: Final = 0o2000000
_SFD_NONBLOCK: Final = 0o4000
_SIGINFO: Final = struct.Struct("=IiiI112x")
"""`struct signalfd_siginfo`, of which the number, `ssi_code` and `ssi_pid` are unpacked."""
_SI_USER: Final = 0
"""The `si_code` of a signal sent by `kill`: then the kernel has set `si_pid`, and no sender can forge it. From
asm-generic/siginfo.h."""

ALL_SIGNALS: Final = tuple(signal.valid_signals())

TICK: Final = 1.0
"""Longest sleep, in seconds, of the supervisor, and of a shim during a stop sequence, so that they notice a standstill:
only the time beyond a sleep is noticed. Arbitrary: ten times longer, and a standstill of some seconds may count against
the timeouts of a stop; ten times shorter, and each wakes up ten times a second."""

STANDSTILL: Final = 1.0
"""Seconds that this process must not have run to count as a standstill, as in a frozen cgroup; it has one thread and
little to do. Arbitrary: longer than a busy system delays it, shorter than the timeouts of a job."""


class AwakeClock:
    """The time without the standstills of this process, in seconds: ``clock()``.

    Every reading looks for one, from the reading before on: so no deadline by this clock passes during a standstill,
    wherever it falls, also between a signal that a job was sent and the wait for its effect.

    Args:
        now: the time, in seconds.
        worked: the processor time of this process, in seconds.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, worked: Callable[[], float] = time.process_time
    ) -> None:
        self._now = now
        self._worked = worked
        self._last = (now(), worked())
        self._asleep = 0.0
        self.stood_still: float = 0.0
        """Seconds of all standstills until the last reading."""

    def sleep(self, seconds: float) -> None:
        """Note that this process goes to sleep for so many seconds, of which a standstill is not noticed."""
        self._asleep += seconds

    def __call__(self) -> float:
        """Return the time."""
        now, worked = self._now(), self._worked()
        seconds = now - self._last[0] - (worked - self._last[1]) - self._asleep
        if seconds > STANDSTILL:
            self.stood_still += seconds
        self._last, self._asleep = (now, worked), 0.0
        return now - self.stood_still


class SystemCalls:
    """System calls that Python has no function for, and the descriptors of the roots."""

    def __init__(self, roots: list[int]) -> None:
        self.roots = roots
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def configure(self, name: str, death_signal: int | None) -> None:
        """Make this process a subreaper with a name, which gets `death_signal` when its parent dies."""
        prctl, number = self._libc.prctl, ctypes.c_ulong
        prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), number(0), number(0), number(0))
        if death_signal is not None:
            self._check(prctl(_PR_SET_PDEATHSIG, number(death_signal), number(0), number(0), number(0)))
        self._check(prctl(_PR_SET_CHILD_SUBREAPER, number(1), number(0), number(0), number(0)))

    def default_action(self, number: int) -> None:
        """Give a signal its default action: that it is ignored may have been inherited."""
        self._libc.signal(number, None)

    def signal_descriptor(self, *numbers: int) -> int:
        """Return a signalfd for these signals, which must be blocked."""
        mask = sum(1 << (number - 1) for number in numbers).to_bytes(128, sys.byteorder)
        return self._check(self._libc.signalfd(-1, mask, _SFD_CLOEXEC | _SFD_NONBLOCK))


def read_signals(fd: int) -> list[tuple[int, int]]:
    """Return the pending signals: the number of each, and the pid of its sender, or 0 if that could be forged."""
    try:
        data = os.read(fd, 16 * _SIGINFO.size)
    except BlockingIOError:
        return []
    return [(number, pid if code == _SI_USER else 0) for number, _, code, pid in _SIGINFO.iter_unpack(data)]
