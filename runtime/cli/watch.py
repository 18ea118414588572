"""The command ``watch``: shows a run that another process runs, as that shows itself, and asks it for what keys say.

It reads the journal, and nothing else. So it can neither slow nor stop the run, but by a request as ``ctl`` makes it.
"""

from __future__ import annotations

import math
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from runtime.cli.ctl import ask
from runtime.cli.exit_on_signal import call_before_exit
from runtime.cli.past_runs import opened
from runtime.cli.run_expectations import expectations_of
from runtime.cli.run_news import news_in_time
from runtime.cli.screen import Screen
from runtime.ctl.messages import RunRequest
from runtime.ctl.sender import NoAnswerError
from runtime.jobfile.errors import InputError
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.follower import follow
from runtime.journal.lock import holder_of
from runtime.journal.records import Begin
from runtime.journal.replay import RunState
from runtime.process import in_thread
from runtime.report.group_lines import View
from runtime.report.output import Output
from runtime.report.progress import RunSnapshot
from runtime.report.recorded_progress import RecordedProgress
from runtime.report.run_report import report_sections
from runtime.report.screen_fit import screen_lines
from runtime.report.text import shell_word
from runtime.roots import RootedPath

_ROWS: Final = 100
"""Running jobs of a snapshot, at most; as for the display of the run itself."""
LEAVE_TIMEOUT: Final = 2.0
"""Seconds that a request may still take when somebody leaves. Arbitrary: a run looks for requests once a second; ten
times longer seems to hang, ten times shorter leaves without the answer of a run that has one."""
_HINT: Final = "keys: s stops the run, k kills its jobs, p pauses launching or lets it go on, q leaves"
_STOP, _KILL, _PAUSE, _QUIT, _YES = "skpqy"


def watch_run(path: Path, output: Output, errors: Output, *, interval: float) -> None:
    """Show a run until it has ended, and then its report; or until the user leaves. Blocks.

    Args:
        path: the run directory.
        output: to show it on.
        errors: for errors of the log.
        interval: seconds between two lines of progress where `output` is no terminal; 0 for none.

    Raises:
        OSError: if its journal cannot be read.
        JournalVersionError: if a newer version of this package writes it.
    """
    with opened(path) as directory:
        is_run = holder_of(directory) is not None
        if not is_run:
            directory.below(JOURNAL_NAME).status()  # raises if there is none: of a run that has just begun one will be
        screen = Screen(output, errors, Path.cwd(), interval=interval or math.inf, live=True)
        has_keys = is_run and output.is_terminal and sys.stdin is not None
        trio.run(_Watch(path, directory, screen).run, output, has_keys)


