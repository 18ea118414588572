"""`fit`: sections of lines, of which each gets its share of one screen. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.report.summary import Line


@attrs.frozen
class Section:
    """Lines under a title."""

    title: Line
    items: Sequence[Sequence[Line]]
    """Each is shown as a whole or not at all, and has at least one line."""


def fit(sections: Sequence[Section], rows: int | None, width: int) -> list[Line]:
    """Return the lines of sections; what does not fit is counted, at the end of each section.

    All sections are shown, the first ones with more items than the last ones, if not all fit.

    Args:
        sections: those without items are left out, unless they have nothing but a title.
        rows: how many rows of a terminal there are; `None` for no limit.
        width: columns of the terminal, which lines wrap at.
    """
    shown = [0 for _ in sections]
    left = None if rows is None else rows - sum(_rows([each.title], width) + bool(each.items) for each in sections)
    growing = list(range(len(sections)))
    while growing:
        for index in list(growing):
            items = sections[index].items
            if shown[index] == len(items):
                growing.remove(index)
                continue
            # The row of the last item is there already: that of the count, which is not needed then.
            needed = _rows(items[shown[index]], width) - (shown[index] == len(items) - 1)
            if left is not None and needed > left:
                growing.remove(index)
                continue
            shown[index] += 1
            left = None if left is None else left - needed
    lines: list[Line] = []
    for section, count in zip(sections, shown, strict=True):
        lines.append(section.title)
        for item in section.items[:count]:
            lines += item
        if more := len(section.items) - count:
            lines.append(((f"  … and {more} more (--all)", "dim"),))
    return lines


def _rows(lines: Sequence[Line], width: int) -> int:
    return sum(max(1, -(-sum(len(text) for text, _ in line) // width)) for line in lines)
