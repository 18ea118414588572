"""`RunOutputs`: what a run writes for other programs when it has ended, besides its own directory.

None of it can change the run: it is written when the jobs have ended, and each error is a line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from typing import Final

import trio

from runtime.cli.exit_codes import print_error
from runtime.cli.format_files import FormatFiles
from runtime.cli.format_options import given_formats
from runtime.cli.github_summary import GithubSummary
from runtime.journal.replay import RunState
from runtime.process import in_thread
from runtime.report.output import Output

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
        self._files = FormatFiles(given_formats(options))
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
        if (why := self._github.open()) is not None:
            logger.warning("%s", why)

    async def write(self, state: Callable[[], RunState]) -> None:
        """Write what is made of the whole run. It takes at most `TIMEOUT`.

        Args:
            state: returns the state of the run; for any thread.
        """
        failures = ["the files for other programs are not written: their file system does not answer"]
        with trio.move_on_after(TIMEOUT):
            failures = await in_thread(self._files.write, state, limiter=trio.CapacityLimiter(1))
        if self._github.is_open:
            why: str | None = "the summary for GitHub is not written: its file system does not answer"
            with trio.move_on_after(TIMEOUT):
                why = await in_thread(lambda: self._github.append(state()), limiter=trio.CapacityLimiter(1))
            if why is not None:
                logger.warning("%s", why)
        self.failed = bool(failures)
        for failure in failures:
            print_error(failure, self._errors)

    def close(self) -> None:
        """Close the files and their directories. Blocks. Idempotent."""
        self._files.close()
        self._github.close()
