"""`VerdictPool`: judges logs in threads; many short logs in one call of a thread, a long log in a call of its own.

A call of a thread costs more than judging the log of a small job, so all short logs that wait share one. A short text
that is known already is judged without a thread, if RE2 has compiled its patterns. A log that would delay the others
is returned unjudged, and gets a call of its own: a long log, or one whose patterns may need a process.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from runtime.job import FailureKind, JobSpec, JobStatusInfo
from runtime.process import Exit, Work, each_in_thread, in_thread, is_out_of_resources
from runtime.verdict import (
    BUDGET,
    PASSED,
    Judgement,
    JudgingError,
    LogFollower,
    LogPath,
    LogPatterns,
    TooLongError,
    Verdict,
    Workers,
    are_linear,
    decide,
    is_quick,
    judge_log,
    judge_text,
    over_limit,
    read_tail,
    real_path,
    size_of,
)

logger: Final = logging.getLogger("runtime.backend")

T = TypeVar("T")

_SHORT_LOG: Final = 1 << 18
"""The most bytes of a log that is judged together with others: about a millisecond. Arbitrary: ten times more delays
the other logs of the call, ten times less gives ordinary logs a call each."""

_SIZE_THREADS: Final = 4
"""Threads that read the sizes of logs, which takes microseconds. Arbitrary: ten times more mostly sleep; a single one
may hang in a file system that does not answer."""

_MAX_TOGETHER: Final = 16
"""The most logs that are judged in one call. Arbitrary: with ten times more, verdicts come late and in bursts; with ten
times fewer, almost every log pays for a call."""


_MAX_KNOWN: Final = 1000
"""Sets of patterns that are remembered. Arbitrary: ten times more costs memory; with ten times fewer, a run with many
kinds of jobs forgets them and judges in threads again."""

_INLINE_LIMIT: Final = 0.002
"""Seconds of processor time that judging a short text in the event loop may take. Arbitrary: ten times longer delays
all other tasks, ten times shorter sends ordinary texts to threads."""

_MAX_OVERRUNS: Final = 3
"""Times that it may take longer before texts with these patterns are judged in threads. More than one, as the
interpreter may have collected garbage just then. Arbitrary."""

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

    spec: JobSpec
    log: LogPath
    how: Exit
    workers: Workers
    done: trio.Event = attrs.field(factory=trio.Event)
    result: tuple[Verdict, Judgement | None] | None = None

    def paths(self) -> Sequence[str]:
        """Return the paths whose file systems have to answer before the log can be judged."""
        return (real_path(self.log),)

    def is_quick(self) -> bool:
        """Whether judging a short log with these patterns is quick. Blocks."""
        try:
            return is_quick(LogPatterns.of(self.spec))
        except (MemoryError, OSError):
            # No memory to compile the patterns, or no descriptor to import RE2: `_judge_long` tries again later.
            return False

    def judge(self, *, may_retry: bool, longest: int | None = None) -> None:
        """Set `result`. Blocks.

        It stays `None` if the log has more than `longest` bytes or, with `may_retry`, while resources are short.
        """
        with suppress(OutOfResourcesError, TooLongError):
            self.result = judge(self.spec, self.log, self.how, self.workers, may_retry=may_retry, longest=longest)


class VerdictPool:
    """Judges logs, while `run` runs.

    Args:
        limiter: limits the threads that judge.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._sizing = trio.CapacityLimiter(_SIZE_THREADS)
        self._workers = Workers()
        self._overruns_left: dict[LogPatterns, int] = {}
        """Patterns that RE2 has compiled, to the overruns that they have left. A short text takes microseconds with
        almost all of these patterns; with a few, such as ``.{0,500}x``, it takes longer."""
        self._send, self._receive = trio.open_memory_channel[_Request](math.inf)

    def judge_at_once(self, patterns: LogPatterns, text: bytes, how: Exit) -> tuple[Verdict, Judgement] | None:
        """Return the result of `judge` for a log whose text is known and short; `None` if that may take long.

        It is quick if an earlier call of `judge` has made RE2 compile all `patterns`, and if judging texts with them in
        the event loop has exceeded `_INLINE_LIMIT` fewer than `_MAX_OVERRUNS` times.
        """
        if not self._overruns_left.get(patterns):
            return None
        begun = time.thread_time()
        try:
            judgement = judge_text(text, patterns)
        except MemoryError:
            return None  # the caller then calls `judge`, which waits for memory
        if time.thread_time() - begun > _INLINE_LIMIT:
            self._overruns_left[patterns] -= 1
        return decide(how.code, how.signal, judgement, core_dumped=how.core_dumped), judgement

    async def judge(self, spec: JobSpec, log: LogPath, how: Exit) -> tuple[Verdict, Judgement | None]:
        """Return the verdict on a job and the judgement of its log. A cancel is prompt, and discards the work."""
        request = _Request(spec, log, how, self._workers)
        self._send.send_nowait(request)
        await request.done.wait()
        assert request.result is not None
        # Only after a first log was judged: until then RE2 may have to compile the patterns, which may take long.
        patterns, judged = LogPatterns.of(spec), request.result[1] is not None
        if judged and patterns not in self._overruns_left and are_linear(patterns):
            if len(self._overruns_left) >= _MAX_KNOWN:
                self._overruns_left.clear()
            self._overruns_left[patterns] = _MAX_OVERRUNS
        return request.result

    async def wait_failed(self, spec: JobSpec, log: LogPath, interval: float) -> None:
        """Wait until a line of `log`, which is being written, matches a fail pattern of the job.

        Waits for ever if no line matches, or if the log cannot be read, which the verdict reports later. A cancel is
        prompt.
        """
        follower = LogFollower(log, LogPatterns.of(spec), self._workers, wall=time.monotonic)
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
            logger.warning("the log of job %r is not watched any longer: %s", spec.id, str(exc) or repr(exc))
            await trio.sleep_forever()
        finally:
            follower.close()

    async def wait_too_large(self, spec: JobSpec, log: LogPath, interval: float) -> str:
        """Wait until `log`, which is being written, is larger than the job's `max_log`; return the failure message.

        A cancel is prompt.
        """
        while True:
            await trio.sleep(interval)
            message = await in_thread(too_large, spec, log, limiter=self._sizing, paths=lambda: (real_path(log),))
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
            self._workers.close()

    @trio.lowlevel.enable_ki_protection
    async def _judge_together(self, requests: Sequence[_Request], nursery: trio.Nursery, done: trio.Event) -> None:
        def deliver(results: Sequence[tuple[_Request, None]]) -> None:
            for request, _ in results:
                if request.result is None:  # in a task of its own, so that it delays no log of the next call
                    nursery.start_soon(self._judge_long, request)
                else:
                    request.done.set()

        work = Work(_judge_short, requests, paths=_Request.paths)
        await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=deliver)
        done.set()

    def _waiting(self) -> Iterator[_Request]:
        with suppress(trio.WouldBlock):
            for _ in range(_MAX_TOGETHER - 1):
                yield self._receive.receive_nowait()

    @trio.lowlevel.enable_ki_protection
    async def _judge_long(self, request: _Request) -> None:
        until = trio.current_time() + _RESOURCE_TIMEOUT
        delay = _FIRST_DELAY
        while request.result is None:
            may_retry = trio.current_time() < until  # the last attempt always has a result
            judge_it = partial(request.judge, may_retry=may_retry)
            await in_thread(judge_it, limiter=self._limiter, paths=request.paths)
            if request.result is None:
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        request.done.set()


