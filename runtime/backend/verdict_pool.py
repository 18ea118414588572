"""`VerdictPool`: finds verdicts in threads; many short logs in one call of a thread, a long log in a call of its own.

A call of a thread costs more than judging the log of a small job, so all short logs that wait share one. A log that
would delay the others gets a call of its own. What can be told in microseconds needs no thread: `at_once`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

from runtime.job import JobSpec
from runtime.process import Exit, Work, each_in_thread, in_thread, is_out_of_resources
from runtime.verdict import JudgingError, LogPath, Verdict, Verdicts, real_path, too_large

logger: Final = logging.getLogger("runtime.backend")

_SIZE_THREADS: Final = 4
"""Threads that read the sizes of logs, which takes microseconds. Arbitrary: ten times more mostly sleep; a single one
may hang in a file system that does not answer."""

_MAX_TOGETHER: Final = 16
"""The most logs that are judged in one call. Arbitrary: with ten times more, verdicts come late and in bursts; with ten
times fewer, almost every log pays for a call."""

_RESOURCE_TIMEOUT: Final = 60.0
"""Seconds for which judging a log is tried again while there is no free descriptor, or no memory. Arbitrary: ten times
longer delays a run that cannot recover, ten times shorter fails jobs during a brief shortage."""

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts, at first and at most. Arbitrary: shorter delays burn the processor, longer ones delay
verdicts after the shortage."""

_GATHER_TIMEOUT: Final = 0.05
"""Seconds for which new requests wait for the call in progress, so that they gather into few calls. A call that takes
longer may hang in a file system. Arbitrary: ten times longer delays the others behind it, ten times shorter makes many
small calls."""


@attrs.define(eq=False)
class _Request:
    """One job whose log is to be judged."""

    job: JobSpec
    exit_status: Exit
    log: LogPath
    done: trio.Event = attrs.field(factory=trio.Event)
    verdict: Verdict | None = None

    def paths(self) -> Sequence[str]:
        """Return the paths whose file systems have to answer before the log can be judged."""
        return (real_path(self.log),)


class VerdictPool:
    """Finds verdicts, while `run` runs.

    Args:
        limiter: limits the threads that judge.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._sizing = trio.CapacityLimiter(_SIZE_THREADS)
        self._verdicts = Verdicts(time.thread_time, time.monotonic)
        self.at_once: Final = self._verdicts.at_once
        """Returns the verdict if finding it takes microseconds, without a thread: see `Verdicts.at_once`."""
        self.start_follower: Final = self._verdicts.start_follower
        """Returns what looks for the job's `timeout_from` in a log: see `Verdicts.start_follower`. Blocks."""
        self._send, self._receive = trio.open_memory_channel[_Request](math.inf)

    async def of(self, job: JobSpec, exit_status: Exit, log: LogPath) -> Verdict:
        """Return the verdict. A cancel is prompt, and discards the work. Arguments as for `Verdicts.of`."""
        request = _Request(job, exit_status, log)
        self._send.send_nowait(request)
        await request.done.wait()
        assert request.verdict is not None
        return request.verdict

    async def wait_failed(self, job: JobSpec, log: LogPath, interval: float) -> None:
        """Wait until a line of `log`, which is being written, matches a fail pattern of the job.

        Waits for ever if no line matches, or if the log cannot be read, which the verdict reports later. A cancel is
        prompt.
        """
        follower = self._verdicts.follower(job, log)
        try:
            found = False
            while not found:
                await trio.sleep(interval)
                try:
                    found = await in_thread(follower.look, limiter=self._limiter, paths=lambda: (real_path(log),))
                except OSError as exc:
                    if not is_out_of_resources(exc):
                        raise  # else there may be a free descriptor next time
        except (OSError, JudgingError, MemoryError) as exc:
            logger.warning("the log of job %r is not watched any longer: %s", job.id, str(exc) or repr(exc))
            await trio.sleep_forever()
        finally:
            follower.close()

    async def wait_too_large(self, job: JobSpec, log: LogPath, interval: float) -> str:
        """Wait until `log`, which is being written, is larger than the job's `max_log`; return the failure message.

        A cancel is prompt.
        """
        while True:
            await trio.sleep(interval)
            message = await in_thread(too_large, job, log, limiter=self._sizing, paths=lambda: (real_path(log),))
            if message is not None:
                return message

    async def run(self) -> None:
        """Serve until cancelled. Then ends the worker processes, which also ends threads that wait for one."""
        try:
            async with trio.open_nursery() as nursery:
                async for request in self._receive:
                    done = trio.Event()
                    nursery.start_soon(self._judge_together, [request, *self._waiting()], nursery, done)
                    with trio.move_on_after(_GATHER_TIMEOUT):  # the call may hang in a file system
                        await done.wait()
        finally:
            self._verdicts.close()

    @trio.lowlevel.enable_ki_protection
    async def _judge_together(self, requests: Sequence[_Request], nursery: trio.Nursery, done: trio.Event) -> None:
        def deliver(results: Sequence[tuple[_Request, Verdict | None]]) -> None:
            for request, verdict in results:
                request.verdict = verdict
                if verdict is None:  # in a task of its own, so that it delays no log of the next call
                    nursery.start_soon(self._judge_alone, request)
                else:
                    request.done.set()

        def judge(request: _Request) -> Verdict | None:
            return self._verdicts.soon(request.job, request.exit_status, request.log)

        work = Work(judge, requests, paths=_Request.paths)
        await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=deliver)
        done.set()

    def _waiting(self) -> Iterator[_Request]:
        with suppress(trio.WouldBlock):
            for _ in range(_MAX_TOGETHER - 1):
                yield self._receive.receive_nowait()

    @trio.lowlevel.enable_ki_protection
    async def _judge_alone(self, request: _Request) -> None:
        until = trio.current_time() + _RESOURCE_TIMEOUT
        delay = _FIRST_DELAY
        asked = request.job, request.exit_status, request.log
        while request.verdict is None:
            # The last time, a verdict that says what is short is better than none: it always comes.
            find: Callable[..., Verdict | None] = self._verdicts.of
            if trio.current_time() < until:
                find = self._verdicts.attempt
            request.verdict = await in_thread(find, *asked, limiter=self._limiter, paths=request.paths)
            if request.verdict is None:
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        request.done.set()
