"""`ReportedJob`: what reports read of a job, whether it is of this run or of a journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from runtime.job.command import HasCommand


class ReportedJob(HasCommand, Protocol):
    """A job of a report: a `JobSpec`, or a `JobDescription`."""

    @property
    def id(self) -> str:
        """The name that no other job of the run has."""
        ...

    @property
    def name(self) -> str:
        """The name for people."""
        ...

    @property
    def secret_cmd(self) -> bool:
        """Whether its command may have secret values."""
        ...

    @property
    def seed(self) -> int | None:
        """The seed that its command was made with."""
        ...

    @property
    def tags(self) -> Sequence[str]:
        """Free words."""
        ...

    @property
    def cwd(self) -> str | None:
        """The directory to run in; `None` for its output directory."""
        ...

    @property
    def exports(self) -> Collection[str]:
        """The names of its environment variables."""
        ...
