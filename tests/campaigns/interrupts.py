"""Ctrl-C at every line of ours, in programs that embed the runtime; and real signals, at random instants.

A program is run once to record which lines of ours the main thread executes. Then it is run once for each of these
lines, and SIGINT is raised there, as if it came from the terminal. Whatever the line, the program must end with
`KeyboardInterrupt` within the stop sequence of its jobs plus a second, with no job alive, and one completion for each
accepted job.
"""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import trio
from trio.testing import MockClock

import runtime
from runtime import FakeBackend, JobSpec, LegacyLauncherAdapter, LocalBackend, RuntimeBackend
from runtime.backend.contract.interrupts import is_interrupt
from runtime.backend.fake import FakeRun
from runtime.job import EventBatch, JobCompletionEvent
from runtime.scheduler.run import Scheduler
from tests.backend import interrupted_program
from tests.backend.local_jobs import TOKEN, alive
from tests.campaigns import Campaign
from tests.cli.program import reset_signals

OURS = os.path.dirname(runtime.__file__) + os.sep
TIMEOUT = 60.0
"""Seconds after which a program counts as hung. Arbitrary: ten times less would fail on a busy machine."""

TERM_TIMEOUT = KILL_TIMEOUT = 1.0
"""The timeouts of the stop sequence of local jobs here, in seconds."""

Line = tuple[str, int]
"""A file of ours and the number of a line in it."""


class Tracer:
    """Records which lines of ours the main thread executes, and raises SIGINT at one of them.

    Args:
        at: the line; `None`: no SIGINT.
        nth: at which execution of the line, from 1.
        look: called at each line, before it is executed.
    """

    def __init__(self, at: Line | None = None, nth: int = 1, look: Callable[[FrameType], object] | None = None) -> None:
        self.seen: Counter[Line] = Counter()
        self.raised: float | None = None
        """The time of SIGINT, in seconds on the program's clock."""
        self.now: Callable[[], float] = time.monotonic
        self.main_task: trio.lowlevel.Task | None = None
        self._at = at
        self._nth = nth
        self._look = look

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace this thread for a block."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        return self._line if frame.f_code.co_filename.startswith(OURS) else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any] | None:
        if event == "line":
            line = frame.f_code.co_filename, frame.f_lineno
            self.seen[line] += 1
            if self._look is not None:
                self._look(frame)
            if line == self._at and self.seen[line] == self._nth:
                self.raised = self.now()
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)  # handled at once, so in the frame that is traced
        return self._line


class SleepLauncher:
    """A legacy launcher whose job ends at its third poll."""

    alive: set[str] = set()  # noqa: RUF012 - shared by all launchers
    poll_freq = 0.005

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.polls = 0

    def launch(self) -> None:
        self.alive.add(self.spec.id)

    def poll(self) -> str:
        self.polls += 1
        if self.spec.id.startswith("long") or self.polls < 3:
            return "RUNNING"
        self.alive.discard(self.spec.id)
        return "PASSED"

    def kill(self) -> None:
        self.alive.discard(self.spec.id)


@attrs.frozen
class Site:
    """A backend for one program, and a check for live jobs."""

    backend: RuntimeBackend
    alive: Callable[[], bool]
    """Whether any job is alive."""
    bound: float
    """The longest duration of its stop sequence, in seconds."""
    clock: MockClock | None = None
    """A virtual clock, for jobs without real processes or threads."""


def fake(_directory: Path) -> Site:
    """Fake jobs in virtual time. A kill takes a second."""
    short, long = FakeRun(duration=0.05), FakeRun(duration=math.inf, kill_duration=1)
    backend = FakeBackend(lambda spec, _attempt: long if spec.id.startswith("long") else short)
    return Site(backend, lambda: bool(backend.running), 1, MockClock(autojump_threshold=0))


def adapter(_directory: Path) -> Site:
    """Launchers in threads."""
    SleepLauncher.alive.clear()
    return Site(LegacyLauncherAdapter(SleepLauncher), lambda: bool(SleepLauncher.alive), 0)