def _judge_short(request: _Request) -> None:
    if request.is_quick():
        request.judge(may_retry=True, longest=_SHORT_LOG)


class OutOfResourcesError(Exception):
    """There is no free descriptor, or no memory, to read a log."""


def judge(
    spec: JobSpec,
    log: LogPath,
    how: Exit,
    workers: Workers | None = None,
    *,
    may_retry: bool = False,
    longest: int | None = None,
) -> tuple[Verdict, Judgement | None]:
    """Read the log as far as needed; return the verdict and the judgement. Blocks. The verdict reports other errors.

    Raises:
        OutOfResourcesError: with `may_retry`, if the system is out of resources, which is no fault of the job.
        TooLongError: if there are patterns, and the log has more than `longest` bytes.
    """
    patterns = LogPatterns.of(spec)
    unreadable = judgement = None
    try:
        judgement = (
            judge_log(
                log, patterns, workers, budget=BUDGET, clock=time.thread_time, wall=time.monotonic, longest=longest
            )
            if patterns
            else read_tail(log, raw=patterns.raw_lines)
        )
    except TooLongError:
        raise
    except Exception as exc:  # a job completes whatever it has put in the place of its log
        if may_retry and is_out_of_resources(exc):
            raise OutOfResourcesError from exc
        if patterns:
            unreadable = "there is no memory for that" if isinstance(exc, MemoryError) else str(exc) or repr(exc)
    verdict = decide(how.code, how.signal, judgement, core_dumped=how.core_dumped, unreadable=unreadable)
    if verdict is PASSED and (message := too_large(spec, log)):
        verdict = Verdict(FailureKind.LOG_LIMIT.status, JobStatusInfo(message, kind=FailureKind.LOG_LIMIT))
    return verdict, judgement


def too_large(spec: JobSpec, log: LogPath) -> str | None:
    """Return the failure message for a log larger than `max_log`; `None` for another, or if it is missing. Blocks."""
    with suppress(OSError):
        if spec.max_log is not None and (size := size_of(log)) > spec.max_log:
            return over_limit(size, spec.max_log)
    return None
