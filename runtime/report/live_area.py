"""`LiveArea`: lines at the bottom of the terminal that change, below the lines that stay.

It is redrawn as a whole, in one write, by "cursor up" and "clear to the end" alone. It hides no cursor, uses no
alternate screen and sets no mode, so even after SIGKILL the terminal is as it was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.job import JobStatus
from runtime.report.output import Output, styled, terminal_console
from runtime.report.progress import RunSnapshot, expected_line, progress_line, reasons_line, resources_line
from runtime.report.summary import STYLES, Line, Piece, failure_line
from runtime.report.text import printable, short_duration

if TYPE_CHECKING:  # an extra
    from rich.text import Text

MAX_RUNNING: Final = 10
"""Running jobs that are shown. Arbitrary: ten times more, and they fill the screen; with one, a stuck job is missed."""
TIME_WIDTH: Final = 11
"""Columns for how long a job has run, up to ``999:59:59``, and two blanks."""
MAX_ID_WIDTH: Final = 72
"""Columns for an id and two blanks, at most. Arbitrary: ten times more, and the note is far to the right on a wide
terminal; ten times less, and ids are cut for no reason."""
LEFT_FOR_JOBS: Final = 3
"""Rows that are left for jobs if what is expected, reasons to wait and resources are shown. Arbitrary: on a small
terminal jobs matter more."""
NOTES_FROM: Final = 40
"""Columns of the narrowest terminal on which the note, which tells where a job runs, is shown. Arbitrary: ten times
more, and it is never shown; ten times less, and it takes the columns that the id needs."""


class LiveArea:
    """Draws the lines that change. Blocks when its output does; calls must not overlap."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._drawn = 0

    def draw(self, lines: Sequence[str], above: Iterable[Line] = ()) -> None:
        """Replace the changing lines by `lines`, with the lines `above` before them, which stay.

        Args:
            lines: none may be wider than the terminal, because a line that wraps is not erased as a whole.
            above: lines that are never erased.
        """
        kept = styled(above, self._output.size[0])
        written = self._output.write(self._erase() + kept + "".join(line + "\n" for line in lines))
        self._drawn = len(lines) if written else 0

    def leave(self) -> None:
        """Keep what is drawn: another program has written below it, so it can no longer be erased."""
        self._drawn = 0

    def clear(self) -> None:
        """Erase the changing lines."""
        self._output.write(self._erase())
        self._drawn = 0

    def _erase(self) -> str:
        return f"\r\x1b[{self._drawn}A\x1b[J" if self._drawn else ""


def render(snapshot: RunSnapshot, relative_to: Path, size: tuple[int, int]) -> list[str]:
    """Return a snapshot as lines for a terminal.

    Args:
        snapshot: what to show.
        relative_to: the directory that paths are shown relative to.
        size: columns and rows of the terminal.
    """
    from rich.text import Text

    # One column less than there are: some terminals wrap a line that is exactly as wide as they are.
    width, height = max(20, size[0] - 1), max(4, size[1] - 1)
    console, buffer = terminal_console(width)
    rows: list[Text] = [
        _bar(snapshot, width),
        *(Text.assemble(*line) for line in packed(progress_line(snapshot), width)),
    ]
    in_use = resources_line(snapshot)  # of any length, so in one row
    more = [packed(line, width) for line in (expected_line(snapshot), reasons_line(snapshot)) if line]
    for parts in [*more, *([[in_use]] if in_use else [])]:
        if height - len(rows) - len(parts) >= LEFT_FOR_JOBS:
            rows += [Text.assemble(*part) for part in parts]
    left = height - len(rows)
    count = min(len(snapshot.recent), left // 3)
    recent = list(snapshot.recent)[-count:] if count > 0 else []
    left = max(0, min(MAX_RUNNING, left - len(recent) - 1))  # one row for "… and 7 more"
    rows += [running_row(*running, width) for running in snapshot.running[:left]]
    hidden = snapshot.counts.get(JobStatus.RUNNING, 0) - len(snapshot.running[:left])
    if left > 0 and snapshot.running and hidden > 0:
        rows.append(Text(f"… and {hidden} more", style="dim"))
    else:  # a job that waits, and of which it is known why, may be what a person looks for
        rows += [running_row(*waiting, width) for waiting in snapshot.waiting[: max(0, left - len(snapshot.running))]]
    for result in recent:
        new = [("NEW ", "bold red")] if result.id in snapshot.new_ids else []
        rows.append(Text.assemble(*new, *failure_line(result, relative_to)))
    # At once: each call of `print` takes as long as three rows do.
    console.print(Text("\n").join(rows), no_wrap=True, overflow="ellipsis", crop=True)
    return buffer.getvalue().splitlines()[:height]


def running_row(job_id: str, seconds: float, note: str, width: int) -> Text:
    """Return the line of a running job: its time, its id, and a note on where it runs, each in a column of its own."""
    from rich.text import Text

    # The widths depend on the terminal alone, so that the columns do not jump from one picture to the next.

    rest = width - TIME_WIDTH
    id_width = min(MAX_ID_WIDTH, rest - rest // 3) if width >= NOTES_FROM else rest
    row = Text(short_duration(seconds).rjust(TIME_WIDTH - 2) + "  ")
    for text, cells, style in ((job_id, id_width - 2, ""), (note, rest - id_width, "dim")):
        part = Text(printable(text), style=style)
        part.truncate(max(0, cells), overflow="ellipsis", pad=True)
        row.append_text(part).append("  ")
    row.truncate(width)
    row.rstrip()
    return row


def packed(line: Line, width: int) -> list[Line]:
    """Return the pieces of `line` in as many lines as they need; a line breaks between pieces only."""
    lines: list[list[Piece]] = [[]]
    for text, style in line:
        if lines[-1] and sum(len(each) for each, _ in lines[-1]) + len(text.rstrip()) > width:
            lines.append([])
        lines[-1].append((text, style))
    return [tuple(pieces) for pieces in lines]


def _bar(snapshot: RunSnapshot, width: int) -> Text:
    """Return the title and a bar, in which the length of each part is its share of the jobs."""
    from rich.text import Text

    title = Text(printable(snapshot.title), style="bold")
    cells = max(10, width - title.cell_len - 2)
    bar = Text()
    used = 0
    for status in (JobStatus.FAILED, JobStatus.KILLED, JobStatus.PASSED):
        count = snapshot.counts.get(status, 0)
        # At least one cell: a single failure among thousands must be visible.
        length = min(cells - used, max(1 if count else 0, count * cells // max(1, snapshot.total)))
        bar.append("━" * length, style=STYLES[status])
        used += length
    bar.append("─" * (cells - used), style="dim")
    return Text.assemble(title, "  ", bar)
