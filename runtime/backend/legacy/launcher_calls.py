"""The calls that the adapter makes of a launcher: build, launch, poll, kill, drop.

All of them run in a thread, may block, and may raise anything.

A launcher's properties are read right after the poll that reports the end of the job, in the same thread: they may do
I/O, and the next call may change them.

Dropping the last reference to a launcher runs its `__del__`, so the event loop never drops one. It queues the launchers
of jobs that have ended, and one `DROP` drops many of them. The thread of an abandoned call drops the launcher itself
when the call returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from os import getpid
from time import monotonic
from typing import Any, Final

import attrs

from runtime.backend.contract.live import LiveJob
from runtime.backend.legacy.call_batches import BATCH_TIME, Call, StalledCall, Step
from runtime.backend.legacy.duck_typing import reason_of, status_of, usage_of
from runtime.job import JobStatus, JobStatusInfo, JobUsage


@attrs.frozen
class Ended:
    """The answer of a poll that reports the end of the job."""

    status: JobStatus
    reason: JobStatusInfo | None
    usage: JobUsage | None


QUEUED: Final = JobStatus.QUEUED  # a module's name is found faster than an enum's member
RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED

_PASSED: Final = Ended(PASSED, None, None)
"""The most frequent one, made once."""


class Entry(Call):
    """A job, its launcher, and the state of the two. The entry is itself the call for one step after the other.

    Only `KILL` is a separate call, with the entry as subject: the queue from which the entry was taken back may still
    contain it.
    """

    __slots__ = ("call", "failures", "job", "launcher", "make", "polling_failed", "stalled")

    def __init__(self, job: LiveJob, make: Callable[[Any], Any]) -> None:
        self.job = job
        self.make = make
        """Builds the launcher from the job's specification."""
        self.launcher: Any = None
        """Set by `BUILD`, in the thread."""
        self.call: Call | None = self
        """The call that is queued or in progress, or has returned and was not handled yet; `None` if there is none."""
        self.stalled: StalledCall | None = None
        """Set while `call` is stalled."""
        self.failures = 0
        """How many polls in a row have failed."""
        self.polling_failed = False
        """Whether too many polls in a row have failed: then no last poll precedes the kill."""
        self.renew(BUILD)

    def __repr__(self) -> str:
        return f"job {self.job.id!r}"

    def take_launcher(self) -> Any:
        """Return the launcher, and release the reference to it."""
        launcher = self.launcher
        self.launcher = None
        return launcher

    @property
    def subject(self) -> Entry:
        """Itself."""
        return self


def renew_calls(entries: Iterable[Entry], step: Step) -> None:
    """Make entries that have no other call calls of `step`."""
    for entry in entries:
        entry.renew(step)
        entry.call = entry


def _build(entry: Entry) -> None:
    entry.launcher = entry.make(entry.job.spec)


def _launch(entry: Entry) -> None:
    entry.launcher.launch()


def _poll(entry: Entry) -> JobStatus | Ended:
    launcher = entry.launcher
    answer: object = launcher.poll()
    if answer is RUNNING:  # the most frequent answer, and one comparison
        return RUNNING
    status = PASSED if answer is PASSED else status_of(answer, launcher)
    if status is RUNNING or status is QUEUED:
        return status
    reason = None if status is PASSED else reason_of(launcher)
    usage = usage_of(launcher)
    return _PASSED if reason is None and usage is None else Ended(status, reason, usage)


def _kill(entry: Entry) -> Ended | None:
    """Poll once more, and call `kill()` unless the job has ended by itself."""
    if not entry.polling_failed:
        try:
            answer = _poll(entry)
        except BaseException:  # noqa: BLE001 - foreign code; a job whose state is unknown is killed all the same
            pass
        else:
            if answer.__class__ is Ended:
                return answer
    entry.launcher.kill()
    return None


class Dropping:
    """The subject of a `DROP`: a queue of launchers to drop.

    If a `__del__` hangs, the next `DROP` goes on with the same queue; if the first one returns after all, it does, too.
    """

    __slots__ = ("_launchers",)

    def __init__(self, launchers: deque[Any]) -> None:
        self._launchers = launchers

    def __repr__(self) -> str:
        return "a launcher whose job has ended"

    def drop(self) -> None:
        """Drop launchers for `BATCH_TIME` seconds, or until none is left. Blocks as long as a `__del__` does."""
        launchers, home, end = self._launchers, getpid(), monotonic() + BATCH_TIME
        with suppress(IndexError):  # `popleft` of an empty queue
            while True:
                launchers.popleft()  # the result is not assigned, so this runs `__del__`
                if getpid() != home or monotonic() >= end:  # another pid: a `__del__` has forked, this is the child
                    return


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
    if call.value.__class__ is Ended:
        return
    call.subject.launcher.kill()


BUILD: Final = Step("constructor", _build, _drop_abandoned)
LAUNCH: Final = Step("launch()", _launch, _kill_and_drop_abandoned)
POLL: Final = Step("poll()", _poll, _kill_and_drop_abandoned)
KILL: Final = Step("kill()", _kill, _drop_abandoned)
DROP: Final = Step("__del__()", Dropping.drop)
