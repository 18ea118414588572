"""`Finisher`: what follows the end of a native job, wherever it ran: its log is judged, its `post_finish` is called.

One order and one set of rules for all native backends, so that a command means the same on each of them.
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

_WELL: Final = Exit(code=0)
"""How a job ended of which only the log is asked."""

logger: Final = logging.getLogger("runtime.backends")


class Finisher:
    """Finds verdicts.

    Args:
        judges: serve already, or will.
        hooking: for the threads of hooks.
    """

    def __init__(self, judges: VerdictPool, hooking: trio.CapacityLimiter) -> None:
        self._judges = judges
        self._hooking = hooking

    def judge_at_once(self, spec: JobSpec, how: Exit, text: bytes | None) -> tuple[Verdict, Judgement | None] | None:
        """Return the verdict on a job if that is a matter of microseconds; else `None`. Arguments as for `conclude`."""
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
        patience: float | None,
        text: bytes | None = None,
        otherwise: Verdict = PASSED,
    ) -> tuple[Verdict, Judgement | None]:
        """Return the verdict on a job, and what its log says, after `post_finish` has been called with it.

        Args:
            spec: the job.
            log: where its log is.
            how: how its process ended.
            scope: is entered here; who gives it a deadline bounds all of this, and what passed then has failed.
            patience: the seconds of that deadline, for the message.
            text: all that the log says, if that is short and known.
            otherwise: the verdict, if neither its end nor its log has anything against it.
        """
        found = self.judge_at_once(spec, how, text)
        if found is not None and found[0] is PASSED:
            found = otherwise, found[1]
        if found is not None and spec.post_finish is None:
            return found
        verdict, said = found or (PASSED, None)
        doing = FailureKind.LOG_UNREADABLE, "its log was not judged"
        with scope:
            if found is None:
                verdict, said = await self._judges.judge(spec, log, how)
                verdict = otherwise if verdict is PASSED else verdict
            if spec.post_finish is not None:
                doing = FailureKind.HOOK, "post_finish did not return"
                error = await self.call_post_finish(spec, verdict.status)
                if error is not None and verdict is PASSED:
                    verdict = failed(FailureKind.HOOK, f"post_finish raised {error!r}")
        if scope.cancelled_caught and verdict is PASSED:
            kind, what = doing
            verdict = failed(kind, f"{what} within {patience:g} s of a kill that came after its end")
        return verdict, said

    async def conclude_stopped(
        self, spec: JobSpec, log: LogPath, status: JobStatus, patience: float, text: bytes | None = None
    ) -> Judgement | None:
        """Return what the log of a job that was stopped says, and call `post_finish`; `None` if that cannot be told.

        Args:
            spec: the job.
            log: where its log is.
            status: what it has ended with.
            patience: seconds that this takes at most, all of it.
            text: all that the log says, if that is short and known.
        """
        said: Judgement | None = None
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                if spec.post_finish is not None:
                    nursery.start_soon(self.call_post_finish, spec, status)
                found = None if text is None else self._judges.judge_at_once(LogPatterns.of(spec), text, _WELL)
                _, said = found or await self._judges.judge(spec, log, _WELL)
        return said

    @trio.lowlevel.enable_ki_protection
    async def call_post_finish(self, spec: JobSpec, status: JobStatus) -> BaseException | None:
        """Call the `post_finish` of a job, which has one, in a thread; return what it raised."""
        hook = spec.post_finish
        assert hook is not None

        def call() -> BaseException | None:
            try:
                hook(status)
            except BaseException as exc:  # noqa: BLE001 - whatever a hook raises costs its own job, and no other
                return exc
            return None

        error = await in_thread(call, limiter=self._hooking)
        if error is not None:
            logger.warning("post_finish of job %r raised", spec.id, exc_info=error)
        return error


def failed(kind: FailureKind, message: str) -> Verdict:
    """Return a verdict of this kind, with the status that goes with it."""
    return Verdict(kind.status, JobStatusInfo(message, kind=kind))


def usage_of(how: Exit, log: Judgement | None = None, left_behind: Sequence[str] = ()) -> JobUsage:
    """Return what is known of what a job used, from the end of its process and from its log; and what it left."""
    return JobUsage(
        how.cpu_seconds,
        how.peak_bytes,
        how.code,
        how.signal,
        None if log is None else log.job_runtime,
        None if log is None else log.simulated_time,
        tuple(left_behind) or None,
    )
