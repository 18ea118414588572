"""`FlowJobs`: the jobs of a flow, in DVSim's form and in ours, and their results in DVSim's form."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.status import JobStatus as TheirStatus
from dvsim.logging import log

from runtime.dvsim.log_facts import LogFacts
from runtime.dvsim.reasons import reason_of
from runtime.errors import SpecError
from runtime.job import JobResult, JobSpec, JobStatus

_SAME: Final = (
    "name", "job_type", "target", "backend", "resources", "seed",
    "full_name", "qual_name", "dependencies", "needs_all_dependencies_passing", "weight", "odir",
    "renew_odir", "log_path", "pass_patterns", "fail_patterns", "dry_run", "interactive",
)  # fmt: skip
"""Fields with the same name and meaning in their specifications and in ours."""


class FlowJobs:
    """The jobs of one flow.

    Args:
        jobs: DVSim's.
    """

    def __init__(self, jobs: Iterable[TheirJobSpec]) -> None:
        self.theirs: Final = list(jobs)
        self.by_id: Final[Mapping[str, TheirJobSpec]] = {job.id: job for job in self.theirs}
        self._logs: dict[str, LogFacts] = {}

    def ours(self) -> list[JobSpec]:
        """Return the jobs as ours: as in DVSim, they run in the current directory, without a shell.

        Raises:
            SpecError: for a job that cannot be one of ours.
        """
        here = os.getcwd()
        return [self._as_ours(job, here) for job in self.theirs]

    def _as_ours(self, job: TheirJobSpec, here: str) -> JobSpec:
        try:
            words = shlex.split(job.cmd)
        except ValueError as exc:
            raise SpecError(f"job {job.full_name!r}: cmd is {job.cmd!r}: {exc}; expected words as for a shell") from exc
        interactive = {"RUN_INTERACTIVE": "1", "DVSIM_RUN_INTERACTIVE": "1"} if job.interactive else {}
        return JobSpec(
            **{name: getattr(job, name) for name in _SAME},
            cmd=words,
            cwd=here,
            timeout=job.timeout_secs or None,
            exports={**job.exports, **interactive},
            pre_launch=job.pre_launch,
            post_finish=lambda status: self._finish(job, status),
        )

    def _finish(self, job: TheirJobSpec, status: JobStatus) -> None:
        """Do what DVSim does after the end of a local job. Blocks. What a hook raises fails that job alone."""
        if not job.dry_run:
            self._logs[job.id] = LogFacts.read(job)  # here and not in `results`, as this is called in a thread
        job.post_finish(TheirStatus[status.name])

    def finish_kept(self, ids: Iterable[str]) -> None:
        """Call the hooks of jobs whose results are kept: what they find in their files is in reports. Blocks."""
        for job_id in ids:
            try:
                self._finish(self.by_id[job_id], JobStatus.PASSED)
            except Exception:  # noqa: BLE001 - a hook is foreign code, and a kept result stays as it was
                log.exception("post_finish of the kept job '%s' raised", job_id)

    def results(self, results: Sequence[JobResult[Any]]) -> list[CompletedJobStatus]:
        """Return results in the form that DVSim's flows use."""
        passed = {result.id for result in results if result.status is JobStatus.PASSED}
        return [self._as_theirs(self.by_id[result.id], result, passed) for result in results]

    def _as_theirs(self, job: TheirJobSpec, result: JobResult[Any], passed: set[str]) -> CompletedJobStatus:
        facts = self._logs.get(job.id)
        runtime, simulated = (0.0, 0.0) if facts is None else facts.times(result)
        if facts is None and result.usage is not None:
            runtime = result.usage.job_runtime or 0.0
            simulated = round((result.usage.simulated_time or 0.0) * 1e6, 6)
        return CompletedJobStatus(
            name=job.name,
            job_type=job.job_type,
            seed=job.seed,
            block=job.block,
            tool=job.tool,
            workspace_cfg=job.workspace_cfg,
            full_name=job.full_name,
            qual_name=job.qual_name,
            target=job.target,
            log_path=job.log_path,
            job_runtime=runtime,
            simulated_time=simulated,
            status=TheirStatus[result.status.name],
            fail_msg=reason_of(job, result, facts, waited=not passed.issuperset(job.dependencies)),
        )
