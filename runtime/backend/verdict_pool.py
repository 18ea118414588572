"""`VerdictPool`: verdicts in threads; of short logs many at once, of a long one by itself.

A hop to a thread costs more than judging the log of a small job, so all that wait share one; and a text of a few lines
that is there already needs none, if its patterns are RE2's. What would hold the
others up is handed back, and gets a hop of its own: a long log, or patterns that may need a process.
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

logger: Final = logging.getLogger("runtime.backends")

T = TypeVar("T")

_SHORT: Final = 1 << 18
"""Bytes of a log that is judged together with others: a millisecond or so. Arbitrary."""

_SIZE_THREADS: Final = 4
"""Threads that look how large logs are, each for an instant. Arbitrary."""

_TOGETHER: Final = 16
"""Logs that are judged in one hop."""


_FAMILIAR: Final = 1000
"""Sets of patterns that are remembered."""

_MOMENT: Final = 0.002
"""Seconds of processor time that a short text may take without a thread. Arbitrary."""

_CHANCES: Final = 3
"""Times that it may take longer, before texts with these patterns get threads: the interpreter may have done something
else just then, such as to collect garbage."""

_PATIENCE: Final = 60.0
"""Seconds for which judging waits for a free descriptor. Arbitrary."""

_FIRST_DELAY: Final = 0.01
_LAST_DELAY: Final = 1.0
"""Seconds between two attempts, at first and at most. Arbitrary."""

_TURN: Final = 0.05
"""Seconds for which those that come wait for the hop before theirs, so that there are few hops; a hop that takes longer
is stuck in a file system, say. Arbitrary."""


@attrs.define(eq=False)
class _Case:
    """One job that waits for its verdict."""

    spec: JobSpec
    log: LogPath
    how: Exit
    workers: Workers
    done: trio.Event = attrs.field(factory=trio.Event)
    result: tuple[Verdict, Judgement | None] | None = None

    def paths(self) -> Sequence[str]:
        """Return what has to answer so that it can be judged."""
        return (real_path(self.log),)

    def is_quick(self) -> bool:
        """Whether judging it takes a moment only, if its log is short. Blocks."""
        try:
            return is_quick(LogPatterns.of(self.spec))
        except MemoryError:
            return False  # to compile the patterns: it waits for room by itself

    def judge(self, *, patient: bool, longest: int | None = None) -> None:
        """Find the verdict. Blocks.

        None, if it is `patient`, while there is no room to read the log; nor if that has more than `longest` bytes.
        """
        with suppress(NoRoomError, TooLongError):
            self.result = judge(self.spec, self.log, self.how, self.workers, patient=patient, longest=longest)


class VerdictPool:
    """Hands verdicts out, for as long as `run` runs.

    Args:
        limiter: for threads.
    """

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._sizing = trio.CapacityLimiter(_SIZE_THREADS)
        self._workers = Workers()
        self._familiar: dict[LogPatterns, int] = {}
        """Patterns that RE2 has compiled, so that a short text is a matter of microseconds, but for a few such as
        ``.{0,500}x``; and how often that may still turn out to be wrong."""
        self._send, self._receive = trio.open_memory_channel[_Case](math.inf)

    def judge_at_once(self, patterns: LogPatterns, text: bytes, how: Exit) -> tuple[Verdict, Judgement] | None:
        """Return what `judge` would, of a log that is known and short; `None` if that could take long.

        It cannot, if RE2 has all `patterns` and has compiled them, when `judge` was asked about such a job before; and
        if no text with them has taken long.
        """
        if not self._familiar.get(patterns):
            return None
        begun = time.thread_time()
        try:
            judgement = judge_text(text, patterns)
        except MemoryError:
            return None  # who asks `judge` then waits for room
        if time.thread_time() - begun > _MOMENT:
            self._familiar[patterns] -= 1
        return decide(how.code, how.signal, judgement, core_dumped=how.core_dumped), judgement

    async def judge(self, spec: JobSpec, log: LogPath, how: Exit) -> tuple[Verdict, Judgement | None]:
        """Return the verdict on a job, and what its log says. Cancelling it is prompt, and wastes the work."""
        case = _Case(spec, log, how, self._workers)
        self._send.send_nowait(case)
        await case.done.wait()
        assert case.result is not None
        patterns, judged = LogPatterns.of(spec), case.result[1] is not None
        if judged and patterns not in self._familiar and are_linear(patterns):
            if len(self._familiar) >= _FAMILIAR:
                self._familiar.clear()
            self._familiar[patterns] = _CHANCES
        return case.result

    async def wait_failed(self, spec: JobSpec, log: LogPath, interval: float) -> None:
        """Wait until a line of `log`, which is being written, matches a fail pattern of the job.

        For ever, if there is none, or the log cannot be read: the verdict will say so. Cancelling it is prompt.
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
                        raise  # else there may be a free descriptor at the next look
        except (OSError, JudgingError, MemoryError) as exc:
            logger.warning("the log of job %r is not watched any longer: %s", spec.id, str(exc) or repr(exc))
            await trio.sleep_forever()
        finally:
            follower.close()

    async def wait_too_large(self, spec: JobSpec, log: LogPath, interval: float) -> str:
        """Wait until `log`, which is being written, is larger than the job's `max_log`; return what is said of that.

        Cancelling it is prompt.
        """
        while True:
            await trio.sleep(interval)
            message = await in_thread(too_large, spec, log, limiter=self._sizing, paths=lambda: (real_path(log),))
            if message is not None:
                return message

    async def run(self) -> None:
        """Serve until cancelled. Then no process that judges is left; a thread that waits for one ends by itself."""
        try:
            async with trio.open_nursery() as nursery:
                async for case in self._receive:
                    done = trio.Event()
                    nursery.start_soon(self._judge_together, [case, *self._waiting()], nursery, done)
                    with trio.move_on_after(_TURN):
                        await done.wait()
        finally:
            self._workers.close()

    @trio.lowlevel.enable_ki_protection
    async def _judge_together(self, cases: Sequence[_Case], nursery: trio.Nursery, done: trio.Event) -> None:
        def tell(results: Sequence[tuple[_Case, None]]) -> None:
            for case, _ in results:
                if case.result is None:
                    nursery.start_soon(self._judge_long, case)
                else:
                    case.done.set()

        work = Work(_judge_short, cases, paths=_Case.paths)
        await each_in_thread(work, limiter=self._limiter, nursery=nursery, done=tell)
        done.set()

    def _waiting(self) -> Iterator[_Case]:
        with suppress(trio.WouldBlock):
            for _ in range(_TOGETHER - 1):
                yield self._receive.receive_nowait()

    @trio.lowlevel.enable_ki_protection
    async def _judge_long(self, case: _Case) -> None:
        until = trio.current_time() + _PATIENCE
        delay = _FIRST_DELAY
        while case.result is None:
            patient = trio.current_time() < until
            judge_it = partial(case.judge, patient=patient)
            await in_thread(judge_it, limiter=self._limiter, paths=case.paths)
            if case.result is None:
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        case.done.set()


