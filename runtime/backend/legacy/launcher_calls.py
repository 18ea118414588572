"""The calls that the adapter makes of a launcher: build, launch, poll, kill.

All of them run in a thread, may block, and may raise anything.

A launcher's properties are read right after the poll that reports the end of the job, in the same thread: they may do
I/O, and the next call may change them.
"""

from __future__ import annotations

from typing import Final

import attrs

from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.duck_typing import reason_of, status_of, usage_of
from runtime.backend.legacy.entry import Entry
from runtime.job import JobStatus, JobStatusInfo, JobUsage


@attrs.frozen
class PolledEnd:
    """The answer of a poll that reports the end of the job."""

    status: JobStatus
    reason: JobStatusInfo | None
    usage: JobUsage | None


QUEUED: Final = JobStatus.QUEUED  # a module's name is found faster than an enum's member
RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED

_PASSED: Final = PolledEnd(PASSED, None, None)
"""The most frequent one, made once."""


def _build(entry: Entry) -> None:
    entry.launcher = entry.make(entry.job.spec)


def _launch(entry: Entry) -> None:
    entry.launcher.launch()


def _poll(entry: Entry) -> JobStatus | PolledEnd:
    launcher = entry.launcher
    answer: object = launcher.poll()
    if answer is RUNNING:  # the most frequent answer, and one comparison
        return RUNNING
    status = PASSED if answer is PASSED else status_of(answer, launcher)
    if status is RUNNING or status is QUEUED:
        return status
    reason = None if status is PASSED else reason_of(launcher)
    usage = usage_of(launcher)
    return _PASSED if reason is None and usage is None else PolledEnd(status, reason, usage)


def _poll_and_kill(call: Call) -> PolledEnd | None:
    """Poll once more, and call `kill()` unless the job has ended by itself."""
    try:
        answer = _poll(call.subject)
    except BaseException:  # noqa: BLE001 - foreign code; a job whose state is unknown is killed all the same
        pass
    else:
        if answer.__class__ is PolledEnd:
            return answer
    _kill(call)
    return None


def _kill(call: Call) -> None:
    call.subject.launcher.kill()


def _drop_abandoned(call: Call) -> None:
    call.subject.launcher = None


def _kill_and_drop_abandoned(call: Call) -> None:
    try:
        _kill_abandoned(call)
    finally:
        _drop_abandoned(call)


def _kill_abandoned(call: Call) -> None:
    """Kill the job of an abandoned launch or poll that has returned: nothing else will."""
    if call.failure is not None and (call.step is LAUNCH or call.failure.dead_process is not None):
        return  # the job was not launched, or its launcher died with its process
    if call.value.__class__ is PolledEnd:
        return
    _kill(call)


BUILD: Final = Step("constructor", _build, _drop_abandoned)
LAUNCH: Final = Step("launch()", _launch, _kill_and_drop_abandoned)
POLL: Final = Step("poll()", _poll, _kill_and_drop_abandoned)
KILL: Final = Step("kill()", _poll_and_kill, _drop_abandoned)
"""A last poll, and the kill unless that reports the end of the job. Its value is that answer, or `None`."""
KILL_UNPOLLED: Final = Step("kill()", _kill, _drop_abandoned)
"""The kill without a last poll, after too many polls that failed."""
