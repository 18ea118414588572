"""`Finisher`: what follows the end of a native job: its log is judged, then its `post_finish` is called.

All native backends use it, so that a command gets the same verdict on each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import trio

from runtime.backend.verdict_pool import VerdictPool
from runtime.job import FailureKind, JobSpec, JobStatus, JobStatusInfo, JobUsage
from runtime.process import Exit, in_thread
from runtime.verdict import PASSED, Judgement, LogPath, LogPatterns, Verdict

_SUCCESS: Final = Exit(code=0)
"""The exit of a job of which only the log is judged."""

logger: Final = logging.getLogger("runtime.backend")


class Finisher:
    """Finds verdicts.

    Args:
        judges: the pool that judges logs; runs already, or will.
        hooking: limits the threads that call hooks.
    """

    def __init__(self, judges: VerdictPool, hooking: trio.CapacityLimiter) -> None:
        self._judges = judges
        self._hooking = hooking

    def judge_at_once(self, spec: JobSpec, how: Exit, text: bytes | None) -> tuple[Verdict, Judgement | None] | None:
        """Return the verdict on a job if it takes microseconds; else `None`. Arguments as for `conclude`."""
        patterns = LogPatterns.of(spec)
        if spec.max_log is not None and (text is None or len(text) > spec.max_log):
            return None
        if how.code == 0 and not patterns:  # there is nothing to look for
            return PASSED, None
        return None if text is None else self._judges.judge_at_once(patterns, text, how)

    async def conclude(
        self,
        spec: JobSpec,
        log: LogPath,
        how: Exit,
        scope: trio.CancelScope,
        limit: float | None,
        text: bytes | None = None,
        otherwise: Verdict = PASSED,
    ) -> tuple[Verdict, Judgement | None]:
        """Return the verdict on a job and the judgement of its log, after `post_finish` was called.

        Args:
            spec: the job.
            log: the path of its log.
            how: the exit of its process.
            scope: is entered here. Its deadline bounds the whole call; a job that would pass fails if it expires.
            limit: the seconds until that deadline, for the message.
            text: the whole log, if it is short and known.
            otherwise: the verdict, if neither the exit nor the log says that the job failed.
        """
        found = self.judge_at_once(spec, how, text)
        if found is not None and found[0] is PASSED:
            found = otherwise, found[1]
        if found is not None and spec.post_finish is None:
            return found
        verdict, judgement = found or (PASSED, None)
        # What has not been done if the deadline expires.
        doing = FailureKind.LOG_UNREADABLE, "its log was not judged"
        with scope:
            if found is None:
                verdict, judgement = await self._judges.judge(spec, log, how)
                verdict = otherwise if verdict is PASSED else verdict
            if spec.post_finish is not None:
                doing = FailureKind.HOOK, "post_finish did not return"
                error = await self.call_post_finish(spec, verdict.status)
                if error is not None and verdict is PASSED:
                    verdict = failed(FailureKind.HOOK, f"post_finish raised {error!r}")
        if scope.cancelled_caught and verdict is PASSED:
            kind, what = doing
            verdict = failed(kind, f"{what} within {limit:g} s of a kill that came after its end")
        return verdict, judgement

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
        judgement: Judgement | None = None
        with trio.move_on_after(limit):
            async with trio.open_nursery() as nursery:  # at the same time, because both share the limit
                if spec.post_finish is not None:
                    nursery.start_soon(self.call_post_finish, spec, status)
                found = None if text is None else self._judges.judge_at_once(LogPatterns.of(spec), text, _SUCCESS)
                _, judgement = found or await self._judges.judge(spec, log, _SUCCESS)
        return judgement

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


def failed(kind: FailureKind, message: str) -> Verdict:
    """Return a verdict with this kind of failure and the status that belongs to it."""
    return Verdict(kind.status, JobStatusInfo(message, kind=kind))


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
