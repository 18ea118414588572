"""`Repeats`: which signals are requests, and which only repeat the last request.

Machines repeat signals: when a window closes there are two SIGHUPs, a wrapper passes on the SIGTERM that the system
has sent to all, systemd (``SendSIGHUP=yes``) sends a SIGHUP right after its SIGTERM. If each of them counted, the first
stop would never be a gentle one. A person who presses a key again means it.
"""

from __future__ import annotations

import math
import signal
from typing import Final

INTERVAL: Final = 1.0
"""Seconds within which a signal is the same request as the last one of its number. Arbitrary: wrappers take
milliseconds; if it were ten times longer, who sends a second signal on purpose would be left to wait."""

MOMENT: Final = 0.2
"""Seconds within which any signal is the same request as the last one. Also how long a key counts as held: a keyboard
repeats it ten to thirty times a second. Arbitrary: machines send two signals within milliseconds. If it were ten times
longer, a second Ctrl-C would do nothing; if it were ten times shorter, the two would be two requests under load."""

KEYS: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
"""Signals that keys of a terminal make."""


class Repeats:
    """Remembers the last request, and for each signal the request that it was part of."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._requests: dict[int, float] = {}

    def is_request(self, number: int, at: float, *, by_key: bool) -> bool:
        """Whether a signal is a request of its own. One that is not prolongs nothing: time counts from the request.

        Args:
            number: the signal.
            at: when it came, in seconds of any clock.
            by_key: whether it may come from a key of a terminal.
        """
        if at - self._last < MOMENT:
            # Part of that request, as its repetitions are: a wrapper may pass on both signals half a second later.
            self._requests[number] = self._last
            return False
        interval = MOMENT if by_key and number in KEYS else INTERVAL
        if at - self._requests.get(number, -math.inf) < interval:
            return False
        self._last = self._requests[number] = at
        return True
