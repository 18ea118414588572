"""What is done to a real cluster while jobs are live, and whether their events are true.

Each job writes its own two files, which the backend knows nothing of: one line when it begins, and its exit code when
it ends, in a file that is renamed into place. They are held against the events.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from runtime.backend.slurm import SlurmBackend
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus
from runtime.testing.fixture import Session
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import Calls, on_slurm

FAILURE: Final = 3
"""What every third job exits with."""

WITHOUT_FILE: Final = (FailureKind.LOST, FailureKind.NODE_FAILURE, FailureKind.CANCELLED)
"""What may have become of a job that did not come to its end."""


@attrs.frozen
class Plan:
    """How many jobs, and how long everything takes; in seconds."""

    jobs: int = 200
    shortest: float = 3
    longest: float = 20
    outage: float = 60
    patience: float = 900
    poll_interval: float = 1
    visibility_timeout: float = 20


SMALL: Final = Plan(jobs=20, shortest=0.5, longest=4, outage=4, poll_interval=0.5, visibility_timeout=5, patience=180)
"""For a test."""


@attrs.define(eq=False)
class Stage:
    """Jobs on a cluster, and what they wrote."""

    cluster: Cluster
    directory: Path
    plan: Plan
    chance: random.Random
    backend: SlurmBackend
    session: Session
    calls: Calls
    had_file: dict[str, bool] = attrs.field(factory=dict)
    """Whether the job's own exit file was there when its event was first seen."""

    def spec(self, number: int) -> JobSpec:
        """A job that writes down its start and its end."""
        name = f"job{number}"
        seconds = self.chance.uniform(self.plan.shortest, self.plan.longest)
        code = FAILURE if number % 3 == 2 else 0
        end = self.directory / "ends" / name
        cmd = (
            f"echo begun >>{self.directory}/starts/{name}; sleep {seconds:.2f}; "
            f"echo {code} >{end}.new; mv {end}.new {end}; exit {code}"
        )
        return JobSpec(name=name, cmd=cmd)

    async def submit(self) -> None:
        """Submit all, and wait until some run."""
        specs = [self.spec(number) for number in range(self.plan.jobs)]
        handles = await self.session.submit(specs)
        assert len(handles) == self.plan.jobs, "refused"
        await self.until(lambda: any((self.directory / "starts").iterdir()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, asked ten times a second."""
        while not condition():  # noqa: ASYNC110 - a condition of processes on other nodes
            await trio.sleep(0.1)

    async def watch(self) -> None:
        """Look for each job's own file as soon as its event is there, until all events are."""
        history = self.session.history
        while len(self.had_file) < self.plan.jobs:
            await history.wait_until(lambda: len(history.completions) > len(self.had_file))
            for event in history.completions[len(self.had_file) :]:
                self.had_file[event.job_id] = (self.directory / "ends" / event.job_id).exists()

    async def in_thread(self, function: Callable[[], object]) -> None:
        """Call what blocks."""
        await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    def check(self) -> Mapping[str, int]:
        """Hold the events against the files; return how many events there are of each kind."""
        events = self.session.history.completions
        kinds: Counter[str] = Counter()
        assert Counter(event.job_id for event in events) == Counter(f"job{n}" for n in range(self.plan.jobs))
        for event in events:
            self._check(event)
            kind = event.reason.kind if event.reason is not None else None
            kinds["passed" if kind is None else kind.value] += 1
        return dict(sorted(kinds.items()))

    def _check(self, event: JobCompletionEvent) -> None:
        end = self.directory / "ends" / event.job_id
        start = self.directory / "starts" / event.job_id
        starts = start.read_text().count("\n") if start.exists() else 0
        assert starts <= 1, f"began {starts} times: {event}"
        kind = None if event.reason is None else event.reason.kind
        if event.status is JobStatus.PASSED:
            assert end.read_text() == "0\n", event
        elif kind is FailureKind.EXIT_CODE:
            assert end.read_text() == f"{FAILURE}\n", event
            assert event.usage is not None
            assert event.usage.exit_code == FAILURE
        elif kind is FailureKind.CANCELLED and self.had_file[event.job_id]:
            # Signalled as it ended. Nobody can say which came first, but what is told of the end must be what it wrote.
            assert event.usage is not None, event
            assert event.usage.exit_code == int(end.read_text()) or event.usage.signal == signal.SIGTERM, event
        else:
            assert kind in WITHOUT_FILE, event
            assert not self.had_file[event.job_id], f"had come to its end: {event}"


Disturbance = Callable[[Stage], Awaitable[None]]


async def controller_killed(stage: Stage) -> None:
    """SIGKILL, and a start when the outage is over.

    It goes on from the state that it saved last, so it begins jobs anew that had begun; its nodes still have the first
    ones, call that a duplicate, and are drained. An operator puts them back.
    """
    stage.cluster["slurmctld"].kill()
    await trio.sleep(stage.plan.outage)
    await stage.in_thread(lambda: stage.cluster.start("slurmctld"))
    while len(stage.had_file) < stage.plan.jobs:
        await stage.in_thread(stage.cluster.resume)
        await trio.sleep(1)


async def controller_frozen(stage: Stage) -> None:
    """SIGSTOP, and SIGCONT when the outage is over."""
    stage.cluster["slurmctld"].freeze()
    await trio.sleep(stage.plan.outage)
    stage.cluster["slurmctld"].thaw()


async def node_lost(stage: Stage) -> None:
    """A node loses its power: its slurmd dies, and with it all that runs there."""
    stage.cluster["n1"].kill()
    for process in stage.cluster.processes():
        with contextlib.suppress(OSError):  # it has just ended
            if b"SLURMD_NODENAME=n1" in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                process.signal(signal.SIGKILL)
    await _node_back(stage)


async def node_killed(stage: Stage) -> None:
    """A slurmd is killed; its jobs go on."""
    stage.cluster["n1"].kill()
    await _node_back(stage)


async def _node_back(stage: Stage) -> None:
    """Start a slurmd again when the controller has taken note of its death."""
    await stage.in_thread(
        lambda: stage.cluster.wait(lambda: stage.cluster.nodes()["n1"].startswith("down"), "n1 is down", 120)
    )
    await stage.in_thread(lambda: stage.cluster.start("n1"))


async def cancelled_by_hand(stage: Stage) -> None:
    """Some jobs are cancelled by somebody else, running and waiting ones."""

    def cancel() -> None:
        ids = stage.cluster.call("squeue", "--noheader", "--array", "--format=%i").split()
        some = stage.chance.sample(ids, len(ids) // 4)
        stage.cluster.call("scancel", *some)

    await stage.in_thread(cancel)


async def node_drained(stage: Stage) -> None:
    """A node takes no new jobs for a while."""
    update = ("scontrol", "update", "NodeName=n1")
    await stage.in_thread(lambda: stage.cluster.call(*update, "State=DRAIN", "Reason=test"))
    await trio.sleep(stage.plan.outage)
    await stage.in_thread(lambda: stage.cluster.call(*update, "State=RESUME"))


async def state_lost(stage: Stage) -> None:
    """The controller is started with ``-c``, and finds no number to go on from: it knows no job, and ids start again.

    Strangers' jobs have them now.
    """
    controller = stage.cluster["slurmctld"]
    controller.kill()
    usual = controller.argv
    controller.argv = (*usual, "-c")
    for path in (stage.cluster.directory / "state").glob("job_state*"):
        path.unlink()
    await stage.in_thread(lambda: stage.cluster.start("slurmctld"))
    controller.argv = usual

    def strangers() -> None:
        stage.cluster.wait(lambda: stage.cluster.nodes() != {}, "the controller answers")
        options = ("--parsable", "--output=/dev/null", "--job-name=strangers", f"--array=0-{stage.plan.jobs - 1}")
        first = stage.cluster.call("sbatch", *options, "--wrap=true").strip()
        assert first == "1", "ids did not start again"

    await stage.in_thread(strangers)


DISTURBANCES: Final[Sequence[Disturbance]] = (
    controller_killed,
    controller_frozen,
    node_killed,
    node_lost,
    cancelled_by_hand,
    node_drained,
    state_lost,
)


async def play(cluster: Cluster, directory: Path, plan: Plan, disturb: Disturbance, seed: int) -> str:
    """Disturb a cluster while jobs are live; return what was seen, in one line.

    Raises:
        AssertionError: if an event is not true, or not there.
    """
    for name in ("starts", "ends"):
        (directory / name).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, cluster.environment[name])
        calls = Calls(directory / "calls", patch)
        options = {"poll_interval": plan.poll_interval, "visibility_timeout": plan.visibility_timeout}
        began = time.monotonic()
        with trio.fail_after(plan.patience):
            async with on_slurm(directory / "run", patience=plan.patience, **options) as (backend, session):
                stage = Stage(cluster, directory, plan, random.Random(seed), backend, session, calls)
                await stage.submit()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stage.watch)
                    nursery.start_soon(disturb, stage)
        kinds = stage.check()
    took = time.monotonic() - began
    numbers = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    asked = ", ".join(f"{len(calls.of(name))} {name}" for name in ("sbatch", "squeue", "scancel"))
    return f"{disturb.__name__}: {plan.jobs} jobs, {plan.jobs} events: {numbers}; {asked}; {took:.0f} s"


async def count_commands(cluster: Cluster, directory: Path, jobs: int, poll_interval: float = 1.0) -> str:
    """Run short jobs; return how many commands that took, in one line."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, cluster.environment[name])
        calls = Calls(directory / "calls", patch)
        began = time.monotonic()
        async with on_slurm(directory / "run", patience=900, poll_interval=poll_interval) as (_, session):
            await session.submit([JobSpec(name=f"job{number}", cmd="true") for number in range(jobs)])
        took = time.monotonic() - began
    assert [event.status for event in session.history.completions] == [JobStatus.PASSED] * jobs
    arrays = -(-jobs // int(_setting(cluster, "MaxArraySize")))
    submits, questions, ends = (len(calls.of(name)) for name in ("sbatch", "squeue", "scancel"))
    assert submits <= 2 + arrays, calls.of("sbatch")
    assert questions <= took / poll_interval + 1
    return f"{jobs} short jobs: {submits} sbatch, {questions} squeue, {ends} scancel; {took:.1f} s"


async def kill_all(cluster: Cluster, directory: Path, jobs: int) -> str:
    """Kill many jobs at once; return how many commands that took, in one line."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, cluster.environment[name])
        calls = Calls(directory / "calls", patch)
        mark = f"sleep 98{random.SystemRandom().randrange(10**6)}"
        async with on_slurm(directory / "run", patience=900, poll_interval=0.5) as (backend, session):
            handles = await session.submit([JobSpec(name=f"job{number}", cmd=mark) for number in range(jobs)])
            await trio.sleep(3)  # so that some run
            began = time.monotonic()
            await backend.kill_many(handles.values())
            took = time.monotonic() - began
        assert len(calls.of("scancel")) <= 5, calls.of("scancel")
    kinds = Counter(event.reason.kind for event in session.history.completions if event.reason is not None)
    assert kinds == {FailureKind.CANCELLED: jobs}
    assert cluster.call("squeue", "--noheader") == ""
    assert _with_command(mark.encode().replace(b" ", b"\0")) == []
    return f"{jobs} elements killed by {len(calls.of('scancel'))} scancel in {took:.1f} s, none alive"


def _with_command(words: bytes) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def _setting(cluster: Cluster, name: str) -> str:
    for line in cluster.call("scontrol", "show", "config").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == name:
            return value.strip()
    raise LookupError(name)
