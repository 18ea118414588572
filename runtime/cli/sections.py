"""Shows sections of lines on one screen, for the commands about runs that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.report.output import Output
from runtime.report.screen_fit import Section, fit

_ROWS: Final = 50
"""Lines of the text where it goes to no terminal. Arbitrary: some screen."""
_NO_WRAP: Final = 1 << 30


def show_sections(sections: Sequence[Section], output: Output, *, whole: bool) -> None:
    """Write sections, as much as fits on one screen unless `whole`."""
    columns, rows = output.size if output.is_terminal else (_NO_WRAP, _ROWS)
    # The last row is for the prompt of the shell.
    output.show(fit(sections, None if whole else rows - 1, columns))
