"""`Job`: what the scheduler reads of a job. `JobSpec` has it; so may a class of another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar


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


def timeout_of(job: object) -> Any:
    """Return the time limit of a job, in seconds, as it has it; `None` if it has none.

    A job of DVSim calls it `timeout_secs`, which counts if a job has both. It is asked for first: a Pydantic model
    takes several microseconds to say that it has no such attribute.
    """
    try:
        return job.timeout_secs  # type: ignore[attr-defined]  # of a foreign job
    except AttributeError:
        return getattr(job, "timeout", None)


JobT = TypeVar("JobT", bound=Job)
"""The class of the jobs of a run."""
