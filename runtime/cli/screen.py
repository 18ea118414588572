"""`Screen`: what a run shows while it goes, live on a terminal or as plain lines elsewhere.

One task of the run feeds it. It writes in a thread, because the user may stop the terminal with Ctrl-S, and the run
must go on.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from runtime.process import in_thread
from runtime.report.live_area import LiveArea, render
from runtime.report.output import Output
from runtime.report.progress import RunProgress, RunSnapshot, expected_line, progress_line
from runtime.report.summary import Line, failure_line
from runtime.report.text import printable
from runtime.report.user_messages import USER_MESSAGES

LIVE_INTERVAL: Final = 0.5
"""Seconds between two updates. Arbitrary: as for a page in a browser (`runtime.serve.feeds.INTERVAL`). Ten times
longer, it would seem to hang; ten times shorter, drawing would cost a noticeable part of a CPU."""
MAX_FAILURES_AT_ONCE: Final = 20
"""Failures that get a line each, of those in one update. Arbitrary: ten times more would scroll everything else away
when a licence server fails; ten times fewer would hide most failures of a usual run."""
CLEAR_TIMEOUT: Final = 1.0
"""Seconds for clearing the live area before an interactive job. Arbitrary: ten times longer, the job would seem to hang
when the terminal is stopped; ten times shorter, a slow terminal would keep the live area."""
MAX_PENDING_LINES: Final = 1000
"""Lines of the log that may wait for the screen; older ones are dropped. ``--log-file`` keeps all. Arbitrary: ten times
more, a terminal that was stopped shows pages of old lines; ten times fewer, a burst of warnings loses some."""


class Screen(logging.Handler):
    """Shows a run's progress, its failures and its log. As a handler it may be called from any thread.

    Errors go to standard error, as those before and after the run do; but above a live area, if there is one.

    Args:
        output: to write to.
        errors: to write errors of the log to.
        relative_to: the directory that paths are shown relative to.
        interval: seconds between two lines of progress where there is no live area; `math.inf` for none.
        live: whether to draw a live area if `output` is a terminal.
    """

    def __init__(self, output: Output, errors: Output, relative_to: Path, *, interval: float, live: bool) -> None:
        super().__init__()
        self._output = output
        self._errors = errors
        self._relative_to = relative_to
        self._interval = interval
        self._area = LiveArea(output) if live and output.is_terminal else None
        self._pending: deque[Line] = deque(maxlen=MAX_PENDING_LINES)
        self._pending_errors: deque[Line] = deque(maxlen=MAX_PENDING_LINES)
        self._limiter = trio.CapacityLimiter(1)  # one writer at a time: lines must not mix
        self._next_line = math.inf
        self.held = False
        """Whether an interactive job has the terminal now, so that nothing may be written."""
        self._lent = 0
        """How many interactive jobs the terminal is lent to. As `held`, but set before their start."""
        self._redraw_below = False

    @property
    def is_live(self) -> bool:
        """Whether it draws a live area."""
        return self._area is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, soon. May be called from any thread: `deque.append` is atomic."""
        text = printable(self.format(record))
        if record.levelno >= logging.ERROR and self._area is None:
            self._pending_errors.append(((f"job-runtime: {text}", ""),))
        else:
            self._pending.append(((text, "yellow" if record.levelno >= logging.WARNING else "dim"),))

    def say(self, text: str, style: str = "") -> None:
        """Show a line of text, soon."""
        USER_MESSAGES.info("%s", text)
        self._pending.append(((printable(text), style),))

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Lend the terminal to an interactive job for a block, and clear the live area before it.

        A terminal that takes no output, because it was stopped with Ctrl-S, delays the block by `CLEAR_TIMEOUT`.
        """
        self._lent += 1
        try:
            with trio.move_on_after(CLEAR_TIMEOUT):
                await in_thread(self._clear, limiter=self._limiter)
            yield
        finally:
            self._lent -= 1

    def redraw_below(self) -> None:
        """Draw the next live area below what another program has written to the terminal meanwhile."""
        self._redraw_below = True

    async def follow(self, progress: RunProgress, snapshot: Callable[[], RunSnapshot]) -> None:
        """Show the run until cancelled. A write in progress is completed before any other."""
        self._next_line = trio.current_time() + self._interval
        while True:
            await trio.sleep(LIVE_INTERVAL)
            if not self.held and not self._lent:
                await self._write(self._lines(progress), snapshot(), due=trio.current_time() >= self._next_line)

    async def finish(self, progress: RunProgress, last: Sequence[Line]) -> None:
        """Remove the live area, show lines that are still pending, and then the `last` lines."""
        lines = self._lines(progress)
        _log(last)
        await in_thread(self._finish, [*lines, *last], _take(self._pending_errors), limiter=self._limiter)

    async def _write(self, lines: list[Line], snapshot: RunSnapshot, *, due: bool) -> None:
        if self._area is not None:
            await in_thread(self._draw, self._area, lines, snapshot, limiter=self._limiter)
            return
        if due:
            expected = expected_line(snapshot)
            lines.append((*progress_line(snapshot), *([("; ", ""), *expected] if expected else ())))
            _log(lines[-1:])
            self._next_line = trio.current_time() + self._interval
        if lines:
            await in_thread(self._output.show, lines, limiter=self._limiter)
        if errors := _take(self._pending_errors):
            await in_thread(self._errors.show, errors, limiter=self._limiter)

    def _lines(self, progress: RunProgress) -> list[Line]:
        """Return new lines: the log, and the failures, unless a live area shows these."""
        lines = _take(self._pending)
        new = progress.take_failures()
        failures = [failure_line(result, self._relative_to) for result in new[:MAX_FAILURES_AT_ONCE]]
        if len(new) > MAX_FAILURES_AT_ONCE:
            failures.append(((f"… and {len(new) - MAX_FAILURES_AT_ONCE} more that did not pass", "dim"),))
        retries = progress.take_retries()
        failures += retries[:MAX_FAILURES_AT_ONCE]
        if len(retries) > MAX_FAILURES_AT_ONCE:
            failures.append(((f"… and {len(retries) - MAX_FAILURES_AT_ONCE} more that are tried again", "dim"),))
        _log(failures)
        return lines + failures if self._area is None else lines

    def _draw(self, area: LiveArea, lines: list[Line], snapshot: RunSnapshot) -> None:
        self._skip_foreign_output(area)
        area.draw(render(snapshot, self._relative_to, self._output.size), lines)

    def _clear(self) -> None:
        if self._area is not None:
            self._skip_foreign_output(self._area)
            self._area.clear()

    def _skip_foreign_output(self, area: LiveArea) -> None:
        if self._redraw_below:
            self._redraw_below = False
            area.leave()

    def _finish(self, lines: list[Line], errors: list[Line]) -> None:
        self._clear()
        self._output.show(lines)
        self._errors.show(errors)


def _take(lines: deque[Line]) -> list[Line]:
    """Remove and return the lines that have come so far; another thread may add more meanwhile."""
    return [lines.popleft() for _ in range(len(lines))]


def _log(lines: Iterable[Line]) -> None:
    """Send lines that are shown to the log file, if there is one."""
    for line in lines if USER_MESSAGES.isEnabledFor(logging.INFO) else ():
        if line:
            USER_MESSAGES.info("%s", "".join(text for text, _ in line))
