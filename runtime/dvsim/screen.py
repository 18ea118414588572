"""`DVSimScreen`: the screen of a run that DVSim shows: what the runtime has to say is a line of DVSim's log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio
from dvsim.logging import log

from runtime.cli.screen import Screen
from runtime.report.progress import RunProgress, RunSnapshot
from runtime.report.summary import Line
from runtime.report.text import printable
from runtime.report.user_messages import USER_MESSAGES


class DVSimScreen(Screen):
    """Shows neither progress nor a summary, which are DVSim's."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record. May be called from any thread."""
        log.log(record.levelno, "%s", printable(self.format(record).removeprefix(f"{record.levelname}: ")))

    def say(self, text: str, style: str = "") -> None:
        """Log a line of text."""
        USER_MESSAGES.info("%s", text)
        log.log(logging.WARNING if style == "yellow" else logging.INFO, "%s", printable(text))

    async def follow(self, progress: RunProgress, snapshot: Callable[[], RunSnapshot]) -> None:
        """Wait until cancelled."""
        await trio.sleep_forever()

    async def finish(self, progress: RunProgress, last: Sequence[Line]) -> None:
        """Show nothing more."""
        await trio.lowlevel.checkpoint()
