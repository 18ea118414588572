"""`fit`: sections of lines, of which each gets its share of one screen. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from runtime.report.summary import Line
from runtime.report.text import columns_of

MOST: Final = 20
"""Items of a section that are shown where there is no screen. Arbitrary: ten times more, and a log of CI has pages of
them; with two, failures that differ are not seen."""
NO_SCREEN: Final = 1 << 30
"""Columns where lines do not wrap, as in a file."""


@attrs.frozen
class Section:
    """Lines under a title."""

    title: Line
    items: Sequence[Sequence[Line]] = ()
    """Each has at least one line, and is shown as a whole, or its first line alone, or not at all."""
    heads_first: bool = False
    """Whether the first lines of all items are shown before the other lines of the second one."""


def screen_lines(
    sections: Sequence[Section], screen: tuple[int, int] | None, *, whole: bool = False, hint: str = "--all"
) -> list[Line]:
    """Return the lines of sections that are shown at once.

    Args:
        sections: all that there is.
        screen: columns and rows of the terminal, of which the last row is for the prompt of the shell; `None` if it is
            none: then there is no height to fit, and each section shows its first `MOST` items.
        whole: whether all items are shown, whatever the screen.
        hint: what shows the rest, for the user.
    """
    if whole:
        return fit(sections, None, NO_SCREEN)
    if screen is None:
        return fit(sections, None, NO_SCREEN, most=MOST, hint=hint)
    return fit(sections, screen[1] - 1, screen[0], hint=hint)


def fit(
    sections: Sequence[Section], rows: int | None, width: int, *, most: int | None = None, hint: str = "--all"
) -> list[Line]:
    """Return the lines of sections; what does not fit is counted in the title of its section.

    All titles are shown. Then each section in turn gets its next item, as a whole if that fits, or else its first line.
    If there is room left, items get their other lines, the first ones first.

    Args:
        sections: those without items have nothing but a title.
        rows: how many rows of a terminal there are; `None` for no limit.
        width: columns of the terminal, which lines wrap at.
        most: items of each section that are shown at most; `None` for no limit.
        hint: what shows the rest, for the user.
    """
    shown: list[list[Sequence[Line]]] = [[] for _ in sections]
    left = math.inf
    if rows is not None:
        left = rows - sum(_rows([_title(section, len(section.items), hint)], width) for section in sections)
    growing = list(range(len(sections)))
    while growing:
        for index in list(growing):
            section, got = sections[index], shown[index]
            item = () if len(got) in (len(section.items), most) else section.items[len(got)]
            parts = (item[:1],) if got and section.heads_first else (item, item[:1])
            part = next((each for each in parts if each and _rows(each, width) <= left), None)
            if part is None:
                growing.remove(index)
            else:
                got.append(part)
                left -= _rows(part, width)
    for section, got in zip(sections, shown, strict=True):
        for number, part in enumerate(got):
            more = _rows(section.items[number][len(part) :], width)
            if more <= left:
                got[number] = section.items[number]
                left -= more
    lines: list[Line] = []
    for section, got in zip(sections, shown, strict=True):
        cut = any(len(part) < len(item) for part, item in zip(got, section.items, strict=False))
        lines.append(_title(section, len(section.items) - len(got), hint, cut=cut))
        for part in got:
            lines += part
    return lines


def _title(section: Section, missing: int, hint: str, *, cut: bool = False) -> Line:
    """Return the title of a section, and how many of its items are not shown, or whether some are cut."""
    if missing:
        return (*section.title, (f"  ({missing} more: {hint})", "dim"))
    return (*section.title, (f"  (more: {hint})", "dim")) if cut else section.title


def _rows(lines: Sequence[Line], width: int) -> int:
    return sum(max(1, -(-sum(columns_of(text) for text, _ in line) // width)) for line in lines)
