"""Groups of failures, as lines of the summary: a message and its count, and what there is of the shortest job. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import attrs

from runtime.job.shorten import shorten
from runtime.report.again import Again
from runtime.report.buckets import headline
from runtime.report.excerpts import around_failure, excerpt
from runtime.report.groups import Group, Result
from runtime.report.pass_rates import place_of
from runtime.report.screen_fit import NO_SCREEN
from runtime.report.summary import MAX_MESSAGE, Line
from runtime.report.text import columns_of, cut, path_text, printable, printable_start, short_duration

INDENT: Final = "       "
"""Before the lines of a group, so that the message stands out."""
MAX_CONTEXT: Final = 3
"""Lines of a log that are shown of a group: the one that failed, and one on each side. Arbitrary: the log has the rest;
ten times more, and one group fills the screen."""
MAX_IDS: Final = 3
"""Jobs that are named in a line. Arbitrary: ten times more would never fit."""


@attrs.frozen
class View:
    """How a summary is shown."""

    relative_to: Path
    """The directory that paths are shown relative to."""
    columns: int = NO_SCREEN
    """At which lines are cut, but for paths and commands, which can be copied; `NO_SCREEN` for no cut."""

    @classmethod
    def on(cls, screen: tuple[int, int] | None, relative_to: Path, *, whole: bool = False) -> Self:
        """Return how it is shown on a screen of so many columns and rows, or elsewhere, or as a whole."""
        return cls(relative_to, NO_SCREEN if screen is None or whole else screen[0])


def design_lines(group: Group, view: View, again: Again) -> list[Line]:
    """Return the lines of a group of failures of the design: all that is needed to look at the shortest one."""
    first = group.members[0]
    lines = [*head_lines(group, view), *_context(first, group.message, view), *log_lines(first, view)]
    for label, command in (("again", again.command(first)), ("waves", again.with_waves(first.id))):
        if command is not None:
            lines.append(((f"{INDENT}{label}: ", "dim"), (command, "")))
    return lines


def infrastructure_lines(group: Group, view: View) -> list[Line]:
    """Return the lines of a group of failures of the infrastructure: running one again would show nothing."""
    first = group.members[0]
    return [*head_lines(group, view), *_headline(first, group.message, view), *log_lines(first, view)]


def head_lines(group: Group, view: View) -> list[Line]:
    """Return how many failures there are of what message, and the shortest one."""
    count = f"{len(group.members):4} x {'new: ' if group.is_new else ''}"
    by = " (a rule of the job file)" if group.is_rule else ""
    message = cut(printable_start(group.message, MAX_MESSAGE) or "no message", view.columns - len(count) - len(by))
    return [((count, "bold red"), (message, "bold"), (by, "dim")), _job_line(group, view)]


def _job_line(group: Group, view: View) -> Line:
    """Return which jobs they are, and which ran the shortest time."""
    first = group.members[0]
    took = "" if first.started is None else short_duration(first.ended - first.started)
    job = printable(first.id)
    if len(group.members) == 1:
        text = f"{job}, {took}" if took else job
    else:
        place = printable(place_of(member.id for member in group.members))
        text = f"in {place}; shortest{f' ({took})' if took else ''}: {job}"
    return ((INDENT, ""), (cut(text, view.columns - len(INDENT)), ""))


def brief_line(group: Group, view: View, note: str = "") -> Line:
    """Return a line of a group: its size, its message and a note on it, and some of its jobs."""
    count = f"{len(group.members):4} x "
    ids = [printable(result.id) for result in group.members[: MAX_IDS + 1]]
    text = printable_start(group.message, MAX_MESSAGE) or "no message"
    noted = f"{text} ({printable(shorten(note, MAX_MESSAGE))})" if note else text
    message = cut(noted, view.columns - len(count))
    names = ", ".join(ids[:MAX_IDS]) + (", …" if len(ids) > MAX_IDS else "")
    left = view.columns - len(count) - columns_of(message)
    return ((count, "yellow"), (message, ""), (cut(f": {names}", left), "dim"))


def log_lines(result: Result, view: View) -> list[Line]:
    """Return the path of the log of a job, if it has one."""
    if result.log_path is None:
        return []
    return [((f"{INDENT}log:   ", "dim"), (path_text(result.log_path, view.relative_to), ""))]


def _headline(result: Result, message: str, view: View) -> Iterator[Line]:
    """Yield the message of one failure, if that of its group does not have all of it: numbers, names of nodes."""
    text = headline(result)
    if message not in text:
        yield ((INDENT, ""), (cut(printable_start(text, MAX_MESSAGE), view.columns - len(INDENT)), "red"))


def _context(result: Result, message: str, view: View) -> Iterator[Line]:
    """Yield the line of the log that failed, and those around it; nothing if the message is all there is."""
    lines = around_failure(excerpt(result.reason), MAX_CONTEXT)
    if all(line.text.strip() in message for line in lines):
        yield from _headline(result, message, view)
        return
    width = max(len(str(line.number)) for line in lines)
    for line in lines:
        number = "" if line.number is None else f"{line.number:{width}}{'>' if line.failing else ':'} "
        text = cut(shorten(line.text.expandtabs(), MAX_MESSAGE), view.columns - len(INDENT) - len(number))
        yield ((INDENT, ""), (number, "dim"), (text, "red" if line.failing else "dim"))
