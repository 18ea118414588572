"""`LogFacts`: what DVSim finds in the log of a job that has ended, with its own code."""

from __future__ import annotations

from typing import Any, Self

import attrs
from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.data import JobStatusInfo as TheirInfo
from dvsim.logging import log
from dvsim.runtime.backend import NUM_RETCODE_CONTEXT_LINES, LogResults

from runtime.job import JobResult


@attrs.frozen
class LogFacts:
    """What DVSim finds in a log. Its reports group failures by these messages."""

    failure: TheirInfo | None = None
    """Why the job failed, by its patterns; `None` if they say nothing."""
    last_lines: tuple[str, ...] = ()
    """Shown with an exit code."""
    runtime: float | None = None
    """Seconds that the tool itself reports."""
    simulated: float = 0.0
    """Microseconds of simulated time."""

    @classmethod
    def read(cls, job: TheirJobSpec) -> Self:
        """Read the log of a job. Blocks. An error of a plug-in of DVSim's is logged, and costs what it would find."""
        found = LogResults(job)
        try:
            _, failure = found.get_status_from_logs()
            runtime, simulated = found.get_runtime_from_logs()
        except Exception:  # noqa: BLE001 - DVSim's plug-ins are foreign code, and the verdict does not depend on them
            log.exception("the log of '%s' could not be read as DVSim does", job.full_name)
            return cls()
        return cls(
            failure,
            tuple(found.get_lines()[-NUM_RETCODE_CONTEXT_LINES:]),
            None if runtime is None else runtime.with_unit("s").get()[0],
            0.0 if simulated is None else simulated.with_unit("us").get()[0],
        )

    def times(self, result: JobResult[Any]) -> tuple[float, float]:
        """Return the run time in seconds, as the tool or else the runtime says it, and the simulated microseconds."""
        if self.runtime is not None:
            return self.runtime, self.simulated
        return (0.0 if result.started is None else result.ended - result.started), self.simulated
