"""`Repeats`: which signals are requests, and which only say the last one again.

Machines repeat signals: when a window closes there are two SIGHUPs, a wrapper passes on the SIGTERM that the system
has sent to all. If each of them counted, the first stop would never be a gentle one. A person who presses a key again
means it.
"""

from __future__ import annotations

import signal
from typing import Final

INTERVAL: Final = 1.0
"""Seconds within which a signal is the same request as the last one of its number. Arbitrary: wrappers take
milliseconds; if it were ten times longer, who sends a second signal on purpose would be left to wait."""

KEY_INTERVAL: Final = 0.2
"""The same for a key, in seconds. A keyboard repeats a key that is held ten to thirty times a second."""

KEYS: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
"""Signals that keys of a terminal make."""


class Repeats:
    """Remembers when a request came by each signal."""

    def __init__(self) -> None:
        self._requests: dict[int, float] = {}

    def is_request(self, number: int, at: float, *, by_key: bool) -> bool:
        """Whether a signal is a request of its own. What is not changes nothing: the time counts from the request.

        Args:
            number: the signal.
            at: when it came, in seconds of any clock.
            by_key: whether it may come from a key of a terminal.
        """
        interval = KEY_INTERVAL if by_key and number in KEYS else INTERVAL
        last = self._requests.get(number)
        if last is not None and at - last < interval:
            return False
        self._requests[number] = at
        return True