class _Watch:
    """The display of one run."""

    def __init__(self, path: Path, directory: RootedPath, screen: Screen) -> None:
        self._path = path
        self._directory = directory
        self._screen = screen
        self._recorded = RecordedProgress(str(directory))
        self._keys = Keys(path, self._recorded.state, partial(screen.say, style="yellow"))
        self._limiter = trio.CapacityLimiter(1)
        self._has_begun = trio.Event()
        self._failures: list[Exception] = []
        """Not raised in the nursery, which would wrap them in a group."""

    async def run(self, output: Output, has_keys: bool) -> None:
        """Show the run.

        Args:
            output: where its report goes.
            has_keys: whether somebody may ask something of it.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._screen.follow, self._recorded.progress, self._snapshot)
            nursery.start_soon(self._read_records, nursery.cancel_scope)
            if self._screen.is_live:
                nursery.start_soon(self._expect)
            if has_keys:
                nursery.start_soon(self._read_keys, sys.stdin.fileno(), nursery.cancel_scope)
        if self._failures:
            raise self._failures[0]
        state = self._recorded.state
        is_live = (
            not state.is_complete and await in_thread(holder_of, self._directory, limiter=self._limiter) is not None
        )
        self._recorded.progress.take_failures()  # the report has them
        news = None if is_live else await news_in_time(self._path.parent, lambda: state, trio.CancelScope())
        sections = report_sections(state, View.on(output.screen, Path.cwd()), is_live=is_live, history=news)
        lines = screen_lines(sections, output.screen, hint=f"job-runtime report {shell_word(self._path.name)} --all")
        await self._screen.finish(self._recorded.progress, lines)

    def _snapshot(self) -> RunSnapshot:
        return self._recorded.snapshot(time.time(), rows=_ROWS, note=self._keys.question)

    async def _expect(self) -> None:
        """Let the display know what earlier runs let expect, once the journal says of which job file they are."""
        await self._has_begun.wait()
        name = self._recorded.state.segments[-1].begin.details.get("name")
        self._recorded.progress.expect(await expectations_of(self._path, name if isinstance(name, str) else ""))

    async def _read_records(self, until: trio.CancelScope) -> None:
        try:
            async for record in follow(self._directory):
                self._recorded.apply(record)
                if isinstance(record, Begin):
                    self._has_begun.set()
        except Exception as exc:  # noqa: BLE001 - raised by `run`
            self._failures.append(exc)
        until.cancel()

    async def _read_keys(self, terminal: int, until: trio.CancelScope) -> None:
        """Read keys until the user leaves. Does nothing in the background, or without a terminal to read from."""
        import tty  # not on every system, as the next one

        from runtime.process.terminal import raw_terminal, read_input, restore_terminals

        with raw_terminal(terminal, tty.setcbreak) as is_ours:
            if not is_ours:
                return
            call_before_exit(restore_terminals)
            self._screen.say(_HINT, "dim")
            if await self._keys.follow(partial(read_input, terminal, self._limiter)):
                until.cancel()


class Keys:
    """What keys ask of a run. What cannot be undone is asked back.

    Args:
        path: the run directory.
        state: of the run.
        say: shows a line.
    """

    def __init__(self, path: Path, state: RunState, say: Callable[[str], object]) -> None:
        self._path = path
        self._state = state
        self._say = say
        self._limiter = trio.CapacityLimiter(1)
        self._asked_back: RunRequest | None = None

    @property
    def question(self) -> str:
        """What was asked back and waits for an answer; empty if nothing does."""
        if self._asked_back is None:
            return ""
        return f"{'kill all jobs' if self._asked_back.force else 'stop the run'}? y: yes, any other key: no"

    async def follow(self, read: Callable[[], Awaitable[bytes]]) -> bool:
        """Act on keys until one of them leaves, also while a request waits; return whether one did.

        Args:
            read: returns keys that were pressed, or nothing if there will be no more.
        """
        send, receive = trio.open_memory_channel[str](math.inf)  # what somebody types while the run does not answer
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._press_each, receive)
            with send:
                while pressed := await read():
                    keys, leaves, _ = pressed.decode("ascii", "replace").partition(_QUIT)
                    for key in keys:
                        send.send_nowait(key)
                    if leaves:
                        nursery.cancel_scope.deadline = trio.current_time() + LEAVE_TIMEOUT
                        return True
        return False

    async def _press_each(self, keys: trio.MemoryReceiveChannel[str]) -> None:
        async for key in keys:
            await self._press(key)

    async def _press(self, key: str) -> None:
        """Act on a key."""
        asked_back, self._asked_back = self._asked_back, None
        if key == _YES and asked_back is not None:
            await self._ask(asked_back)
        elif key in (_STOP, _KILL):
            self._asked_back = RunRequest(action="stop", force=key == _KILL)
        elif key == _PAUSE:
            is_paused = bool(self._state.segments) and self._state.segments[-1].paused_by is not None
            await self._ask(RunRequest(action="resume" if is_paused else "pause"))

    async def _ask(self, request: RunRequest) -> None:
        request = attrs.evolve(request, host=socket.gethostname())
        try:
            answer = await in_thread(ask, self._path, request, limiter=self._limiter)
        except (InputError, NoAnswerError) as exc:
            self._say(str(exc))
        else:
            self._say(answer.text)
