"""`LogClock`: how long a log has been silent. Pure: neither trio nor time.

Times are seconds that *count*: those of the event loop's clock, without those in which the jobs stood still.
"""

from __future__ import annotations

from typing import Final

import attrs

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at a log, at least. Arbitrary: ten times longer, and a short limit is noticed late; ten
times shorter, and threads are busy with logs that have not changed."""

_MAX_LOOK_INTERVAL: Final = 60.0
"""Seconds between two looks at a log, at most. Arbitrary: ten times longer, and a job that falls silent long before the
next look is stopped that much later; ten times shorter, and a thousand jobs need a hundred looks a second."""

_LOOKS_PER_LIMIT: Final = 20
"""Looks in an `idle_timeout`. Arbitrary: a job is stopped at most a twentieth of the limit late. With ten times more,
looks cost ten times as much; with ten times fewer, a hang is noticed after up to one and a half times the limit."""

_LATE_ANSWER: Final = 5.0
"""Seconds after which the answer to a look counts as late: the file system may have held up the job as well. Arbitrary:
ten times longer, and a job that a file system has held up is stopped as if it hung; ten times shorter, and on a busy
machine silence might never be long enough."""

Stamp = tuple[int, int, int, int]
"""What changes when a log is written to: device, inode, size in bytes, time of modification in nanoseconds."""


@attrs.frozen
class Look:
    """What one look at a log has found."""

    stamp: Stamp | None
    """`None` if there is no log, or no regular file in its place."""
    last_line: str = ""
    """Its last line, if it was read, and is not empty."""


class LogClock:
    """Whether a job has been silent for longer than its `idle_timeout`.

    Args:
        idle_timeout: seconds.
        late: seconds that it may take until growth of the log is seen here.
        now: when the job began to run.
    """

    def __init__(self, idle_timeout: float, late: float, now: float) -> None:
        self._limit = idle_timeout + late
        self._interval = min(max(LOOK_INTERVAL, idle_timeout / _LOOKS_PER_LIMIT), _MAX_LOOK_INTERVAL)
        self._stamp: Stamp | None = None
        self._changed_at = now
        self._next_look = now + min(self._interval, self._limit)

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return now >= self._next_look

    def is_over(self, now: float) -> bool:
        """Whether the job has been silent for too long, unless the look that is due finds that its log has changed."""
        return now - self._changed_at >= self._limit

    def on_look(self, look: Look | None, began: float, now: float) -> float | None:
        """Take note of a look; return for how many seconds the job has been silent, if that is too long.

        Args:
            look: what was found; `None` if that is not known, as the file system did not answer.
            began: when the look began.
            now: when it had ended.
        """
        self._next_look = now + LOOK_INTERVAL
        if look is None or now - began > _LATE_ANSWER or now < self._changed_at:
            self._changed_at = now  # nothing is known about the time before
        if look is None:
            return None
        if look.stamp != self._stamp:
            self._stamp, self._changed_at = look.stamp, now
        elif self.is_over(began):
            return now - self._changed_at
        self._next_look = max(self._next_look, min(now + self._interval, self._changed_at + self._limit))
        return None
