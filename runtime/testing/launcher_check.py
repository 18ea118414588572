"""`check_launcher`: how does a launcher class behave?

It drives the class as the adapter would: it runs a few jobs from launch to end, makes each call in a thread with a
deadline, and reports which calls block or hang, what they raise, what a poll returns after the end, and whether the
class may be called from another thread, or from several at once. A report is neither a pass nor a fail. The adapter
copes with all of it; the report helps to choose the adapter's options (`kill_threads` and the deadlines of calls).
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import attrs
import outcome
import trio

from runtime.backend.legacy.duck_typing import describe, is_busy, status_of
from runtime.backend.legacy.launcher import AnyLauncher, LauncherClass
from runtime.job import JobSpec, JobStatus

T = TypeVar("T")

BLOCKS: Final = 0.01
"""Seconds in one call from which on `LauncherReport.blocks` names the step. Arbitrary: ten times less would name each
call that reads a file, ten times more would miss calls that delay every timer of an event loop."""

POLLS_AFTER_THE_END: Final = 3
"""Polls after the first terminal status. Arbitrary: a class that contradicts itself usually does so at once."""
SIDE_BY_SIDE: Final = 4
"""Jobs that each of two threads drives at the same time. Arbitrary: more find more races, and take longer."""


@attrs.frozen
class LauncherReport:
    """What `check_launcher` found out about a class."""

    launcher: str
    """Its qualified name."""
    slowest: dict[str, float]
    """Seconds of the longest call of each step (``build launch poll kill``); the deadline, for one that hung."""
    hung: tuple[str, ...]
    """The steps that did not return within the deadline."""
    raised: dict[str, str]
    """The type and text of the first exception of each step that raised. `LauncherBusyError` counts as one."""
    statuses: tuple[str, ...]
    """What the polls of one job returned, without repetitions; the `repr` of what is not a status."""
    ended: bool
    """Whether that job ended by itself."""
    repeats_its_end: bool
    """Whether polls after the end return the same status again."""
    lies_after_its_end: bool
    """Whether a poll after the end returns a status that is not terminal."""
    dies_when_killed: bool
    """Whether the first poll after a kill returns a terminal status."""
    kill_after_the_end_raises: bool
    """Whether killing a job that has ended raises."""
    bound_to_its_thread: bool
    """Whether a poll fails in a thread other than the one that launched the job."""
    thread_safe: bool
    """Whether jobs that two threads drive at the same time end as one alone does. False is certain; true is not."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The steps that took longer than `BLOCKS`."""
        return tuple(step for step, seconds in self.slowest.items() if seconds > BLOCKS)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its user should know, one line each."""
        lines = [f"{step} does not return" for step in self.hung]
        lines += [f"{step} blocks: {self.slowest[step]:.3f} s" for step in self.blocks if step not in self.hung]
        lines += [f"{step} raises {text}" for step, text in self.raised.items()]
        facts = {
            "its job did not end by itself": not self.ended,
            "after a terminal status it returns one that is not": self.lies_after_its_end,
            "after a terminal status it returns another one": self.ended and not self.repeats_its_end,
            "its job is not dead after a kill": not self.dies_when_killed,
            "a kill of a job that has ended raises": self.kill_after_the_end_raises,
            "it is bound to the thread that launched it": self.bound_to_its_thread,
            "it cannot be used by several threads at once; give the adapter kill_threads=1": not self.thread_safe,
        }
        return (*lines, *(line for line, holds in facts.items() if holds))


async def check_launcher(
    launcher_cls: LauncherClass,
    make_job: Callable[[str], object] = lambda name: JobSpec(name=name, cmd="true"),
    *,
    interval: float = 0.01,
    deadline: float = 10.0,
) -> LauncherReport:
    """Run several jobs with a launcher class, and return what was seen. It needs real time.

    Args:
        launcher_cls: the class. It is called with a job, and has `launch()`, `poll()` and `kill()`.
        make_job: returns a job with the given id, which ends by itself within `deadline`.
        interval: seconds between two polls.
        deadline: seconds after which a call counts as hung, and a job counts as one that does not end.

    Cancelling it abandons the call in progress, which goes on in a daemon thread.
    """
    examination = _Examination(launcher_cls, make_job, interval, deadline)
    main, other = _Thread(), _Thread()
    try:
        statuses, repeats, lies, kill_raises = await examination.whole_run(main)
        dies = await examination.killed_run(main)
        bound = await examination.run_in_two_threads(main, other)
        safe = await examination.runs_side_by_side(main, other)
    finally:
        main.stop()
        other.stop()
    return LauncherReport(
        launcher=getattr(launcher_cls, "__qualname__", repr(launcher_cls)),
        slowest=examination.slowest,
        hung=tuple(examination.hung),
        raised=examination.raised,
        statuses=tuple(dict.fromkeys(map(_shown, statuses))),
        ended=bool(statuses) and _is_end(statuses[-1]),
        repeats_its_end=repeats,
        lies_after_its_end=lies,
        dies_when_killed=dies,
        kill_after_the_end_raises=kill_raises,
        bound_to_its_thread=bound,
        thread_safe=safe,
    )


class _StopRunError(Exception):
    """A call raised or hung, so this run ends here."""


@attrs.define(eq=False)
class _Examination:
    """Makes the calls, and records their durations and exceptions."""

    _launcher_cls: LauncherClass
    _make_job: Callable[[str], object]
    _interval: float
    _deadline: float
    slowest: dict[str, float] = attrs.field(factory=dict)
    hung: dict[str, None] = attrs.field(factory=dict)
    raised: dict[str, str] = attrs.field(factory=dict)

    async def whole_run(self, thread: _Thread) -> tuple[list[object], bool, bool, bool]:
        """Launch, poll until the end and beyond, kill.

        Returns:
            What the polls returned; whether those after the end repeated it; whether one of them was not terminal;
            whether the kill raised.
        """
        statuses: list[object] = []
        after: list[object] = []
        kill_raises = False
        try:
            launcher = await self._begin(thread, "whole-run")
            await self._poll_to_the_end(thread, launcher, statuses)
            if _is_end(statuses[-1]):
                while len(after) < POLLS_AFTER_THE_END:
                    after += [await self._call(thread, "poll", launcher.poll)]
                kill_raises = isinstance(await thread.call(launcher.kill, self._deadline), outcome.Error)
            else:
                await self._call(thread, "kill", launcher.kill)
        except _StopRunError:
            pass
        repeats = len(after) == POLLS_AFTER_THE_END and all(_name(each) == _name(statuses[-1]) for each in after)
        lies = any(not _is_end(each) for each in after)
        return statuses, repeats, lies, kill_raises

    async def killed_run(self, thread: _Thread) -> bool:
        """Launch, kill, poll. Return whether the poll returned a terminal status."""
        try:
            launcher = await self._begin(thread, "killed-run")
            await self._call(thread, "kill", launcher.kill)
            answer = await thread.call(launcher.poll, self._deadline)
        except _StopRunError:
            return False
        return answer is not None and _is_end(_value_of(answer))

    async def run_in_two_threads(self, thread: _Thread, other: _Thread) -> bool:
        """Launch in one thread, poll in another. Return whether the poll fails there, and works in the first thread."""
        if self.hung:
            return False
        try:
            launcher = await self._begin(thread, "moved-run")
            answer = await other.call(launcher.poll, self._deadline)
            fails = answer is None or not _is_status(_value_of(answer))
            in_its_own = await self._call(thread, "poll", launcher.poll)
            await thread.call(launcher.kill, self._deadline)
        except _StopRunError:
            return False
        return fails and _is_status(in_its_own)

    async def runs_side_by_side(self, *threads: _Thread) -> bool:
        """Run jobs in several threads at the same time. Return whether none raised, and all ended with one status."""
        if self.hung:
            return False
        known = dict(self.raised)
        ends: list[object] = []

        async def drive(thread: _Thread, name: str) -> None:
            for number in range(SIDE_BY_SIDE):
                statuses: list[object] = []
                try:
                    launcher = await self._begin(thread, f"{name}-{number}")
                    await self._poll_to_the_end(thread, launcher, statuses)
                    if not _is_end(statuses[-1]):
                        await thread.call(launcher.kill, self._deadline)
                except _StopRunError:
                    pass
                ends.append(_name(statuses[-1]) if statuses else None)

        async with trio.open_nursery() as nursery:
            for number, thread in enumerate(threads):
                nursery.start_soon(drive, thread, f"side-by-side-{number}")
        return self.raised == known and len(set(ends)) == 1

    async def _begin(self, thread: _Thread, name: str) -> AnyLauncher:
        job = self._make_job(name)
        launcher = await self._call(thread, "build", lambda: self._launcher_cls(job))
        await self._call(thread, "launch", launcher.launch)
        return launcher

    async def _poll_to_the_end(self, thread: _Thread, launcher: AnyLauncher, statuses: list[object]) -> None:
        ends = trio.current_time() + self._deadline
        while True:
            statuses.append(await self._call(thread, "poll", launcher.poll))
            if not _is_status(statuses[-1]) or _is_end(statuses[-1]) or trio.current_time() >= ends:
                return
            await trio.sleep(self._interval)

    async def _call(self, thread: _Thread, step: str, function: Callable[[], T]) -> T:
        """Make one call, record it, and return its value. Raises `_StopRunError` if it raised or hung."""
        answer = await thread.call(function, self._deadline)
        seconds = self._deadline if answer is None else thread.seconds
        self.slowest[step] = max(self.slowest.get(step, 0.0), seconds)
        if answer is None:
            self.hung[step] = None
            raise _StopRunError
        if isinstance(answer, outcome.Error):
            busy = " (it is busy)" if is_busy(answer.error) else ""
            self.raised.setdefault(step, describe(answer.error) + busy)
            raise _StopRunError
        return answer.unwrap()


class _Thread:
    """A thread that makes calls. If one hangs, the thread is abandoned, and another takes its place."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None]
        self.seconds = math.nan
        """Seconds that the last call took."""
        self._start()

    def _start(self) -> None:
        self._inbox = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(self._inbox,), name="check_launcher", daemon=True).start()

    @staticmethod
    def _run(inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (work := inbox.get()) is not None:
            work()

    async def call(self, function: Callable[[], T], deadline: float) -> outcome.Outcome[T] | None:
        """Call `function` in the thread. Return its outcome; `None` if there is none within `deadline` seconds."""
        token = trio.lowlevel.current_trio_token()
        returned = trio.Event()
        answers: list[tuple[outcome.Outcome[T], float]] = []

        def work() -> None:
            began = time.monotonic()
            answers.append((outcome.capture(function), time.monotonic() - began))
            with contextlib.suppress(trio.RunFinishedError):  # the call was abandoned, and the loop has ended since
                token.run_sync_soon(returned.set)

        self._inbox.put(work)
        with trio.move_on_after(deadline):
            await returned.wait()
        if not answers:  # not `cancelled_caught`: the call may have returned in the instant of the deadline
            self.stop()
            self._start()
            return None
        answer, self.seconds = answers[0]
        return answer

    def stop(self) -> None:
        """Let the thread end after its last call."""
        self._inbox.put(None)


def _value_of(answer: outcome.Outcome[object]) -> object:
    """Return the value; `None`, which is not a status, if there was an exception."""
    return answer.value if isinstance(answer, outcome.Value) else None


def _name(status: object) -> object:
    return getattr(status, "name", None)


def _is_status(status: object) -> bool:
    try:
        status_of(status, None)
    except Exception:  # noqa: BLE001 - any exception means that it is not a status
        return False
    return True


def _is_end(status: object) -> bool:
    return _is_status(status) and status_of(status, None) in {JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED}


def _shown(status: object) -> str:
    return str(_name(status)) if _is_status(status) else repr(status)
