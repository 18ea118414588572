"""`without_jobserver`: which jobs have no jobserver although they ask for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from runtime.backend.contract.backend import RuntimeBackend
from runtime.job import JobSpec
from runtime.jobfile.errors import shown

_MOST_NAMES: Final = 3
"""Names in a sentence. Arbitrary: with ten times more the reason is not seen."""


def without_jobserver(jobs: Iterable[JobSpec], default: str, made: Mapping[str, RuntimeBackend]) -> Iterator[str]:
    """Yield a sentence for each reason why jobs that ask for the jobserver do not have it.

    Args:
        jobs: those of a run.
        default: the name of the backend of jobs that name none.
        made: the backends of the run, by name.
    """
    names: dict[str, dict[str, None]] = {}
    for job in jobs:
        if job.jobserver and (why := _why(job, made[job.backend or default])):
            names.setdefault(why, {})[job.name] = None
    for why, found in names.items():
        yield f"jobserver has no effect for {_listed(list(found))}: {why}"


def _why(job: JobSpec, backend: RuntimeBackend) -> str:
    if not getattr(backend, "has_jobserver", False):
        return f"backend {shown(backend.name)} has none"
    if backend.max_parallelism is None:
        limit = "expected its max_parallelism, or --max-parallel"
        return f"backend {shown(backend.name)} has no limit of jobs at once, so there are no slots to share; {limit}"
    if job.interactive:
        return "interactive jobs have none"
    return "nothing is started in a dry run" if job.dry_run else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    text = ", ".join(map(shown, names[:_MOST_NAMES]))
    return f"{text} and {more} more" if more > 0 else text
