"""What is done with a launcher, step by step. All of it runs in a thread, may block, and may raise anything.

A launcher's properties are read right after the poll that says that the job has ended, in the same thread: they may do
I/O, and the next call may change them.

To drop the last reference to a launcher runs its `__del__`, so the loop never drops one. It queues the launchers of
jobs that have ended, and one `DROP` drops many of them. What comes back too late is dropped by the thread that it
comes back to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from os import getpid
from time import monotonic
from typing import Any, Final

import attrs

from runtime.backend.legacy.call_batches import SLICE, Call, Late, Step
from runtime.backend.legacy.duck_typing import reason_of, status_of, usage_of
from runtime.backend.live import LiveJob
from runtime.job import JobStatus, JobStatusInfo, JobUsage


@attrs.frozen
class Ended:
    """What a poll tells of a job that has ended."""

    status: JobStatus
    reason: JobStatusInfo | None
    usage: JobUsage | None


QUEUED: Final = JobStatus.QUEUED  # an enum's members are slow to find
RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED

_PASSED: Final = Ended(PASSED, None, None)
"""What most polls say that say that a job has ended."""


class Entry(Call):
    """A job and its launcher, and where the two stand. Each is its own call, for one step after the other.

    Only `KILL` is a call of its own, with the entry as subject: the queue from which the entry was taken back may still
    hold it.
    """

    __slots__ = ("call", "failures", "job", "late", "launcher", "make", "polled_out")

    def __init__(self, job: LiveJob, make: Callable[[Any], Any]) -> None:
        self.job = job
        self.make = make
        """From the job's specification to its launcher."""
        self.launcher: Any = None
        """Set by `BUILD` and taken by `DROP`, in the thread."""
        self.call: Call | None = self
        """The call that waits or is in progress, or has returned without the loop's having seen it."""
        self.late: Late | None = None
        """What holds `call`, when that was set aside."""
        self.failures = 0
        """How many polls in a row have failed."""
        self.polled_out = False
        """Whether there is no sense in another poll."""
        self.renew(BUILD)

    def __repr__(self) -> str:
        return f"job {self.job.id!r}"

    def take_launcher(self) -> Any:
        """Return the launcher, and hold it no longer."""
        launcher = self.launcher
        self.launcher = None
        return launcher

    @property
    def subject(self) -> Entry:
        """Itself."""
        return self


def again(entries: Iterable[Entry], step: Step) -> None:
    """Let entries that have no other call be calls of this step."""
    for entry in entries:
        entry.renew(step)
        entry.call = entry


def _build(entry: Entry) -> None:
    entry.launcher = entry.make(entry.job.spec)


def _launch(entry: Entry) -> None:
    entry.launcher.launch()


def _poll(entry: Entry) -> JobStatus | Ended:
    launcher = entry.launcher
    said: object = launcher.poll()
    if said is RUNNING:
        return RUNNING
    status = PASSED if said is PASSED else status_of(said, launcher)
    if status is RUNNING or status is QUEUED:
        return status
    reason = None if status is PASSED else reason_of(launcher)
    usage = usage_of(launcher)
    return _PASSED if reason is None and usage is None else Ended(status, reason, usage)


def _kill(entry: Entry) -> Ended | None:
    """One last poll, and then `kill()`, unless the job had ended by itself."""
    if not entry.polled_out:
        try:
            said = _poll(entry)
        except BaseException:  # noqa: BLE001 - foreign code; that nothing can be learned is no reason to let it live
            pass
        else:
            if said.__class__ is Ended:
                return said
    entry.launcher.kill()
    return None


class Dropping:
    """The subject of a `DROP`: a queue of launchers that nobody needs.

    If a `__del__` hangs, the next `DROP` goes on with the same queue; should the first one return, so does it.
    """

    __slots__ = ("_launchers",)

    def __init__(self, launchers: deque[Any]) -> None:
        self._launchers = launchers

    def __repr__(self) -> str:
        return "a launcher whose job has ended"

    def drop(self) -> None:
        """Drop launchers for `SLICE` seconds, or until none is left. Blocks as long as a `__del__` does."""
        launchers, home, end = self._launchers, getpid(), monotonic() + SLICE
        with suppress(IndexError):  # the queue is empty
            while True:
                launchers.popleft()  # and nobody takes it: that runs its `__del__`
                if getpid() != home or monotonic() >= end:  # a `__del__` has forked, and this is the child
                    return


def _drop_late(call: Call) -> None:
    call.subject.launcher = None


def _kill_and_drop_late(call: Call) -> None:
    try:
        _kill_late(call)
    finally:
        _drop_late(call)


def _kill_late(call: Call) -> None:
    """End the job of a launch or a poll that came back when its job had long been given up."""
    if call.failure is not None and (call.step is LAUNCH or call.failure.gone is not None):
        return  # it could not be launched; or there is nobody left to be asked
    if call.value.__class__ is Ended:
        return
    call.subject.launcher.kill()


BUILD: Final = Step("constructor", _build, _drop_late)
LAUNCH: Final = Step("launch()", _launch, _kill_and_drop_late)
POLL: Final = Step("poll()", _poll, _kill_and_drop_late)
KILL: Final = Step("kill()", _kill, _drop_late)
DROP: Final = Step("__del__()", Dropping.drop)
