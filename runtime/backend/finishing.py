"""`Finisher`: what follows the end of a native job: its log is judged, then its `post_finish` is called.

All native backends use it, so that a command gets the same verdict on each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from runtime.backend.verdict_pool import VerdictPool
from runtime.job import FailureKind, JobSpec, JobStatus, JobUsage
from runtime.process import UNKNOWN, Exit, in_thread
from runtime.verdict import PASSED, Judgement, LogPath, Verdict, failed

logger: Final = logging.getLogger("runtime.backend")


class Finisher:
    """Finds verdicts, and calls hooks.

    Args:
        judging: limits the threads that judge logs.
        hooking: limits the threads that call hooks.
    """

    def __init__(self, judging: trio.CapacityLimiter, hooking: trio.CapacityLimiter) -> None:
        self.verdicts: Final = VerdictPool(judging)
        """The verdicts of the backend's jobs. Its `run` must be running, unless `VerdictPool.at_once` tells all."""
        self._hooking = hooking

    async def conclude(
        self,
        spec: JobSpec,
        log: LogPath,
        how: Exit,
        scope: trio.CancelScope,
        limit: float | None,
        text: bytes | None = None,
        otherwise: Verdict = PASSED,
    ) -> Verdict:
        """Return the verdict on a job, after `post_finish` was called.

        Args:
            spec: the job.
            log: the path of its log.
            how: the exit of its process.
            scope: is entered here. Its deadline bounds the whole call; a job that would pass fails if it expires.
            limit: the seconds until that deadline, for the message.
            text: the whole log, if it is short and known.
            otherwise: the verdict, if neither the exit nor the log says that the job failed.
        """
        verdict = self.verdicts.at_once(spec, how, text)
        if verdict is not None:
            verdict = _or_otherwise(verdict, otherwise)
            if spec.post_finish is None:
                return verdict
        # What has not been done if the deadline expires.
        doing = FailureKind.LOG_UNREADABLE, "its log was not judged"
        with scope:
            if verdict is None:
                verdict = _or_otherwise(await self.verdicts.of(spec, how, log), otherwise)
            if spec.post_finish is not None:
                doing = FailureKind.HOOK, "post_finish did not return"
                error = await self.call_post_finish(spec, verdict.status)
                if error is not None and verdict.passed:
                    verdict = failed(FailureKind.HOOK, f"post_finish raised {error!r}", verdict.log)
        if scope.cancelled_caught and (verdict is None or verdict.passed):
            kind, what = doing
            message = f"{what} within {limit:g} s of a kill that came after its end"
            return failed(kind, message, None if verdict is None else verdict.log)
        assert verdict is not None
        return verdict

    async def conclude_stopped(
        self, spec: JobSpec, log: LogPath, status: JobStatus, limit: float, text: bytes | None = None
    ) -> Judgement | None:
        """Return the judgement of the log of a job that was stopped, and call `post_finish`; `None` after `limit` s.

        Args:
            spec: the job.
            log: the path of its log.
            status: its final status.
            limit: the most seconds that the whole call takes.
            text: the whole log, if it is short and known.
        """
        verdict: Verdict | None = None
        with trio.move_on_after(limit):
            async with trio.open_nursery() as nursery:  # at the same time, because both share the limit
                if spec.post_finish is not None:
                    nursery.start_soon(self.call_post_finish, spec, status)
                # Its exit is that of the stop, and says nothing.
                verdict = self.verdicts.at_once(spec, UNKNOWN, text) or await self.verdicts.of(spec, UNKNOWN, log)
        return None if verdict is None else verdict.log

    @trio.lowlevel.enable_ki_protection
    async def call_post_finish(self, spec: JobSpec, status: JobStatus) -> BaseException | None:
        """Call the `post_finish` of a job in a thread; return the exception that it raised. The job must have one."""
        hook = spec.post_finish
        assert hook is not None

        def call() -> BaseException | None:
            try:
                hook(status)
            except BaseException as exc:  # noqa: BLE001 - an exception of a hook fails its own job, and no other
                return exc
            return None

        error = await in_thread(call, limiter=self._hooking)
        if error is not None:
            logger.warning("post_finish of job %r raised", spec.id, exc_info=error)
        return error


def _or_otherwise(verdict: Verdict, otherwise: Verdict) -> Verdict:
    """Return the verdict, or, if the job passed, `otherwise` with its log."""
    return attrs.evolve(otherwise, log=verdict.log) if verdict.passed and not otherwise.passed else verdict


def usage_of(how: Exit, log: Judgement | None = None, left_behind: Sequence[str] = ()) -> JobUsage:
    """Return the usage of a job, as far as it is known from its exit and its log, and the processes that it left."""
    return JobUsage(
        how.cpu_seconds,
        how.peak_bytes,
        how.code,
        how.signal,
        None if log is None else log.job_runtime,
        None if log is None else log.simulated_time,
        tuple(left_behind) or None,
    )
