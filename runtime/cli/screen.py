"""`Screen`: all that a run says while it goes, live on a terminal or as plain lines elsewhere.

One task of the run feeds it; what it writes is written in a thread, because a person may stop the terminal with Ctrl-S,
and the run goes on.
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
from runtime.report.live import LiveArea, render
from runtime.report.messages import USER_MESSAGES
from runtime.report.output import Output
from runtime.report.progress import RunProgress, RunSnapshot, progress_line
from runtime.report.summary import Line, failure_line
from runtime.report.text import printable

LIVE_INTERVAL: Final = 0.25
"""Seconds between two pictures: what an eye takes for at once."""
MAX_SAID_AT_ONCE: Final = 20
"""Failures that are said one by one, of those that come together. Arbitrary."""
GIVE_UP_TIMEOUT: Final = 1.0
"""Seconds that the terminal may take to be cleared for somebody else. Arbitrary: ten times longer, an interactive job
would seem to hang."""
MAX_NOTES: Final = 1000
"""Lines of the log that wait for the screen at most; older ones go. ``--log-file`` keeps all."""


class Screen(logging.Handler):
    """Shows a run's progress, its failures and its log. As a handler it may be called from any thread.

    Args:
        output: where to.
        run_dir: the run's directory.
        beside: the directory that paths are shown relative to.
        interval: seconds between two lines of progress on what is no terminal; `math.inf` for none.
        live: whether to keep a live area, where the output is a terminal.
    """

    def __init__(self, output: Output, run_dir: Path, beside: Path, *, interval: float, live: bool) -> None:
        super().__init__()
        self._output = output
        self._run_dir = run_dir
        self._beside = beside
        self._interval = interval
        self._area = LiveArea(output) if live and output.is_terminal else None
        self._notes: deque[Line] = deque(maxlen=MAX_NOTES)
        self._news = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._next_line = math.inf
        self.held = False
        """Whether the terminal belongs to somebody else just now: an interactive job."""
        self._lent = 0
        self._left = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the log."""
        self._notes.append(
            ((printable(self.format(record)), "yellow" if record.levelno >= logging.WARNING else "dim"),)
        )

    def say(self, text: str, style: str = "") -> None:
        """Take a line of text, to be shown soon."""
        USER_MESSAGES.info("%s", text)
        self._notes.append(((printable(text), style),))

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Leave the terminal to somebody else for a block: what is drawn is gone before it begins.

        A terminal that takes nothing, as it was stopped with Ctrl-S, is not waited for.
        """
        self._lent += 1
        try:
            with trio.move_on_after(GIVE_UP_TIMEOUT):
                await in_thread(self._give_up, limiter=self._limiter)
            yield
        finally:
            self._lent -= 1

    def leave(self) -> None:
        """Say that somebody else has written to the terminal: what comes next is drawn below that."""
        self._left = True

    async def follow(self, progress: RunProgress, moment: Callable[[], RunSnapshot]) -> None:
        """Show the run until cancelled. What is being written then is written to its end, before anything else is."""
        self._next_line = trio.current_time() + self._interval
        while True:
            await trio.sleep(LIVE_INTERVAL)
            if not self.held and not self._lent:
                await self._write(self._lines(progress), moment(), due=trio.current_time() >= self._next_line)

    async def finish(self, progress: RunProgress, last: Sequence[Line]) -> None:
        """Take the live area away, show what has not been shown, and then the `last` lines."""
        lines = self._lines(progress)
        _note(last)
        await in_thread(self._finish, [*lines, *last], limiter=self._limiter)

    async def _write(self, lines: list[Line], moment: RunSnapshot, *, due: bool) -> None:
        if self._area is not None:
            await in_thread(self._draw, self._area, lines, moment, limiter=self._limiter)
            return
        if due:
            lines.append(progress_line(moment))
            _note(lines[-1:])
            self._next_line = trio.current_time() + self._interval
        if lines:
            await in_thread(self._output.show, lines, limiter=self._limiter)

    def _lines(self, progress: RunProgress) -> list[Line]:
        """Return what is to be said and stays: the log, and the failures, unless a live area has them in sight."""
        lines = []
        while self._notes:
            lines.append(self._notes.popleft())
        failures = progress.take_failures()
        said = [failure_line(result, self._run_dir, self._beside) for result in failures[:MAX_SAID_AT_ONCE]]
        if len(failures) > MAX_SAID_AT_ONCE:
            said.append(((f"… and {len(failures) - MAX_SAID_AT_ONCE} more that did not pass", "dim"),))
        _note(said)
        return lines + said if self._area is None else lines

    def _draw(self, area: LiveArea, lines: list[Line], moment: RunSnapshot) -> None:
        self._take_note_of_others(area)
        area.draw(render(moment, self._run_dir, self._beside, self._output.size), lines)

    def _give_up(self) -> None:
        if self._area is not None:
            self._take_note_of_others(self._area)
            self._area.clear()

    def _take_note_of_others(self, area: LiveArea) -> None:
        if self._left:
            self._left = False
            area.leave()

    def _finish(self, lines: list[Line]) -> None:
        self._give_up()
        self._output.show(lines)


def _note(lines: Iterable[Line]) -> None:
    """Have a log file get what is shown."""
    for line in lines if USER_MESSAGES.isEnabledFor(logging.INFO) else ():
        if line:
            USER_MESSAGES.info("%s", "".join(text for text, _ in line))