def _judge_short(case: _Case) -> None:
    if case.is_quick():
        case.judge(patient=True, longest=_SHORT)


class NoRoomError(Exception):
    """There is no free descriptor, or no memory, to read a log."""


def judge(
    spec: JobSpec,
    log: LogPath,
    how: Exit,
    workers: Workers | None = None,
    *,
    patient: bool = False,
    longest: int | None = None,
) -> tuple[Verdict, Judgement | None]:
    """Read the log as far as it is needed, and return the verdict. Blocks; whatever goes wrong is in the verdict.

    Raises:
        NoRoomError: if it is `patient`, for what may go by: that is no fault of the job.
        TooLongError: if there are patterns, and more than `longest` bytes.
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
    except Exception as exc:  # a job's completion never depends on what is in the place of its log
        if patient and is_out_of_resources(exc):
            raise NoRoomError from exc
        if patterns:
            unreadable = "there is no memory for that" if isinstance(exc, MemoryError) else str(exc) or repr(exc)
    verdict = decide(how.code, how.signal, judgement, core_dumped=how.core_dumped, unreadable=unreadable)
    if verdict is PASSED and (message := too_large(spec, log)):
        verdict = Verdict(FailureKind.LOG_LIMIT.status, JobStatusInfo(message, kind=FailureKind.LOG_LIMIT))
    return verdict, judgement


def too_large(spec: JobSpec, log: LogPath) -> str | None:
    """Return what is said of a log that is larger than `max_log`; `None` if it is not, or not there. Blocks."""
    with suppress(OSError):
        if spec.max_log is not None and (size := size_of(log)) > spec.max_log:
            return over_limit(size, spec.max_log)
    return None
