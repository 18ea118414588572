"""Random faults of a queue, in virtual time. Does each job end once, with the true outcome, and run at most once?

A program submits, kills, cancels and waits, while the commands of a Slurm hang, lie and fail, its controller is away,
nodes die, jobs are preempted or cancelled by hand, and files are late. The wrappers really run, so what each job has
done stands in a file of its own.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from runtime.job import FailureKind, JobStatus
from tests.campaigns import Campaign
from tests.slurm.fakes.controller import Controller, Settings
from tests.slurm.fakes.faults import Act, Answer, Edit, Hang, Only, Say
from tests.slurm.virtual import Run, Scene, open_scene

VISIBILITY_TIMEOUT: Final = 30.0
KILL_TIMEOUT: Final = 120.0
NAMES: Final = [f"job{number}" for number in range(16)]
LONGEST: Final = 8000.0
"""Seconds of virtual time in which any program must end."""

TIMED_OUT: Final = "error: Socket timed out on send/recv operation\n"
ACTS: Final[Sequence[Act]] = (
    Hang(),
    Hang(done=True),
    Say(),
    Say(done=True),
    Say(code=1),
    Say(err=TIMED_OUT, code=1),
    Say(err=TIMED_OUT, code=1, done=True),
    Edit(lambda answer: Answer(str(answer.out)[: len(answer.out) // 2], answer.err, answer.code)),
    Edit(lambda answer: Answer(f"a warning\n{answer.out!s}", answer.err, answer.code)),
    Only([0, 2]),
)
"""What a command does instead of its work. `Only` affects arrays alone."""


OURS: Final = ("submit", "submit", "cancel", "kill", "wait", "wait")
OTHERS: Final = ("sbatch", "sbatch", "squeue", "scancel", "down", "hand", "node", "preempt", "purge", "again")
"""Actions: ours, and those of others."""


@attrs.frozen
class Program:
    """A random program and the jobs that it runs."""

    pool: list[Run]
    """How jobs run. Job number n uses entry n, modulo their number."""
    actions: list[tuple[str, float, int]]
    """Each action, a number of seconds, and a number."""
    end: str
    """How the backend's block ends: ``wait``, ``close`` or ``cancel``."""
    requeue: bool
    age: float
    """Seconds that the queue remembers what has ended."""

    def run_of(self, name: str) -> Run:
        """Return how a job runs."""
        return self.pool[int(name[3:]) % len(self.pool)]


def programs() -> st.SearchStrategy[Program]:
    """Return the strategy for all programs."""
    runs = st.builds(
        Run,
        duration=st.sampled_from([0.5, 3.0, 20.0, 200.0, math.inf]),
        record_delay=st.sampled_from([0.0, 0.0, 0.0, 10.0, 25.0, 100.0]),
        record=st.sampled_from([True, True, True, True, False]),
        skew=st.sampled_from([0.0, 600.0, -600.0]),
    )
    actions = st.tuples(
        st.sampled_from([*OURS, *OTHERS]),
        st.sampled_from([0.0, 1.0, 5.0, 30.0, 100.0]),
        st.integers(0, len(ACTS) - 1),
    )
    return st.builds(
        Program,
        pool=st.lists(runs, min_size=1, max_size=3),
        actions=st.lists(actions, max_size=10).map(lambda some: [("submit", 0.0, 4), *some]),
        end=st.sampled_from(["wait", "close", "cancel"]),
        requeue=st.booleans(),
        age=st.sampled_from([0.0, 3.0, 300.0]),
    )


