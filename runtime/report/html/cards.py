"""What the first screen shows of a group of failures: its size, and the failure to look at first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from runtime.report.again import Again
from runtime.report.excerpts import ExcerptLine, around_failure, excerpt
from runtime.report.groups import Group, Groups
from runtime.report.html.log_links import link, log_below
from runtime.report.html.texts import one_line
from runtime.report.text import printable, short_duration

MAX_TITLE: Final = 200
"""Characters of the message of a group. Arbitrary: a message is a sentence."""
_MAX_LINES: Final = 7
"""Lines of a log in a card. Arbitrary: the failing one and three on each side; the job's details have more."""
_MAX_COMMAND: Final = 2000
"""Characters of a command in a card; of a longer one the beginning would do something else, so it is left out."""


@attrs.frozen
class Card:
    """A group of failures."""

    number: int
    """What identifies it on the page."""
    message: str
    is_rule: bool
    """Whether that is the name of a rule of the job file."""
    is_new: bool
    """Whether the run before had no failure with this message."""
    count: int
    job: str
    """The id of the failure that ran the shortest time, printable."""
    took: str | None
    lines: Sequence[ExcerptLine]
    log: str | None
    """The URL of its log."""
    commands: Sequence[tuple[str, str]]
    """What each does, and the command: those that run it again, without and with waves."""


@attrs.frozen
class Section:
    """A part of the first screen."""

    name: str
    """What identifies it on the page."""
    title: str
    cards: Sequence[Card]
    more: int
    """Groups that are not shown."""
    is_brief: bool
    """Whether only count, message and a job are shown of each group."""
    count: int
    """Jobs in all of its groups."""


def sections_of(groups: Groups, run_dir: str, base: str | None, again: Again) -> Sequence[Section]:
    """Return the parts of the first screen that have something in them.

    Args:
        groups: of the failures.
        run_dir: the run directory.
        base: its URL, as `log_links.base_of` returns it; `None` for no links to logs.
        again: makes the commands for failures of the design. To run another one again would show nothing.
    """
    # How many groups each shows is arbitrary: more would not fit a screen or two.
    parts = (
        ("design", "Failures of the design", groups.design, 8, False),
        ("infrastructure", "Failures of the infrastructure", groups.infrastructure, 4, False),
        ("known", "Known failures", groups.known, 6, True),
        ("never-ran", "Never ran", groups.never_ran, 6, True),
    )
    found, number = [], 0
    for name, title, members, most, is_brief in parts:
        cards = [
            _card(group, number + index, run_dir, base, again if name == "design" else None)
            for index, group in enumerate(members[:most])
        ]
        count = sum(len(group.members) for group in members)
        if cards:
            found.append(Section(name, title, cards, len(members) - len(cards), is_brief, count))
        number += len(members)
    return found


def _card(group: Group, number: int, run_dir: str, base: str | None, again: Again | None) -> Card:
    first = group.members[0]
    commands: list[tuple[str, str | None]] = []
    if again is not None:
        commands = [("again", again.command(first)), ("with waves", again.with_waves(first.id))]
    return Card(
        number,
        one_line(group.message, MAX_TITLE) or "no message",
        group.is_rule,
        group.is_new,
        len(group.members),
        printable(first.id),
        None if first.started is None else short_duration(first.ended - first.started),
        around_failure(excerpt(first.reason), _MAX_LINES),
        link(base, log_below(first.log_path, run_dir)),
        [(what, text) for what, text in commands if text is not None and len(text) <= _MAX_COMMAND],
    )
