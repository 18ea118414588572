"""`as_backend`: our backend in the place of one of DVSim's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dvsim.job.status import JobStatus as TheirStatus
from dvsim.logging import log
from dvsim.runtime.fake import FakeRuntimeBackend
from dvsim.runtime.legacy import LegacyLauncherAdapter as TheirAdapter
from dvsim.runtime.local import LocalRuntimeBackend

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.fake import FakeBackend, FakeRun
from runtime.backend.legacy import LegacyLauncherAdapter
from runtime.backend.local import LocalBackend
from runtime.dvsim.jobs import FlowJobs
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo
from runtime.roots import Roots


def as_backend(given: Any, jobs: FlowJobs, roots: Roots | None = None, **local: Any) -> RuntimeBackend:
    """Return our backend that corresponds to `given`: a backend of DVSim's, one of ours, or a launcher class.

    Args:
        given: what to run the jobs with. Launchers get DVSim's specifications.
        jobs: of the flow.
        roots: of the run, if it has a directory.
        local: more options for `LocalBackend`.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(given, RuntimeBackend):
        return given
    if isinstance(given, type):
        return LegacyLauncherAdapter(given, view=theirs_of(jobs))
    if isinstance(given, TheirAdapter):
        return LegacyLauncherAdapter(
            given.launcher_cls,
            name=given.name,
            view=theirs_of(jobs),
            poll_interval=given.poll_interval,
            max_polls_per_interval=given.max_polls_per_interval,
            max_parallelism=given.max_parallelism,
        )
    if isinstance(given, LocalRuntimeBackend):
        return LocalBackend(
            given.max_parallelism,
            run_dir=roots,
            term_timeout=given.sigterm_timeout,
            kill_timeout=given.sigkill_timeout,
            max_output_dirs=given.max_output_dirs,
            **local,
        )
    if isinstance(given, FakeRuntimeBackend):
        return FakeBackend(_as_fake_policy(given._fake_policy, jobs), max_parallelism=given.max_parallelism)
    msg = f"backend is {given!r}; expected a backend of DVSim's or of runtime's, or a launcher class"
    raise TypeError(msg)


def theirs_of(jobs: FlowJobs) -> Callable[[Any], Any]:
    """Return a view for launchers: a function from our specification to DVSim's."""
    return lambda spec: jobs.by_id[spec.id]


def _as_fake_policy(policy: Callable[[Any], TheirStatus], jobs: FlowJobs) -> Callable[[JobSpec, int], FakeRun]:
    """Return a policy for our fake backend that ends jobs and calls their hooks like DVSim's."""

    def fake(spec: JobSpec, _attempt: int) -> FakeRun:
        job = jobs.by_id[spec.id]
        status = policy(job)
        try:
            job.post_finish(status)
        except Exception as exc:  # noqa: BLE001 - a hook is foreign code, and fails its own job alone
            log.exception("post_finish of '%s' raised", job.full_name)
            if status is TheirStatus.PASSED:
                return FakeRun(JobStatus.FAILED, JobStatusInfo(f"post_finish raised {exc!r}", kind=FailureKind.HOOK))
        return FakeRun(JobStatus[status.name], JobStatusInfo("Fake result"))

    return fake


async def limits_of(manager: Any) -> tuple[Mapping[str, Any], Any]:
    """Return the limits of a resource manager of DVSim's, and the policy for resources without a limit.

    Args:
        manager: DVSim's, with limits that do not change; or a mapping as for `Scheduler`; or `None`.

    Raises:
        TypeError: if its limits change.
    """
    if manager is None:
        return {}, "ignore"
    if isinstance(manager, Mapping):
        return manager, "error"
    if manager._provider.is_dynamic:
        msg = "resource_manager has limits that change; expected fixed limits, or a mapping with a ResourceProvider"
        raise TypeError(msg)
    policy = {"ignore": "ignore", "warn": "warn", "error": "warn", "fatal": "error"}[manager._missing_policy.value]
    return await manager._provider.get_capacity(), policy
