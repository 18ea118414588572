"""Text that nobody has checked, as code in Markdown: the fences around it are longer than any in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runtime.job.shorten import shorten
from runtime.report.text import printable, printable_line

MAX_TEXT: Final = 300
"""Characters of a message or a name. Arbitrary: ten times more, and one message fills the page; a tenth would cut it
before the cause."""


def span(text: str) -> str:
    """Return a text as a span of code: in a paragraph or a heading, not in a table, where ``|`` ends it."""
    text = printable(shorten(text, MAX_TEXT)) or " "
    fence = "`" * (_longest_run(text) + 1)
    # Next to a backtick the fence would be longer; and of blanks at both ends, one each belongs to the fences.
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def block(language: str, lines: Iterable[str]) -> str:
    """Return lines as a block of code, with an empty line before it."""
    shown = [printable_line(line) for line in lines]
    fence = "`" * max(3, max(map(_longest_run, shown), default=0) + 1)
    return "".join(f"{line}\n" for line in ("", f"{fence}{language}", *shown, fence))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
