"""`Job`: what the scheduler reads of a job. `JobSpec` has it; so may a class of another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar


class Specification(Protocol):
    """What a backend is given, as far as every backend reads it."""

    @property
    def id(self) -> str:
        """The name that no other job of the run has."""
        ...


class Job(Specification, Protocol):
    """A job, as far as the scheduler reads it.

    More attributes count if a job has them. `run_if` says how its dependencies must have ended for it to run; without
    it, `needs_all_dependencies_passing` does, which DVSim's jobs have. `timeout`, or DVSim's `timeout_secs`, is part of
    the default priority.
    """

    @property
    def dependencies(self) -> Sequence[str]:
        """Ids of the jobs that must end before this one starts."""
        ...

    @property
    def backend(self) -> str | None:
        """The name of the backend to run on; `None` for the run's default."""
        ...

    @property
    def resources(self) -> Mapping[str, int | None] | None:
        """What the job holds while it runs: name to amount, `None` for the whole resource."""
        ...

    @property
    def weight(self) -> float:
        """Priority: a heavier job starts first."""
        ...


JobT = TypeVar("JobT", bound=Job)
"""The class of the jobs of a run."""
