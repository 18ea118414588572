"""Shows sections of lines on one screen, for the commands about runs that there are."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.report.output import Output
from runtime.report.screen_fit import Section, screen_lines


def show_sections(sections: Sequence[Section], output: Output, *, whole: bool) -> None:
    """Write sections, as much as fits on one screen unless `whole`."""
    output.show(screen_lines(sections, output.screen, whole=whole))
