"""`RepeatFilter`: which signals are requests, and which only repeat the last request.

Programs repeat signals: when a window closes there are two SIGHUPs, a wrapper forwards the SIGTERM that the system has
sent to all processes, systemd (``SendSIGHUP=yes``) sends a SIGHUP right after its SIGTERM. If each of them counted, the
first stop would never be a gentle one. A person who presses a key again means it.
"""

from __future__ import annotations

import math
import signal
from typing import Final

SAME_SIGNAL_INTERVAL: Final = 1.0
"""Seconds within which a signal is the same request as the last one of its number. Arbitrary: wrappers take
milliseconds. If it were ten times longer, a second signal that is sent on purpose would often do nothing; if it were
ten times shorter, one that a busy wrapper forwards would be a second request."""

ANY_SIGNAL_INTERVAL: Final = 0.2
"""Seconds within which any signal is the same request as the last one. Also how long a key counts as held: a keyboard
repeats it ten to thirty times a second. Arbitrary: programs send two signals within milliseconds. If it were ten times
longer, a second Ctrl-C would do nothing; if it were ten times shorter, the two would be two requests under load."""

KEYS: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
"""Signals that a terminal sends for keys."""


class RepeatFilter:
    """Tells requests from repeated signals, by the times of earlier requests."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._requests: dict[int, float] = {}
        """By signal: the time of the last request that it was part of."""

    def is_request(self, number: int, at: float, *, by_key: bool) -> bool:
        """Whether a signal is a new request. Intervals count from the last request, not from the last signal: a signal
        that is repeated for ever must force the stop at last.

        Args:
            number: of the signal.
            at: when it arrived, in seconds of any clock.
            by_key: whether it may come from a key of a terminal.
        """
        if at - self._last < ANY_SIGNAL_INTERVAL:
            # Remembered, because its repetitions are part of that request, too: a wrapper may forward both signals half
            # a second later.
            self._requests[number] = self._last
            return False
        interval = ANY_SIGNAL_INTERVAL if by_key and number in KEYS else SAME_SIGNAL_INTERVAL
        if at - self._requests.get(number, -math.inf) < interval:
            return False
        self._last = self._requests[number] = at
        return True