@attrs.define(eq=False)
class Played:
    """A program while it runs, and the jobs that were accepted."""

    program: Program
    scene: Scene
    lines: Path
    """The file into which each job writes its name when it begins."""
    accepted: Counter[str] = attrs.field(factory=Counter)
    doubtful: Counter[str] = attrs.field(factory=Counter)

    async def submit(self, names: Sequence[str], seconds: float) -> None:
        """Submit jobs; cancel that after `seconds`."""
        jobs = [
            self.scene.spec(name, self.command(name), timeout=500, queue_timeout=1000)
            for name in names
            if name not in self.accepted and name not in self.doubtful
        ]
        with trio.move_on_after(seconds) as scope:
            self.accepted.update(dict.fromkeys(await self.scene.session.submit(jobs), 1))
        if scope.cancelled_caught:
            self.doubtful.update({job.id: 1 for job in jobs})

    def command(self, name: str) -> str:
        """Return the command of a job. Every third job fails."""
        return f'echo "$NAME" >>{self.lines}; exit {3 if int(name[3:]) % 3 == 2 else 0}'

    async def do(self, nursery: trio.Nursery, what: str, seconds: float, number: int, fresh: list[str]) -> None:
        """Do one action."""
        slurm = self.scene.slurm
        some = [fresh.pop() for _ in range(min(1 + number % 4, len(fresh)))] if what in {"submit", "cancel"} else []
        if what == "submit":
            nursery.start_soon(self.submit, some, math.inf)
        elif what == "cancel":
            nursery.start_soon(self.submit, some, seconds)
        elif what == "kill":
            nursery.start_soon(self.scene.backend.kill_many, NAMES[:: 1 + number % 3])
        elif what in {"sbatch", "squeue", "scancel"}:
            slurm.orders.next(what, ACTS[number])
        elif what == "down":
            slurm.down = True
            nursery.start_soon(self.bring_back, seconds * 5)
        elif what == "hand":
            slurm.change(lambda controller: controller.cancel(controller.jobs[number % 3 :: 3]))
        elif what == "node":
            name = slurm.settings.nodes[number % 2]
            slurm.change(lambda controller: controller.fail_node(name))
            slurm.change(lambda controller: controller.unavailable.clear())
        elif what == "preempt":
            slurm.change(self.preempt)
        elif what == "purge":
            slurm.change(_purge)
        elif what == "again":
            nursery.start_soon(self.submit_again, seconds)
        await trio.sleep(seconds if what == "wait" else 0.1)

    @staticmethod
    def preempt(controller: Controller) -> None:
        controller.take_away([job for job in controller.jobs[::2] if job.is_active], state="PREEMPTED")

    async def bring_back(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self.scene.slurm.down = False

    async def submit_again(self, seconds: float) -> None:
        """Let the controller accept the doubtful submissions after all."""
        slurm = self.scene.slurm
        doubtful, slurm.doubtful = slurm.doubtful, []
        await trio.sleep(seconds)
        for arguments, environment in doubtful:
            if not slurm.down:
                slurm.commands.run("sbatch", arguments, "/", environment)
                slurm.poke()


def _purge(controller: Controller) -> None:
    controller.jobs = [job for job in controller.jobs if not job.is_done]


async def play(program: Program, directory: Path, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Run the program. Return how many jobs ended in which way. Raises `AssertionError` at a violation."""
    site = Settings(min_job_age=program.age, requeue_delay=20)
    options: dict[str, Any] = {
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "kill_timeout": KILL_TIMEOUT,
        "requeue": program.requeue,
    }
    async with trio.open_nursery() as world:
        with trio.CancelScope() as scope:
            async with open_scene(directory, patch, settings=site, cluster_nursery=world, **options) as scene:
                scene.slurm.runs = lambda name, _restarts: program.run_of(name)
                played = Played(program, scene, directory / "lines")
                fresh = NAMES[::-1]
                async with trio.open_nursery() as nursery:
                    for what, seconds, number in program.actions:
                        await played.do(nursery, what, seconds, number, fresh)
                    if program.end == "cancel":
                        scope.cancel()
                if program.end == "close":
                    scene.backend.close()
        check(played)
        world.cancel_scope.cancel()
    assert trio.current_time() < LONGEST
    reasons = [event.reason for event in scene.session.history.completions]
    return Counter("passed" if reason is None else str(reason.kind and reason.kind.value) for reason in reasons)


def check(played: Played) -> None:
    """Assert that each job has one event, which is true, that it has ended, and that it ran once."""
    slurm = played.scene.slurm
    events = {event.job_id: event for event in played.scene.session.history.completions}
    lines = Counter(played.lines.read_text().split() if played.lines.exists() else [])
    for name in played.accepted:
        assert name in events, f"{name} has no end"
    for name, event in events.items():
        where = f"{name}, which wrote {lines[name]} lines: {event}"
        kind = None if event.reason is None else event.reason.kind
        if event.status is JobStatus.PASSED:
            assert lines[name] >= 1, f"passed and never ran: {where}"
            assert int(name[3:]) % 3 != 2, f"passed and failed: {where}"
            assert played.program.run_of(name).record, f"passed without a record: {where}"
        if kind is FailureKind.EXIT_CODE:
            assert lines[name] >= 1, where
            assert int(name[3:]) % 3 == 2, f"failed and passed: {where}"
        if not played.program.requeue:
            assert lines[name] <= 1, f"ran twice: {where}"
    for job in slurm.controller.jobs:
        if job.is_done:
            continue
        name = slurm.name_of(job)
        known = name in played.accepted or name in events
        lost = name in events and "lost" in str(events[name].reason)
        assert lost, f"{name} is {job.state}, and {'has ended' if known else 'is not known'}"


def play_in_virtual_time(program: Program) -> Counter[str]:
    """Run a program under a virtual clock. Return how many jobs ended in which way."""
    with tempfile.TemporaryDirectory(prefix="queue-") as name, pytest.MonkeyPatch.context() as patch:
        return trio.run(play, program, Path(name), patch, clock=MockClock(autojump_threshold=0))


def run(number: int, count: int) -> str:
    """Run `count` programs, generated from the seed `number`."""
    played = 0
    ends: Counter[str] = Counter()

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(programs())
    def all_programs(program: Program) -> None:
        nonlocal played
        played += 1
        ends.update(play_in_virtual_time(program))

    all_programs()
    assert ends["passed"], "no job passed, so the campaign tested nothing"
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(ends.items()))
    return f"{played} programs, 0 violations of exactly once, of the truth of an end, of running once; {kinds}"


CAMPAIGN = Campaign("queue", "does each job of a batch system end once and truly, whatever its queue does?", 1_000, run)
