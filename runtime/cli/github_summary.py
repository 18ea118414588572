"""`GithubSummary`: the file to which GitHub Actions wants the summary of a step appended, where a run is such a step.

It is opened before any job runs, and held open: jobs know the path, too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final

from runtime.cli.timed_calls import call_each_with_timeout
from runtime.jobfile.errors import InputError
from runtime.journal.replay import RunState
from runtime.report.step_summary import MAX_SIZE, step_summary_lines

VARIABLE: Final = "GITHUB_STEP_SUMMARY"


class GithubSummary:
    """The file of one run, if the environment names one.

    Args:
        environment: of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get(VARIABLE, "")
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """Whether there is such a file."""
        return self._fd >= 0

    def open(self) -> str | None:
        """Open the file, if one is named; return why that failed, in a line. Blocks for a limited time.

        Nobody has asked for it by an option, as when a container inherits the variable and does not have the file: so
        that it fails is no error.
        """
        if not self._path:
            return None
        try:
            call_each_with_timeout(self._open, [self._path], what=f"{VARIABLE}:")
        except (OSError, ValueError) as exc:
            return f"{VARIABLE}: {self._path} cannot be opened: {getattr(exc, 'strerror', exc)}"
        except InputError as exc:
            return str(exc)
        return None

    def _open(self, path: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ValueError("it is no regular file")
        self._fd = fd

    def append(self, state: RunState) -> str | None:
        """Append the summary of a run that has ended, as far as there is room; return why that failed. Blocks."""
        try:
            size = os.fstat(self._fd).st_size
            with open(self._fd, "wb", closefd=False) as file:
                file.writelines(line.encode() for line in step_summary_lines(state, most=MAX_SIZE - size))
        except OSError as exc:
            return f"{VARIABLE}: {self._path} cannot be written: {exc.strerror}"
        return None

    def close(self) -> None:
        """Close the file. Blocks. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
