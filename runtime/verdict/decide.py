"""From how a job's process ended, and what its log says, to the job's status and the reason for it.

One order for all backends: how the process ended, then a fail pattern, then a missing pass pattern. What comes first
names the failure; the line that a fail pattern matched, and those around it, are in the reason in any case, because
they often explain the exit code.
"""

from __future__ import annotations

import signal as signals
from typing import Final

import attrs

from runtime.job import FailureKind, JobStatus, JobStatusInfo
from runtime.job.sizes import size_text
from runtime.verdict.judge import Judgement

_MAX_MESSAGE: Final = 200
"""Characters of a line of the log that a message quotes; more of it is in the context."""


@attrs.frozen
class Verdict:
    """Whether a job passed, and if not, why."""

    status: JobStatus
    """PASSED or FAILED."""
    reason: JobStatusInfo | None = None
    """`None` if it passed."""


PASSED: Final = Verdict(JobStatus.PASSED)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM``; ``signal 77`` for one without."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


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
        log: what its log says; `None` if nobody looked.
        core_dumped: whether it left a core file.
        unreadable: why its log could not be judged, if it had to be and could not.
    """
    log = log or Judgement()
    failed = FailureKind.EXIT_CODE if signal is None else FailureKind.SIGNAL
    said = []
    if signal is not None:
        said.append(f"ended by {signal_name(signal)}{' (core dumped)' if core_dumped else ''}")
    elif exit_code != 0:
        said.append(f"exit code {exit_code}")
    elif unreadable is not None:
        failed = FailureKind.LOG_UNREADABLE
    elif log.failure is not None:
        failed = FailureKind.FAIL_PATTERN
    elif log.missing:
        failed = FailureKind.PASS_PATTERN_MISSING
    else:
        return PASSED
    if unreadable is not None:
        said.append(f"its log could not be judged: {unreadable}")
    elif log.failure is not None:
        said.append(f"a fail pattern matched: {_quote(log.failure.text)}")
    elif log.missing and not said:
        patterns = ", ".join(map(repr, log.missing))
        said.append(f"pass pattern{'s' if len(log.missing) > 1 else ''} not found: {patterns}")
    lines, context = _excerpt(log, with_tail=failed is not FailureKind.FAIL_PATTERN)
    return Verdict(failed.status, JobStatusInfo("; ".join(said), lines or None, context or None, failed))


def over_limit(size: int, limit: int) -> str:
    """Return what is said of a job whose log has `size` bytes, and may have `limit`."""
    return f"its log has {size_text(size)}, and may have {size_text(limit)} (max_log)"


def explain_stop(reason: JobStatusInfo, log: Judgement | None) -> JobStatusInfo:
    """Return why a job was stopped, with what its log says: the first line that failed, and the last lines.

    Args:
        reason: why it was stopped; its kind stays.
        log: what its log says; `None` if nobody could tell.
    """
    if log is None:
        return reason
    message = reason.message
    if log.failure is not None:
        message = f"{message}; a fail pattern matched: {_quote(log.failure.text)}"
    lines, context = _excerpt(log, with_tail=True)
    return attrs.evolve(reason, message=message, lines=lines or None, context=context or None)


def _excerpt(log: Judgement, *, with_tail: bool) -> tuple[list[int | tuple[int, int]], tuple[str, ...]]:
    """Return what `JobStatusInfo` has as ``lines`` and ``context``: the failing line comes first among the lines."""
    if log.lines is None:
        return [], log.tail
    shown: dict[int, str] = {}
    if with_tail:
        shown.update(enumerate(log.tail, log.lines - len(log.tail) + 1))
    if log.failure is not None:
        shown.update(log.failure.numbered())
    numbers = sorted(shown)
    ends = [number for number in numbers if number + 1 not in shown]
    ranges = zip((number for number in numbers if number - 1 not in shown), ends, strict=True)
    failing = [] if log.failure is None else [log.failure.line]
    return [*failing, *ranges], tuple(shown[number] for number in numbers)


def _quote(line: str) -> str:
    line = line.strip()
    return line if len(line) <= _MAX_MESSAGE else line[:_MAX_MESSAGE] + "…"
