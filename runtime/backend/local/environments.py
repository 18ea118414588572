"""`Environments`: the environment of each job, and its dump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.job import JobSpec
from runtime.process import SharedEnvironment, inherited_environment, job_environment, render_environment


class Environments:
    """Computes environments from the one that this process has now."""

    def __init__(self) -> None:
        self.inherited: Final = SharedEnvironment(inherited_environment())
        """What all jobs inherit."""
        self.dump: Final = render_environment(self.inherited)
        """The dump of a job that exports nothing."""

    def of(self, spec: JobSpec, cwd: str) -> Mapping[str, str]:
        """Return the environment of a job that starts in `cwd`, if this process starts it."""
        return job_environment(self.inherited, spec.exports, cwd) if spec.exports else self.inherited

    def own_dump(self, spec: JobSpec) -> bytes | None:
        """Return the dump of a job's environment; `None` if it is `dump`."""
        return render_environment({**self.inherited, **spec.exports}) if spec.exports else None