def local(directory: Path, containment: str) -> Site:
    """Processes."""
    token = uuid.uuid4().hex
    os.environ[TOKEN] = token
    backend = LocalBackend(4, directory, containment=containment, term_timeout=TERM_TIMEOUT, kill_timeout=KILL_TIMEOUT)
    return Site(backend, lambda: alive(token), TERM_TIMEOUT + KILL_TIMEOUT)


SITES: dict[str, Callable[[Path], Site]] = {
    "fake": fake,
    "adapter": adapter,
    "tree": partial(local, containment="tree"),
    "group": partial(local, containment="group"),
}

JOBS = [
    JobSpec(name="first", cmd="true"),
    JobSpec(name="second", cmd="sleep 0.02", dependencies=["first"]),
    JobSpec(name="fails", cmd="echo no; false", fail_patterns=["no"]),
    JobSpec(name="long-and-killed", cmd="sleep 1000", timeout=0.1),
]
LONG = [JobSpec(name=f"long-{number}", cmd="sleep 1000") for number in range(3)]


class Program:
    """A program that embeds the runtime. It is run once."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.completed: Counter[str] = Counter()

    async def main(self) -> None:
        """What `trio.run` is given."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise if a job is not accounted for."""
        state = self.site.backend.statistics()
        assert state.live == 0, state
        assert state.state.value in ("new", "closed"), state
        assert not self.site.alive(), "a job is alive"


class UnderOurScheduler(Program):
    """`run_jobs`, in the main task."""

    async def main(self) -> None:
        self.scheduler = Scheduler(JOBS, self.site.backend)
        await self.scheduler.run()

    def check(self) -> None:
        super().check()
        if hasattr(self, "scheduler") and self.scheduler._state != "new":
            assert len(self.scheduler.results()) == len(JOBS)


