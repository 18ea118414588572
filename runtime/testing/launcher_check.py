"""`check_launcher`: what is a launcher class like to live with?

It drives the class as an adapter would, through whole lives of a few jobs, each call in a thread with a deadline, and
reports what it saw: which calls block or hang, what they raise, whether the class tells the truth after an end, and
whether it may be called from another thread, or from several at once. Nothing of it is a pass or a fail: the adapter
copes with all of it, but its options (`kill_threads`, `patience`, the deadlines) are better chosen by who knows.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import attrs
import outcome
import trio

from runtime.backend.legacy.duck_typing import describe, is_busy, status_of
from runtime.job import JobSpec, JobStatus

BLOCKS: Final = 0.01
"""Seconds in one call after which an event loop would be seen to stand still. Arbitrary."""

POLLS_AFTER_THE_END: Final = 3
SIDE_BY_SIDE: Final = 4
"""How many jobs are driven by two threads at the same time."""


@attrs.frozen
class LauncherReport:
    """What was seen of a launcher class."""

    launcher: str
    """Its qualified name."""
    slowest: dict[str, float]
    """The longest call of each step (``build launch poll kill``), in seconds; of one that hung, the deadline."""
    hung: tuple[str, ...]
    """The steps that did not return within the deadline."""
    raised: dict[str, str]
    """The first exception of each step that raised, with its type and text. A busy launcher's refusal counts as one."""
    said: tuple[str, ...]
    """What the polls of one whole life said, repetitions left out; what is no status is shown as it is."""
    ended: bool
    """Whether that life came to an end by itself."""
    repeats_its_end: bool
    """Whether polls after the end say the same again."""
    lies_after_its_end: bool
    """Whether a poll after the end says that the job is under way."""
    dies_when_killed: bool
    """Whether the first poll after a kill says that the job has ended."""
    kill_after_the_end_raises: bool
    """Whether a kill of a job that has ended raises."""
    bound_to_its_thread: bool
    """Whether it fails when it is polled in another thread than that which launched it."""
    thread_safe: bool
    """Whether jobs of it, driven by two threads at the same time, fare well. A failure is proof; no failure is none."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The steps that take longer than an event loop may stand still."""
        return tuple(step for step, seconds in self.slowest.items() if seconds > BLOCKS)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its user should know, a line each."""
        lines = [f"{step} does not return" for step in self.hung]
        lines += [f"{step} blocks: {self.slowest[step]:.3f} s" for step in self.blocks if step not in self.hung]
        lines += [f"{step} raises {text}" for step, text in self.raised.items()]
        facts = {
            "its job did not end by itself": not self.ended,
            "after its end it says that its job is under way": self.lies_after_its_end,
            "after its end it says something else": self.ended and not self.repeats_its_end,
            "its job is not dead after a kill": not self.dies_when_killed,
            "a kill of a job that has ended raises": self.kill_after_the_end_raises,
            "it is bound to the thread that launched it": self.bound_to_its_thread,
            "it cannot be used by several threads at once; give the adapter kill_threads=1": not self.thread_safe,
        }
        return (*lines, *(line for line, holds in facts.items() if holds))


async def check_launcher(
    launcher_cls: Callable[[Any], Any],
    make_job: Callable[[str], Any] = lambda name: JobSpec(name=name, cmd="true"),
    *,
    interval: float = 0.01,
    deadline: float = 10.0,
) -> LauncherReport:
    """Drive a launcher class through several lives, and report what it is like. It needs real time.

    Args:
        launcher_cls: the class, called with a job; it needs `launch()`, `poll()` and `kill()`.
        make_job: from an id to a job that ends by itself within `deadline`.
        interval: seconds between two polls.
        deadline: seconds after which a call hangs, and a job that has not ended does not.

    Cancelling it abandons the call in progress, in a daemon thread.
    """
    driver = _Driver(launcher_cls, make_job, interval, deadline)
    main, other = _Thread(), _Thread()
    try:
        said, repeats, lies, kill_raises = await driver.whole_life(main)
        dies = await driver.killed_life(main)
        bound = await driver.life_in_two_threads(main, other)
        safe = await driver.lives_side_by_side(main, other)
    finally:
        main.dismiss()
        other.dismiss()
    return LauncherReport(
        launcher=getattr(launcher_cls, "__qualname__", repr(launcher_cls)),
        slowest=driver.slowest,
        hung=tuple(driver.hung),
        raised=driver.raised,
        said=tuple(dict.fromkeys(map(_shown, said))),
        ended=bool(said) and _is_end(said[-1]),
        repeats_its_end=repeats,
        lies_after_its_end=lies,
        dies_when_killed=dies,
        kill_after_the_end_raises=kill_raises,
        bound_to_its_thread=bound,
        thread_safe=safe,
    )


class _StopLifeError(Exception):
    """A call raised or hung: this life goes no further."""


class _Driver:
    """Makes calls, and keeps what they did."""

    def __init__(
        self, launcher_cls: Callable[[Any], Any], make_job: Callable[[str], Any], interval: float, deadline: float
    ) -> None:
        self._launcher_cls = launcher_cls
        self._make_job = make_job
        self._interval = interval
        self._deadline = deadline
        self.slowest: dict[str, float] = {}
        self.hung: dict[str, None] = {}
        self.raised: dict[str, str] = {}

    async def whole_life(self, thread: _Thread) -> tuple[list[object], bool, bool, bool]:
        """Launch, poll to the end and beyond, kill. Return what the polls said, and how it behaved after the end."""
        said: list[object] = []
        after: list[object] = []
        kill_raises = False
        try:
            launcher = await self._begin(thread, "whole-life")
            await self._poll_to_the_end(thread, launcher, said)
            if _is_end(said[-1]):
                while len(after) < POLLS_AFTER_THE_END:
                    after += [await self._call(thread, "poll", launcher.poll)]
                kill_raises = isinstance(await thread.call(launcher.kill, self._deadline), outcome.Error)
            else:
                await self._call(thread, "kill", launcher.kill)
        except _StopLifeError:
            pass
        repeats = len(after) == POLLS_AFTER_THE_END and all(_name(each) == _name(said[-1]) for each in after)
        lies = any(not _is_end(each) for each in after)
        return said, repeats, lies, kill_raises

    async def killed_life(self, thread: _Thread) -> bool:
        """Launch, kill, poll. Return whether that says that it has ended."""
        try:
            launcher = await self._begin(thread, "killed-life")
            await self._call(thread, "kill", launcher.kill)
            answer = await thread.call(launcher.poll, self._deadline)
        except _StopLifeError:
            return False
        return answer is not None and _is_end(_value_of(answer))

    async def life_in_two_threads(self, thread: _Thread, other: _Thread) -> bool:
        """Launch in one thread, poll in another. Return whether that fails, and does not fail in its own."""
        if self.hung:
            return False
        try:
            launcher = await self._begin(thread, "moved-life")
            answer = await other.call(launcher.poll, self._deadline)
            fails = answer is None or not _is_status(_value_of(answer))
            in_its_own = await self._call(thread, "poll", launcher.poll)
            await thread.call(launcher.kill, self._deadline)
        except _StopLifeError:
            return False
        return fails and _is_status(in_its_own)

    async def lives_side_by_side(self, *threads: _Thread) -> bool:
        """Drive some jobs in several threads at the same time. Return whether all of them ended as one alone does."""
        if self.hung:
            return False
        known = dict(self.raised)
        ends: list[object] = []

        async def live(thread: _Thread, name: str) -> None:
            for number in range(SIDE_BY_SIDE):
                said: list[object] = []
                try:
                    launcher = await self._begin(thread, f"{name}-{number}")
                    await self._poll_to_the_end(thread, launcher, said)
                    if not _is_end(said[-1]):
                        await thread.call(launcher.kill, self._deadline)
                except _StopLifeError:
                    pass
                ends.append(_name(said[-1]) if said else None)

        async with trio.open_nursery() as nursery:
            for number, thread in enumerate(threads):
                nursery.start_soon(live, thread, f"side-by-side-{number}")
        return self.raised == known and len(set(ends)) == 1

    async def _begin(self, thread: _Thread, name: str) -> Any:
        job = self._make_job(name)
        launcher = await self._call(thread, "build", lambda: self._launcher_cls(job))
        await self._call(thread, "launch", launcher.launch)
        return launcher

    async def _poll_to_the_end(self, thread: _Thread, launcher: Any, said: list[object]) -> None:
        ends = trio.current_time() + self._deadline
        while True:
            said.append(await self._call(thread, "poll", launcher.poll))
            if not _is_status(said[-1]) or _is_end(said[-1]) or trio.current_time() >= ends:
                return
            await trio.sleep(self._interval)

    async def _call(self, thread: _Thread, step: str, function: Callable[[], Any]) -> Any:
        """Make one call, keep what it did, and return what it returned; end this life if there is nothing to return."""
        answer = await thread.call(function, self._deadline)
        seconds = self._deadline if answer is None else thread.seconds
        self.slowest[step] = max(self.slowest.get(step, 0.0), seconds)
        if answer is None:
            self.hung[step] = None
            raise _StopLifeError
        if isinstance(answer, outcome.Error):
            busy = " (it is busy)" if is_busy(answer.error) else ""
            self.raised.setdefault(step, describe(answer.error) + busy)
            raise _StopLifeError
        return _value_of(answer)


class _Thread:
    """A thread that makes the calls that it is given; one that hangs in a call is left behind, and replaced."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None]
        self.seconds = math.nan
        """How long the last call took."""
        self._start()

    def _start(self) -> None:
        self._inbox = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(self._inbox,), name="check_launcher", daemon=True).start()

    @staticmethod
    def _run(inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (work := inbox.get()) is not None:
            work()

    async def call(self, function: Callable[[], Any], deadline: float) -> outcome.Outcome[Any] | None:
        """Call `function` in the thread; `None` if it does not return within `deadline` seconds."""
        token = trio.lowlevel.current_trio_token()
        returned = trio.Event()
        answers: list[tuple[outcome.Outcome[Any], float]] = []

        def work() -> None:
            began = time.monotonic()
            answers.append((outcome.capture(function), time.monotonic() - began))
            with contextlib.suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(returned.set)

        self._inbox.put(work)
        with trio.move_on_after(deadline):
            await returned.wait()
        if not answers:
            self.dismiss()
            self._start()
            return None
        answer, self.seconds = answers[0]
        return answer

    def dismiss(self) -> None:
        """Let the thread end, when it has nothing more to do."""
        self._inbox.put(None)


def _value_of(answer: outcome.Outcome[Any]) -> Any:
    """Return what was returned; `None`, which is no status, if something was raised."""
    return answer.value if isinstance(answer, outcome.Value) else None


def _name(said: object) -> object:
    return getattr(said, "name", None)


def _is_status(said: object) -> bool:
    try:
        status_of(said, None)
    except Exception:  # noqa: BLE001 - whatever it is, it is no status
        return False
    return True


def _is_end(said: object) -> bool:
    return _is_status(said) and status_of(said, None) in {JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED}


def _shown(said: object) -> str:
    return str(_name(said)) if _is_status(said) else repr(said)
