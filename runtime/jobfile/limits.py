"""Limits of resources that change during a run, as ``[resources]`` of a job file says them: by a command, or by time.

Pure: what runs the command, and reads the clock, is in `runtime.cli.limit_providers`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import attrs

from runtime.jobfile import values
from runtime.jobfile.values import ExpectedError

DEFAULT_EVERY: Final = 30.0
"""Seconds between two calls of a command. Arbitrary: ten times longer, licences that are free again lie idle; ten times
shorter, a licence server that many runs ask is flooded."""
ELSE: Final = "else"
"""The key of a schedule for all other times."""

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = f"({'|'.join(_DAYS)})"
_TIME: Final = r"([01][0-9]|2[0-4]):([0-5][0-9])"
_RANGE: Final = re.compile(rf"(?:{_DAY}(?:-{_DAY})? )?{_TIME}-{_TIME}")
_END_OF_DAY: Final = 24 * 60
_EXPECTED: Final = (
    'a whole number from 0, or "unlimited"; { command = "./free_licences", every = "30s" }; or a schedule,'
    ' { "08:00-18:00" = 4, "else" = 40 }'
)


@attrs.frozen
class CommandLimit:
    """A limit that a command prints."""

    command: str
    """For ``/bin/sh``. The first line that it prints is the limit."""
    every: float = DEFAULT_EVERY
    """Seconds between two calls."""
    directory: Path = Path("/")
    """The directory that it runs in, that of the job file; absolute."""


@attrs.frozen
class Hours:
    """A part of some days of the week."""

    days: frozenset[int]
    """0 is Monday. A part that ends on the next day belongs to the day on which it begins."""
    begin: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight, of the next day if it is not after `begin`; the minute itself is not in it."""

    def contains(self, day: int, minute: int) -> bool:
        """Whether a time is in it, given by the day of the week and the minutes after midnight."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@attrs.frozen
class ScheduledLimit:
    """A limit that depends on the local time."""

    hours: tuple[tuple[Hours, int | None], ...]
    """Parts of the week with their limits, `None` for unlimited. The first one that contains a time counts."""
    otherwise: int | None
    """The limit at all other times."""

    def at(self, day: int, minute: int) -> int | None:
        """Return the limit at a time, given by the day of the week, 0 for Monday, and the minutes after midnight."""
        return next((limit for hours, limit in self.hours if hours.contains(day, minute)), self.otherwise)

    @property
    def largest(self) -> int | None:
        """The largest limit; `None` for unlimited."""
        limits = [*(limit for _, limit in self.hours), self.otherwise]
        return max((limit for limit in limits if limit is not None), default=None) if None not in limits else None


Limit = int | None | CommandLimit | ScheduledLimit
"""`None` for unlimited."""


def limits(value: object) -> dict[str, Limit]:
    """Return the limit of each resource."""
    if not isinstance(value, dict):
        raise ExpectedError("a table of names and limits")
    return {name: _limit(name, limit) for name, limit in value.items()}


def _limit(name: str, value: object) -> Limit:
    if not name:
        raise ExpectedError("a name that is not empty", name, given=value)
    if not isinstance(value, dict):
        return _amount(name, None, value, _EXPECTED)
    return _command(name, value) if value.keys() & {"command", "every"} else _schedule(name, value)


def _command(name: str, table: dict[str, object]) -> CommandLimit:
    for key, given in table.items():
        if key not in ("command", "every"):
            raise _wrong(name, key, given, "no such key; the keys are command, every")
    if "command" not in table:
        raise ExpectedError('a command, { command = "./free_licences", every = "30s" }', name, given=table)
    command = table["command"]
    if not isinstance(command, str) or not command or "\0" in command:
        raise _wrong(name, "command", command, "text, a command for /bin/sh")
    try:
        return CommandLimit(command, values.duration(table.get("every", DEFAULT_EVERY)))
    except ExpectedError as exc:
        raise _wrong(name, "every", table["every"], str(exc)) from exc


def _schedule(name: str, table: dict[str, object]) -> ScheduledLimit:
    if ELSE not in table or len(table) == 1:
        raise ExpectedError(f'{_EXPECTED}, which has a part of the day, and "{ELSE}"', name, given=table)
    expected = 'a whole number from 0, or "unlimited"'
    hours = [
        (_hours(name, key, each), _amount(name, key, each, expected)) for key, each in table.items() if key != ELSE
    ]
    return ScheduledLimit(tuple(hours), _amount(name, ELSE, table[ELSE], expected))


def _hours(name: str, key: str, given: object) -> Hours:
    found = _RANGE.fullmatch(key)
    if found is not None:
        first, last, *digits = found.groups()
        begin, end = (60 * int(hour) + int(minute) for hour, minute in (digits[:2], digits[2:]))
        if begin < _END_OF_DAY >= end and begin != end:
            return Hours(_days(first, last), begin, end)
    raise _wrong(name, key, given, 'no such key; parts of a day are such as "08:00-18:00", "mon-fri 22:00-06:00"')


def _days(first: str | None, last: str | None) -> frozenset[int]:
    """Return the days from the first to the last one, perhaps over the end of the week; all days for `None`."""
    if first is None:
        return frozenset(range(7))
    begin = _DAYS.index(first)
    count = 0 if last is None else (_DAYS.index(last) - begin) % 7
    return frozenset((begin + number) % 7 for number in range(count + 1))


def _amount(name: str, key: str | None, value: object, expected: str) -> int | None:
    if value == "unlimited":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(name, key, value, expected)
    return value


def _wrong(name: str, key: str | None, given: object, expected: str) -> ExpectedError:
    return ExpectedError(expected, name, *([] if key is None else [key]), given=given)
