"""`RunOutputs`: what a run writes for other programs, besides its own directory.

None of it can change the run: the events follow its journal, all else is written when the jobs have ended, and each
error is a line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from typing import Final

import trio

from runtime.cli.events_file import STDOUT, EventsFile
from runtime.cli.exit_codes import print_error
from runtime.cli.format_files import LINES, FormatFiles
from runtime.cli.format_options import given_formats
from runtime.cli.github_summary import GithubSummary
from runtime.cli.on_end import OnEnd
from runtime.journal.replay import RunState
from runtime.process import in_thread
from runtime.report.output import Output
from runtime.report.run_summary import run_summary
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.cli")

TIMEOUT: Final = 120.0
"""Seconds for writing the files, after which they are abandoned. Arbitrary: 100,000 jobs take seconds; ten times less,
and a slow file system loses the files of a large run; ten times more, and one that does not answer looks like a hang.
"""


class RunOutputs:
    """What one run writes for other programs.

    Args:
        options: of the command line.
        errors: where errors are shown.
    """

    def __init__(self, options: argparse.Namespace, errors: Output) -> None:
        given = given_formats(options)
        events = given.pop("events", None)
        self._events = EventsFile(events)
        self._files = FormatFiles(given, events=None if events == STDOUT else events)
        self._on_end = OnEnd(options.on_end)
        self._github = GithubSummary(os.environ)
        self._errors = errors
        self.failed: bool = False
        """Whether something could not be written."""

    def open(self) -> None:
        """Look where the files are to be, before any job runs. Blocks for a limited time.

        Raises:
            InputError: if one cannot be written there.
        """
        self._files.open()
        self._events.open()
        if (why := self._github.open()) is not None:
            logger.warning("%s", why)

    async def follow(self, directory: RootedPath) -> None:
        """Write what follows the run, until `write` is called, or cancelled.

        Args:
            directory: the run directory.
        """
        await self._events.run(directory)

    async def write(self, state: Callable[[], RunState]) -> None:
        """Write what is made of the whole run, whose journal is complete. Each step takes a limited time.

        Args:
            state: returns the state of the run; for any thread.
        """
        failures = [] if (why := await self._events.finish()) is None else [why]
        if not self._files.is_empty:
            unwritten = ["the files for other programs are not written: their file system does not answer"]
            with trio.move_on_after(TIMEOUT):
                unwritten = await in_thread(self._write, state, limiter=trio.CapacityLimiter(1))
            failures += unwritten
        if self._github.is_open:
            why = "the summary for GitHub is not written: its file system does not answer"
            with trio.move_on_after(TIMEOUT):
                why = await in_thread(lambda: self._github.append(state()), limiter=trio.CapacityLimiter(1))
            if why is not None:
                logger.warning("%s", why)
        self.failed = bool(failures)
        for failure in failures:
            print_error(failure, self._errors)

    async def call(self, state: Callable[[], RunState], exit_code: int) -> None:
        """Run the command of ``--on-end``, if there is one. Takes a limited time. What comes of it changes nothing.

        Args:
            state: as for `write`.
            exit_code: that this process will have.
        """
        failure = await self._on_end.run(lambda: run_summary(state(), exit_code))
        if failure is not None:
            print_error(failure, self._errors)

    def interrupt(self) -> None:
        """Kill the command of ``--on-end``, if it runs."""
        self._on_end.interrupt()

    def _write(self, state: Callable[[], RunState]) -> list[str]:
        found = state()
        return self._files.write(lambda name: LINES[name](found))

    def close(self) -> None:
        """Close the files and their directories. Blocks. Idempotent."""
        self._events.close()
        self._files.close()
        self._github.close()
