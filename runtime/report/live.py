"""`LiveArea`: some lines at the bottom of the terminal that change, below the lines that stay.

It is drawn anew as a whole, by one write, with nothing but "cursor up" and "clear to the end". It hides no cursor,
needs no alternate screen and changes no mode: even after SIGKILL the terminal is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from runtime.job import JobStatus
from runtime.report.output import Output, styled, terminal_console
from runtime.report.progress import Snapshot, progress_line
from runtime.report.summary import STYLES, Line, Piece, failure_line
from runtime.report.text import printable, short_duration

MAX_RUNNING: Final = 10
"""Running jobs in sight. Arbitrary."""
TIME_WIDTH: Final = 11
"""Columns for how long a job has run, up to ``999:59:59``, and the two after it."""
MAX_ID_WIDTH: Final = 72
"""Columns for an id, and the two after it, where there is room for more. Arbitrary."""
NOTES_FROM: Final = 40
"""Columns of a terminal from which on there is room for where a job runs. Arbitrary."""


class LiveArea:
    """The lines that change. Blocks as its output does; one call at a time."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._drawn = 0

    def draw(self, lines: Sequence[str], above: Iterable[Line] = ()) -> None:
        """Show `lines`, none of which may be wider than the terminal, and let the lines `above` stay for good."""
        kept = styled(above, self._output.size[0])
        shown = self._output.write(self._erase() + kept + "".join(line + "\n" for line in lines))
        self._drawn = len(lines) if shown else 0

    def leave(self) -> None:
        """Let what is drawn stay where it is: somebody else has written below it."""
        self._drawn = 0

    def clear(self) -> None:
        """Take the changing lines away."""
        self._output.write(self._erase())
        self._drawn = 0

    def _erase(self) -> str:
        return f"\r\x1b[{self._drawn}A\x1b[J" if self._drawn else ""


def render(moment: Snapshot, run_dir: Path, beside: Path, size: tuple[int, int]) -> list[str]:
    """Return a snapshot as lines for a terminal of this size (columns and rows), with paths relative to `beside`."""
    from rich.text import Text

    # A line as wide as the terminal makes some terminals wrap.
    width, height = max(20, size[0] - 1), max(4, size[1] - 1)
    console, buffer = terminal_console(width)
    rows: list[Any] = [_bar(moment, width), *(Text.assemble(*line) for line in packed(progress_line(moment), width))]
    room = height - len(rows)
    count = min(len(moment.recent), room // 3)
    recent = list(moment.recent)[-count:] if count > 0 else []
    room = min(MAX_RUNNING, room - len(recent) - 1)
    if room > 0 and moment.running:
        rows += [running_row(*running, width) for running in moment.running[:room]]
        left = moment.counts.get(JobStatus.RUNNING, 0) - len(moment.running[:room])
        if left > 0:
            rows.append(Text(f"… and {left} more", style="dim"))
    rows += [Text.assemble(*failure_line(result, run_dir, beside)) for result in recent]
    for row in rows:
        console.print(row, no_wrap=True, overflow="ellipsis", crop=True)
    return buffer.getvalue().splitlines()[:height]


def running_row(job_id: str, seconds: float, note: str, width: int) -> Any:
    """Return the line of a job that runs: its time, its id, and where it runs, each in a column of its own.

    How wide the columns are depends on the terminal alone, so that they stay where they are from picture to picture.
    """
    from rich.text import Text

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
    """Return the pieces of `line` in as many lines as they need: no piece is cut where a new line would do."""
    lines: list[list[Piece]] = [[]]
    for text, style in line:
        if lines[-1] and sum(len(each) for each, _ in lines[-1]) + len(text.rstrip()) > width:
            lines.append([])
        lines[-1].append((text, style))
    return [tuple(pieces) for pieces in lines]


def _bar(moment: Snapshot, width: int) -> Any:
    """Return the title, and a bar of which each part is as long as its share of the jobs."""
    from rich.text import Text

    title = Text(printable(moment.title), style="bold")
    cells = max(10, width - title.cell_len - 2)
    bar = Text()
    used = 0
    for status in (JobStatus.FAILED, JobStatus.KILLED, JobStatus.PASSED):
        count = moment.counts.get(status, 0)
        # A single failure among thousands is seen.
        length = min(cells - used, max(1 if count else 0, count * cells // max(1, moment.total)))
        bar.append("━" * length, style=STYLES[status])
        used += length
    bar.append("─" * (cells - used), style="dim")
    return Text.assemble(title, "  ", bar)
