"""The verdict of a job and its reason, from how its process ended and what its log says.

All backends check in the same order: how the process ended, then fail patterns, then missing pass patterns. The first
of them that fails gives the kind of failure. The line that a fail pattern matched, and the lines around it, are always
part of the reason, because they often explain the exit code.

If any of them fails, and a line of the log shows a failure of the infrastructure (`JobSpec.kinds`), that is the kind:
whatever follows a missing licence is a consequence of it.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from runtime.job import FailureKind, JobStatus, JobStatusInfo, Kind
from runtime.job.shorten import shorten
from runtime.signal_names import signal_name
from runtime.verdict.explaining import is_complaint
from runtime.verdict.judge import FailingLine, Judgement

_MAX_MESSAGE: Final = 200
"""Characters of a line of the log that a message quotes; the context has more of it. Arbitrary: ten times longer, a
message fills a screen; ten times shorter, it quotes a time stamp alone."""


class ExitStatus(Protocol):
    """How a process ended. `runtime.process.Exit` is one."""

    @property
    def code(self) -> int | None:
        """The exit code, if it exited."""

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it, if one did."""

    @property
    def core_dumped(self) -> bool:
        """Whether it left a core file."""


@attrs.frozen
class Verdict:
    """Whether a job passed, and if it did not, why. Two verdicts with the same status and reason are equal."""

    status: JobStatus
    """PASSED or FAILED."""
    reason: JobStatusInfo | None = None
    """Why it failed; `None` if it passed."""
    log: Judgement | None = attrs.field(default=None, eq=False, repr=False)
    """What its log says; `None` if it was not read, or could not be."""

    @property
    def passed(self) -> bool:
        """Whether the job passed."""
        return self.status is JobStatus.PASSED


PASSED: Final = Verdict(JobStatus.PASSED)
"""The verdict on a job that passed and whose log was not read."""


def failed(kind: FailureKind, message: str, log: Judgement | None = None) -> Verdict:
    """Return a verdict with this kind of failure and the status that belongs to it."""
    return Verdict(kind.status, JobStatusInfo(message, kind=kind), log)


def decide(
    exit_code: int | None,
    signal: int | None,
    log: Judgement | None = None,
    *,
    core_dumped: bool = False,
    unreadable: str | None = None,
) -> Verdict:
    """Return the verdict.

    Args:
        exit_code: the exit code, if the process exited.
        signal: the number of the signal that ended it, if one did.
        log: what its log says; `None` if it was not judged.
        core_dumped: whether the process left a core file.
        unreadable: why its log could not be judged; `None` if it was, or did not have to be.
    """
    judgement, log = log, log or Judgement()
    kind = FailureKind.EXIT_CODE if signal is None else FailureKind.SIGNAL
    parts = []
    if signal is not None:
        parts.append(f"ended by {signal_name(signal)}{' (core dumped)' if core_dumped else ''}")
    elif exit_code != 0:
        parts.append(f"exit code {exit_code}")
    elif unreadable is not None:
        kind = FailureKind.LOG_UNREADABLE
    elif log.failure is not None:
        kind = FailureKind.FAIL_PATTERN
    elif log.missing:
        kind = FailureKind.PASS_PATTERN_MISSING
    else:
        return PASSED if judgement is None else Verdict(JobStatus.PASSED, None, judgement)
    # What the log says comes after how the process ended: a fail pattern often explains an exit code.
    if unreadable is not None:
        parts.append(f"its log could not be judged: {unreadable}")
    elif log.failure is not None:
        parts.append(f"a fail pattern matched: {shorten(log.failure.text.strip(), _MAX_MESSAGE)}")
    elif log.missing and not parts:  # of a process that failed, a missing pass pattern is a consequence
        patterns = ", ".join(map(repr, log.missing))
        parts.append(f"pass pattern{'s' if len(log.missing) > 1 else ''} not found: {patterns}")
    # A fail pattern explains itself: the last lines, which come after it, would hide it.
    lines, context = _excerpt(log, with_tail=kind is not FailureKind.FAIL_PATTERN)
    return Verdict(kind.status, JobStatusInfo("; ".join(parts), lines or None, context or None, kind), judgement)


def of_kind(verdict: Verdict, kind: Kind, line: FailingLine) -> Verdict:
    """Return the verdict on a job that failed, with the kind that a line of its log shows.

    Args:
        verdict: without that line.
        kind: what the line shows.
        line: of the log.
    """
    why = "" if verdict.reason is None else f"; {verdict.reason.message}"
    message = f"{kind}: {shorten(line.text.strip(), _MAX_MESSAGE)}{why}"
    lines, context = _excerpt(Judgement(line, lines=line.line), with_tail=False)
    return Verdict(kind.status, JobStatusInfo(message, lines, context, kind), verdict.log)


_BY_LOG: Final = (
    FailureKind.EXIT_CODE,
    FailureKind.SIGNAL,
    FailureKind.FAIL_PATTERN,
    FailureKind.PASS_PATTERN_MISSING,
)
"""The kinds of failure that a line of the log may explain."""


def needs_explanation(verdict: Verdict) -> bool:
    """Whether a line of its log may explain the failure better: not if a fail pattern found one that explains it."""
    if verdict.reason is None or verdict.reason.kind not in _BY_LOG or verdict.log is None:
        return False
    return verdict.log.failure is None or is_complaint(verdict.log.failure.text)


def explained(verdict: Verdict, found: Judgement) -> Verdict:
    """Return the verdict on a job that failed, with the line that explains it, and those around, in its context.

    Args:
        verdict: without that line.
        found: what its log says, of which the explanation counts, and the last lines with their numbers.
    """
    if found.explanation is None or verdict.reason is None or verdict.log is None:
        return verdict
    log = attrs.evolve(verdict.log, tail=found.tail, lines=found.lines, explanation=found.explanation)
    lines, context = _excerpt(log, with_tail=verdict.reason.kind is not FailureKind.FAIL_PATTERN)
    return attrs.evolve(verdict, reason=attrs.evolve(verdict.reason, lines=lines, context=context))


def explain_stop(reason: JobStatusInfo, log: Judgement | None) -> JobStatusInfo:
    """Return the reason of a stop, extended by what the log says: the first failing line, and the last lines.

    Args:
        reason: why the job was stopped; its kind stays.
        log: what its log says; `None` if it could not be judged.
    """
    if log is None:
        return reason
    message = reason.message
    if log.failure is not None:
        message = f"{message}; a fail pattern matched: {shorten(log.failure.text.strip(), _MAX_MESSAGE)}"
    lines, context = _excerpt(log, with_tail=True)
    return attrs.evolve(reason, message=message, lines=lines or None, context=context or None)


def _excerpt(log: Judgement, *, with_tail: bool) -> tuple[list[int | tuple[int, int]], tuple[str, ...]]:
    """Return the ``lines`` and the ``context`` of a `JobStatusInfo`.

    First come the numbers of the line that explains the failure, and of the failing line, as far as they are known.
    """
    # By line number: where the last lines and those around the failure overlap, each is shown once.
    shown: dict[int, str] = {}
    if with_tail:
        if log.lines is None:  # the end alone was read, so its lines have no numbers
            return [], log.tail
        shown.update(enumerate(log.tail, log.lines - len(log.tail) + 1))
    single = [each for each in (log.explanation, log.failure) if each is not None]
    for each in single:
        shown.update(each.numbered())
    numbers = sorted(shown)
    ends = [number for number in numbers if number + 1 not in shown]
    ranges = zip((number for number in numbers if number - 1 not in shown), ends, strict=True)
    return [*(each.line for each in single), *ranges], tuple(shown[number] for number in numbers)
