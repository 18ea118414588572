"""Providers of the limits that a job file says by a command, or by the time of day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

import trio

from runtime.errors import ResourceError
from runtime.job import JobSpec
from runtime.job.shorten import shorten
from runtime.job.sizes import size_text
from runtime.jobfile.limits import CommandLimit, Limit, ScheduledLimit
from runtime.process.commands import CommandResult, Commands
from runtime.process.environment import inherited_environment, job_environment
from runtime.scheduler.providers import ResourceProvider
from runtime.scheduler.resources import Capacity

COMMAND_TIMEOUT: Final = 8.0
"""Seconds for a command. Arbitrary, but less than `PROVIDER_DEADLINE`, so that the message can name it."""
MAX_OUTPUT: Final = 1 << 16
"""Bytes that a command may print. Arbitrary: a number and whatever else a script says. Ten times more are of no use; a
tenth, and a script that is talkative gives no limit."""
SCHEDULE_INTERVAL: Final = 5.0
"""Seconds between two looks at the clock. Arbitrary: so late is a limit that changes at a full minute. Ten times longer
is seen, ten times shorter is of no use."""

_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_MAX_SHOWN: Final = 200
"""Characters of what a command has printed that a message shows. Arbitrary: about two lines."""


class CommandProvider:
    """Asks a command for a limit.

    Args:
        limit: the command.
    """

    def __init__(self, limit: CommandLimit) -> None:
        self._limit = limit
        self.interval: float = limit.every
        """Seconds between two calls."""

    async def capacity(self) -> int:
        """Return the number in the first line that the command prints.

        Its process group is killed when it has ended, after `COMMAND_TIMEOUT`, if it prints more than `MAX_OUTPUT`, and
        by a cancel, which is prompt.

        Raises:
            ResourceError: if it fails, prints anything else, or too much, or takes too long.
            BackendBrokenError: if SIGCHLD is ignored, so that exit codes are lost.
        """
        directory, command = str(self._limit.directory), self._limit.command
        environment = job_environment(inherited_environment(), {}, directory)
        # The command starts in its directory, and no text of the job file is quoted here.
        words = ["/bin/sh", "-c", 'cd -- "$1" && exec /bin/sh -c "$2"', "sh", directory, command]
        result = await Commands(environment, COMMAND_TIMEOUT, max_output=MAX_OUTPUT).run(words)
        line = result.output.partition("\n")[0].strip()
        if result.code != 0 or not _WHOLE.fullmatch(line):
            raise ResourceError(f"{shorten(ascii(command), _MAX_SHOWN)} {_why(result, line)}")
        return int(line)


def _why(result: CommandResult, line: str) -> str:
    """Return what is wrong with the result of a command that gives no limit."""
    if result.timed_out:
        return f"did not end within {COMMAND_TIMEOUT:g} s"
    if result.too_much:
        return f"printed more than {size_text(MAX_OUTPUT)}; expected a whole number in its first line"
    if result.code != 0:
        said = result.errors.strip().rpartition("\n")[2] or line
        how = "was ended by a signal, or could not be started" if result.code is None else f"ended with {result.code}"
        return how + (f": {shorten(ascii(said), _MAX_SHOWN)}" if said else "")
    return f"printed {shorten(ascii(line), _MAX_SHOWN)}; expected a whole number in its first line"


class ScheduleProvider:
    """Tells the limit of a schedule.

    Args:
        limit: the schedule.
        now: returns the local time.
    """

    def __init__(self, limit: ScheduledLimit, now: Callable[[], datetime] = datetime.now) -> None:
        self._limit = limit
        self._now = now
        self.interval: float = SCHEDULE_INTERVAL
        """Seconds between two calls."""

    async def capacity(self) -> Capacity:
        """Return the limit for the present time."""
        await trio.lowlevel.checkpoint()
        now = self._now()
        return self._limit.at(now.weekday(), 60 * now.hour + now.minute)


def limits_of_run(
    limits: Mapping[str, Limit], options: Iterable[tuple[str, int | None]], jobs: Iterable[JobSpec]
) -> dict[str, int | ResourceProvider | None]:
    """Return the limits for a `Scheduler`.

    Args:
        limits: of the job file.
        options: of the command line, which replace those.
        jobs: of the run.

    Raises:
        ResourceError: for a job that needs more than a schedule ever allows.
    """
    chosen: dict[str, Limit] = {**limits, **dict(options)}
    largest = {name: limit.largest for name, limit in chosen.items() if isinstance(limit, ScheduledLimit)}
    for job in jobs if largest else ():
        for name, amount in (job.resources or {}).items():
            most = largest.get(name)
            if most is not None and (1 if amount is None else amount) > most:
                needs = "all" if amount is None else str(amount)
                msg = f"job {job.id!r} needs {needs} of resource {name!r}, and its schedule allows {most}"
                raise ResourceError(msg)
    return {name: _provider(limit) for name, limit in chosen.items()}


def _provider(limit: Limit) -> int | ResourceProvider | None:
    if isinstance(limit, CommandLimit):
        return CommandProvider(limit)
    return ScheduleProvider(limit) if isinstance(limit, ScheduledLimit) else limit
