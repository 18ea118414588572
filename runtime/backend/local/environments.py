"""`Environments`: the environment of each job, and its dump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.backend.contract.live import LiveJob
from runtime.process import EnvironmentDumps, SharedEnvironment, inherited_environment, job_variables


class Environments:
    """Computes environments from the one that this process has now."""

    def __init__(self) -> None:
        self.inherited: Final = SharedEnvironment(inherited_environment())
        """What all jobs inherit."""
        self._dumps = EnvironmentDumps(self.inherited)
        self.shared_dump: Final = self._dumps.shared
        """The dump of what all jobs inherit."""

    def of(self, job: LiveJob, cwd: str) -> Mapping[str, str]:
        """Return the environment of a job that starts in `cwd`, if this process starts it."""
        return self.inherited.extended({"PWD": cwd, **_variables(job)})

    def dump(self, job: LiveJob) -> bytes:
        """Return the dump of the environment of a job."""
        return self._dumps.of(_variables(job))


def _variables(job: LiveJob) -> Mapping[str, str]:
    return job_variables(job.id, job.attempt, job.spec.seed, job.spec.exports)
