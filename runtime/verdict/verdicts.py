"""`verdict` and `Verdicts`: did a job pass? The one way to ask, with a job, its exit and its log.

The verdict is the same whichever method returns it. They differ in how long they may take:

| method | takes | `None` means |
|---|---|---|
| `Verdicts.at_once` | microseconds, so it may be called in an event loop | ask another one |
| `Verdicts.soon` | about a millisecond, in a thread that others wait for | ask another one |
| `Verdicts.attempt` | as long as the log is, in a thread of its own | the system is out of resources: ask again later |
| `Verdicts.of` | the same | |

The log of a job that has not passed is read once more, for the lines that show a failure of the infrastructure, and for
the one that explains the failure. They are not searched for with the other patterns: most jobs pass, and theirs would
be searched for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from functools import lru_cache
from typing import Final

import attrs

from runtime.errors import is_out_of_resources
from runtime.job import FailureKind, JobSpec, Kinds
from runtime.verdict.combined import are_linear, is_quick
from runtime.verdict.decide import (
    PASSED,
    ExitStatus,
    Verdict,
    decide,
    explained,
    failed,
    needs_explanation,
    of_kind,
)
from runtime.verdict.explaining import ERRORS, HINTS
from runtime.verdict.file import LogPath, TooLongError, judge_log, judge_text, read_tail, stopped_clock, too_large
from runtime.verdict.follow import LogFollower
from runtime.verdict.judge import Judgement, LogPatterns
from runtime.verdict.worker import Workers

SHORT_LOG: Final = 1 << 18
"""The most bytes of a log that is judged soon: about a millisecond. Arbitrary: ten times more delays those who wait for
the same thread, ten times less gives ordinary logs a thread each."""

EXPLAINING: Final = LogPatterns(failing=(*ERRORS, *HINTS))
"""What is looked for with `LogPatterns.explaining`."""

_MAX_KNOWN: Final = 1000
"""Sets of patterns that are remembered. Arbitrary: ten times more costs memory; with ten times fewer, a run with many
kinds of jobs forgets them and judges in threads again."""

_INLINE_LIMIT: Final = 0.002
"""Seconds of processor time that judging a text at once may take. Arbitrary: ten times longer delays all other tasks of
the event loop, ten times shorter sends ordinary texts to threads."""

_MAX_OVERRUNS: Final = 3
"""Times that it may take longer before texts with these patterns are judged in threads. More than one, as the
interpreter may have collected garbage just then. Arbitrary."""


def verdict(job: JobSpec, exit_status: ExitStatus, log: LogPath) -> Verdict:
    """Return the verdict on one job, without a limit of time. Blocks: see `Verdicts.of`, which is for many jobs."""
    with closing(Verdicts()) as verdicts:
        return verdicts.of(job, exit_status, log)


def needs_log(job: JobSpec, exit_status: ExitStatus) -> bool:
    """Whether the verdict depends on the log, or shows lines of it."""
    patterns = job.pass_patterns or job.fail_patterns or job.runtime_pattern or job.simulated_time_pattern
    return exit_status.code != 0 or bool(patterns)


class Verdicts:
    """The verdicts of a backend's jobs. The methods may be called in several threads at once.

    Args:
        clock: tells the processor time of the calling thread, in seconds; the default stands still, for no limit.
        wall: tells the time on the wall clock, in seconds; the default stands still, for no limit.
    """

    def __init__(self, clock: Callable[[], float] = stopped_clock, wall: Callable[[], float] = stopped_clock) -> None:
        self._clock = clock
        self._wall = wall
        self._workers = Workers()
        self._overruns_left: dict[LogPatterns, int] = {}
        """Patterns that RE2 has compiled, to the overruns that they have left. A short text takes microseconds with
        almost all of these patterns; with a few, such as ``.{0,500}x``, it takes longer."""

    def close(self) -> None:
        """End the worker processes, which also ends calls in other threads that wait for one."""
        self._workers.close()

    def at_once(self, job: JobSpec, exit_status: ExitStatus, text: bytes | None) -> Verdict | None:
        """Return the verdict if finding it takes microseconds; else `None`. Does not block.

        That is so if there is nothing to look for; and for a text if an earlier call of another method has made RE2
        compile all patterns, and texts with them have exceeded `_INLINE_LIMIT` fewer than `_MAX_OVERRUNS` times.

        Args:
            job: the job.
            exit_status: how its process ended.
            text: its whole log, if it is short and known.
        """
        if job.max_log is not None and (text is None or len(text) > job.max_log):
            return None
        if not needs_log(job, exit_status):
            return PASSED
        if text is None:
            return None
        patterns = LogPatterns.of(job)
        if not self._overruns_left.get(patterns):
            return None
        how = exit_status
        found: Verdict | None
        begun = self._clock()
        try:
            found = _verdict_on_text(text, patterns, how.code, how.signal, how.core_dumped)
            if _needs_second_look(job, how, found):
                if job.kinds is None and self._overruns_left.get(EXPLAINING):
                    found = _explained_by_text(text, patterns, how.code, how.signal, how.core_dumped)
                else:
                    found = None
        except MemoryError:
            return None  # `attempt` is repeated until there is memory
        if self._clock() - begun > _INLINE_LIMIT:
            self._overruns_left[patterns] -= 1
        return found

    def soon(self, job: JobSpec, exit_status: ExitStatus, log: LogPath) -> Verdict | None:
        """Return the verdict if finding it takes about a millisecond; else `None`. Blocks. Arguments as for `of`.

        So a log is judged that has at most `SHORT_LOG` bytes, with patterns that need no worker for usual lines.
        """
        try:
            if not is_quick(LogPatterns.of(job)) or not is_quick(LogPatterns.of_kinds(job)):
                return None
        except (MemoryError, OSError):  # no memory to compile the patterns, or no descriptor to import RE2
            return None
        return self.attempt(job, exit_status, log, SHORT_LOG)

    def attempt(
        self, job: JobSpec, exit_status: ExitStatus, log: LogPath, longest: int | None = None
    ) -> Verdict | None:
        """Return the verdict as `of` does; `None` if the system is out of resources, which is no fault of the job.

        It is also `None` for a log that has to be searched and has more than `longest` bytes.
        """
        found: Judgement | Exception
        try:
            found = self._read(job, exit_status, log, longest)
        except TooLongError:
            return None
        except Exception as exc:  # noqa: BLE001 - a job completes whatever it has put in the place of its log
            if is_out_of_resources(exc):
                return None
            found = exc
        decided = _decide(job, exit_status, log, found)
        if not _needs_second_look(job, exit_status, decided):
            return decided
        try:
            return self._look_again(decided, job, log, longest)
        except TooLongError:  # it has grown meanwhile
            return None
        except Exception as exc:  # noqa: BLE001 - as above
            return None if is_out_of_resources(exc) else _not_looked_again(decided, exc)

    def of(self, job: JobSpec, exit_status: ExitStatus, log: LogPath) -> Verdict:
        """Return the verdict. Blocks. If the log cannot be read, or not within its limits, the verdict says so.

        Args:
            job: the job.
            exit_status: how its process ended.
            log: where its log is. It is read as far as needed.
        """
        found: Judgement | Exception
        try:
            found = self._read(job, exit_status, log)
        except Exception as exc:  # noqa: BLE001 - as in `attempt`
            found = exc
        decided = _decide(job, exit_status, log, found)
        if not _needs_second_look(job, exit_status, decided):
            return decided
        try:
            return self._look_again(decided, job, log)
        except Exception as exc:  # noqa: BLE001 - as in `attempt`
            return _not_looked_again(decided, exc)

    def follower(self, job: JobSpec, log: LogPath) -> LogFollower:
        """Return what tells whether a fail pattern has matched, while `log` is still being written."""
        return LogFollower(log, LogPatterns.of(job), self._workers, wall=self._wall)

    def start_follower(self, job: JobSpec, log: LogPath) -> LogFollower:
        """Return what tells whether a line has matched the job's `timeout_from`, while `log` is still being written.

        Blocks for as long as compiling the pattern takes.
        """
        patterns = LogPatterns(failing=(job.timeout_from or "",), raw_lines=job.raw_lines)
        return LogFollower(log, patterns, self._workers, wall=self._wall)

    def _read(self, job: JobSpec, exit_status: ExitStatus, log: LogPath, longest: int | None = None) -> Judgement:
        patterns = LogPatterns.of(job)
        if patterns:
            found = judge_log(
                log,
                patterns,
                self._workers,
                clock=self._clock,
                wall=self._wall,
                longest=longest,
                numbered=exit_status.code != 0,  # else the last lines are shown only if a pass pattern is missing
            )
        else:
            found = read_tail(log, raw=patterns.raw_lines)
        self._note_compiled(patterns)
        return found

    def _look_again(self, decided: Verdict, job: JobSpec, log: LogPath, longest: int | None = None) -> Verdict:
        """Return the verdict on a job that failed, with the kind that its log shows, or the line that explains it.

        It is `decided` if there is neither.

        Raises:
            Exception: as `judge_log`.
        """
        patterns = LogPatterns.of_kinds(job, explaining=needs_explanation(decided))
        found = judge_log(log, patterns, self._workers, clock=self._clock, wall=self._wall, longest=longest)
        if patterns.explaining:
            self._note_compiled(EXPLAINING)
        if found.failure is None or not isinstance(job.kinds, Kinds):
            return explained(decided, found)
        return of_kind(decided, job.kinds.of(found.failure.pattern), found.failure)

    def _note_compiled(self, patterns: LogPatterns) -> None:
        """Remember that RE2 has compiled `patterns`, if it can: called after a first log was judged with them."""
        # Not before: RE2 may have to compile them, which may take long.
        if patterns not in self._overruns_left:
            with suppress(MemoryError, OSError):
                if are_linear(patterns):
                    if len(self._overruns_left) >= _MAX_KNOWN:
                        self._overruns_left.clear()
                    self._overruns_left[patterns] = _MAX_OVERRUNS


def _needs_second_look(job: JobSpec, exit_status: ExitStatus, verdict: Verdict) -> bool:
    """Whether the log has to be searched once more: not of a job that was stopped, or whose log is too large."""
    if verdict.passed or (exit_status.code is None and exit_status.signal is None):
        return False
    if verdict.reason is not None and verdict.reason.kind is FailureKind.LOG_LIMIT:
        return False
    return job.kinds is not None or needs_explanation(verdict)


def _not_looked_again(verdict: Verdict, error: Exception) -> Verdict:
    """Return the verdict of a job whose log could not be searched once more."""
    if verdict.reason is None or isinstance(error, OSError):  # a log that cannot be read shows nothing
        return verdict
    message = f"{verdict.reason.message}; which kind of failure its log shows is not known: {error}"
    return attrs.evolve(verdict, reason=attrs.evolve(verdict.reason, message=message))


def _decide(job: JobSpec, exit_status: ExitStatus, log: LogPath, found: Judgement | Exception) -> Verdict:
    """Return the verdict, after the log was read with the result `found`."""
    unreadable = None
    if isinstance(found, Exception) and LogPatterns.of(job):  # without patterns, its end would only have been shown
        unreadable = "there is no memory for that" if isinstance(found, MemoryError) else str(found) or repr(found)
    judgement = None if isinstance(found, Exception) else found
    how = exit_status
    verdict = decide(how.code, how.signal, judgement, core_dumped=how.core_dumped, unreadable=unreadable)
    if verdict.passed and (message := too_large(job, log)):
        return failed(FailureKind.LOG_LIMIT, message, judgement)
    return verdict


@lru_cache(maxsize=256)  # many short logs are the same, byte by byte
def _verdict_on_text(
    text: bytes, patterns: LogPatterns, code: int | None, signal: int | None, core_dumped: bool
) -> Verdict:
    return decide(code, signal, judge_text(text, patterns, numbered=code != 0), core_dumped=core_dumped)


@lru_cache(maxsize=256)
def _explained_by_text(
    text: bytes, patterns: LogPatterns, code: int | None, signal: int | None, core_dumped: bool
) -> Verdict:
    decided = _verdict_on_text(text, patterns, code, signal, core_dumped)
    return explained(decided, judge_text(text, LogPatterns(raw_lines=patterns.raw_lines, explaining=True)))