class UnderItsOwn(Program):
    """The backend's block is in the main task; another task reads events until the channel ends."""

    async def main(self) -> None:
        send, receive = trio.open_memory_channel[EventBatch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read, receive)
            with send:
                async with self.site.backend.open(send) as backend:
                    await self.work(backend)

    async def work(self, backend: RuntimeBackend) -> None:
        """Run some jobs, and kill one."""
        for job in JOBS:
            await backend.submit(job)
        await backend.submit(LONG[0])
        await backend.kill(LONG[0].id)

    async def read(self, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        with trio.CancelScope(shield=True), receive:
            async for batch in receive:
                self.completed.update(event.job_id for event in batch if isinstance(event, JobCompletionEvent))

    def check(self) -> None:
        super().check()
        state = self.site.backend.statistics()
        assert len(self.completed) == self.completed.total() == state.completed, (self.completed, state)
        assert state.undelivered == 0, state
        assert state.completed == state.submitted - state.refused, state


class InterruptedBefore(UnderItsOwn):
    """The first Ctrl-C comes in the body of the block, so a second one comes at the lines of the block's end."""

    async def work(self, backend: RuntimeBackend) -> None:
        await backend.submit_many(LONG)
        signal.raise_signal(signal.SIGINT)
        await trio.lowlevel.checkpoint()


PROGRAMS = (UnderOurScheduler, UnderItsOwn, InterruptedBefore)


def play(kind: type[Program], site: str, tracer: Tracer, *, limit: float = math.inf) -> float:
    """Run a program once. Return the seconds from SIGINT to its end; `nan` without SIGINT.

    Raises:
        AssertionError: if it ended in a wrong way, or later than its stop sequence plus `limit` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="interrupts-", ignore_cleanup_errors=True) as name:
        program = kind(SITES[site](Path(name)))
        clock = program.site.clock
        tracer.now = time.monotonic if clock is None else clock.current_time
        error: BaseException | None = None
        ended = math.nan

        async def watched() -> None:
            nonlocal ended
            trio.lowlevel.spawn_system_task(_fail_at_timeout)
            tracer.main_task = trio.lowlevel.current_task()
            try:
                with tracer.tracing():
                    await program.main()
            finally:
                ended = tracer.now()

        try:
            trio.run(watched, clock=clock)
        except BaseException as exc:  # noqa: BLE001 - looked at below
            error = exc
        interrupted = tracer.raised is not None or kind is InterruptedBefore
        how = "" if error is None else "".join(traceback.format_exception(error))
        assert (error is not None and is_interrupt(error)) if interrupted else error is None, how
        program.check()
        took = math.nan if tracer.raised is None else ended - tracer.raised
        allowed = (program.site.bound + limit) * (1 if clock is not None else slowness())
        assert not took > allowed, f"it took {took:.1f} s"
        return took


async def _fail_at_timeout() -> None:
    await trio.sleep(TIMEOUT)
    raise AssertionError("it hangs")  # in a system task, so it ends `trio.run`


def lines_of(kind: type[Program], site: str) -> Counter[Line]:
    """Return how often the main thread executes each line of ours."""
    tracer = Tracer()
    play(kind, site, tracer)
    return tracer.seen


def play_some(seed: int, count: int, *, limit: float = math.inf) -> tuple[int, int, float]:
    """Interrupt each program at `count` of its lines.

    Returns:
        The number of interrupted lines; the number of lines; and the longest time of an end, in seconds.
    """
    chance = random.Random(seed)
    done = known = 0
    longest = 0.0
    for kind in PROGRAMS:
        for site in SITES:
            lines = lines_of(kind, site)
            known += len(lines)
            for line, times in chance.sample(sorted(lines.items()), min(count, len(lines))):
                for nth in (chance.randint(1, times), 1):  # another run may execute it less often
                    tracer = Tracer(line, nth)
                    try:
                        took = play(kind, site, tracer, limit=limit)
                    except BaseException as exc:
                        where = f"{line[0].removeprefix(OURS)}:{line[1]}"
                        exc.add_note(f"{kind.__name__} on {site}, interrupted at {where}, time {nth}")
                        raise
                    if tracer.raised is not None:
                        done += 1
                        longest = max(longest, took)
                        break
    return done, known, longest


def interrupt_really(program: str, delay: float) -> float:
    """Start a program, and send it SIGINT when its jobs have run for `delay` seconds. Return the seconds to its end."""
    token = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", interrupted_program.__name__, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, TOKEN: token},
        text=True,
        preexec_fn=reset_signals,  # noqa: PLW1509 - one call of the system, and no thread of ours holds a lock
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "running\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=TIMEOUT)
        took = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGINT, (
        f"{program} ended with {process.returncode} {took:.1f} s later: {errors}"
    )
    assert "Internal" not in errors, errors
    assert "lost" not in errors, errors
    assert not alive(token), "a job is alive"
    return took


def slowness() -> float:
    """Return the load per processor, at least 1: by this factor a program is slower than alone."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def run(seed: int, count: int) -> str:
    """Raise at the first program that hangs, leaves a job, or takes too long."""
    chance = random.Random(seed)
    real = min(count, 60)
    slowest = 0.0
    for program in interrupted_program.PROGRAMS:
        for _ in range(real):
            took = interrupt_really(program, chance.uniform(0.02, 1))
            assert took <= 3 * slowness(), f"{program} took {took:.1f} s to end"
            slowest = max(slowest, took)
    done, known, longest = play_some(seed, count, limit=1)
    return (
        f"{done} of {known} lines, each end within {longest:.2f} s; {real} real ones of each of"
        f" {len(interrupted_program.PROGRAMS)} programs, each end within {slowest:.2f} s; 0 hangs, 0 jobs alive"
    )


CAMPAIGN = Campaign(
    "interrupts", "does Ctrl-C end an embedding program, at whatever line of ours it comes?", 10_000, run
)
