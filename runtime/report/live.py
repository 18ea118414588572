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
from runtime.report.summary import STYLES, Line, failure_line
from runtime.report.text import printable, short_duration

MAX_RUNNING: Final = 10
"""Running jobs in sight. Out of the air."""


class LiveArea:
    """The lines that change. Blocks as its output does; one call at a time."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._drawn = 0

    def draw(self, lines: Sequence[str], above: Iterable[Line] = ()) -> None:
        """Show `lines`, none of which may be wider than the terminal, and let the lines `above` stay for good."""
        kept = styled(above, self._output.size[0])
        self._output.write(self._erase() + kept + "".join(line + "\n" for line in lines))
        self._drawn = len(lines)

    def clear(self) -> None:
        """Take the changing lines away."""
        self._output.write(self._erase())
        self._drawn = 0

    def _erase(self) -> str:
        return f"\r\x1b[{self._drawn}A\x1b[J" if self._drawn else ""


def render(moment: Snapshot, run_dir: Path, beside: Path, size: tuple[int, int]) -> list[str]:
    """Return a snapshot as lines for a terminal of this size (columns and rows), with paths relative to `beside`."""
    from rich.table import Table
    from rich.text import Text

    # A line as wide as the terminal makes some terminals wrap.
    width, height = max(20, size[0] - 1), max(4, size[1] - 1)
    console, buffer = terminal_console(width)
    rows: list[Any] = [_bar(moment, width), Text.assemble(*progress_line(moment))]
    room = height - len(rows)
    recent = list(moment.recent)[-max(0, min(len(moment.recent), room // 3)) :] if room > 2 else []  # noqa: PLR2004
    room = min(MAX_RUNNING, room - len(recent) - 1)
    running = Table.grid(padding=(0, 2))
    running.add_column(justify="right", no_wrap=True)
    running.add_column(no_wrap=True, overflow="ellipsis")
    running.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for job_id, seconds, note in moment.running[:room]:
        running.add_row(short_duration(seconds), Text(printable(job_id)), Text(printable(note)))
    if room > 0 and moment.running:
        rows.append(running)
        left = moment.counts.get(JobStatus.RUNNING, 0) - len(moment.running[:room])
        if left > 0:
            rows.append(Text(f"… and {left} more", style="dim"))
    rows += [Text.assemble(*failure_line(result, run_dir, beside)) for result in recent]
    for row in rows:
        console.print(row, no_wrap=True, overflow="ellipsis", crop=True)
    return buffer.getvalue().splitlines()[:height]


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
