"""Faults of a real cluster while jobs are live, and whether the events of the jobs are true.

Each job writes two files of its own, of which the backend does not know: a line when it begins, and its exit code when
it ends, in a file that is renamed into place. The events are compared with these.
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
"""The exit code of every third job."""

WITHOUT_FILE: Final = (FailureKind.LOST, FailureKind.NODE_FAILURE, FailureKind.CANCELLED)
"""The kinds of failure that a job without an exit file may have."""


@attrs.frozen
class Plan:
    """The number of jobs, and durations in seconds."""

    jobs: int = 200
    shortest: float = 3
    longest: float = 20
    outage: float = 60
    timeout: float = 900
    poll_interval: float = 1
    visibility_timeout: float = 20


SMALL: Final = Plan(jobs=20, shortest=0.5, longest=4, outage=4, poll_interval=0.5, visibility_timeout=5, timeout=180)
"""For a test."""


@attrs.define(eq=False)
class Trial:
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
        """Return a job that records its start and its end."""
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
        """Call a function that blocks."""
        await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    def check(self) -> Mapping[str, int]:
        """Compare the events with the files; return the number of events of each kind."""
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
            # It got a signal as it ended. Which came first cannot be known, but the event must agree with the file.
            assert event.usage is not None, event
            assert event.usage.exit_code == int(end.read_text()) or event.usage.signal == signal.SIGTERM, event
        else:
            assert kind in WITHOUT_FILE, event
            assert not self.had_file[event.job_id], f"had come to its end: {event}"


Disturbance = Callable[[Trial], Awaitable[None]]


async def controller_killed(trial: Trial) -> None:
    """SIGKILL, and a start when the outage is over.

    It goes on from the state that it saved last, so it begins jobs anew that had begun; its nodes still have the first
    ones, call that a duplicate, and are drained. An operator puts them back.
    """
    trial.cluster["slurmctld"].kill()
    await trio.sleep(trial.plan.outage)
    await trial.in_thread(lambda: trial.cluster.start("slurmctld"))
    while len(trial.had_file) < trial.plan.jobs:
        await trial.in_thread(trial.cluster.resume)
        await trio.sleep(1)


async def controller_frozen(trial: Trial) -> None:
    """SIGSTOP, and SIGCONT when the outage is over."""
    trial.cluster["slurmctld"].freeze()
    await trio.sleep(trial.plan.outage)
    trial.cluster["slurmctld"].thaw()


async def node_lost(trial: Trial) -> None:
    """A node loses its power: its slurmd dies, and with it all that runs there."""
    trial.cluster["n1"].kill()
    for process in trial.cluster.processes():
        with contextlib.suppress(OSError):  # it has just ended
            if b"SLURMD_NODENAME=n1" in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                process.signal(signal.SIGKILL)
    await _node_back(trial)


async def node_killed(trial: Trial) -> None:
    """A slurmd is killed; its jobs go on."""
    trial.cluster["n1"].kill()
    await _node_back(trial)


async def _node_back(trial: Trial) -> None:
    """Start a slurmd again when the controller has taken note of its death."""
    await trial.in_thread(
        lambda: trial.cluster.wait(lambda: trial.cluster.nodes()["n1"].startswith("down"), "n1 is down", 120)
    )
    await trial.in_thread(lambda: trial.cluster.start("n1"))


async def cancelled_by_hand(trial: Trial) -> None:
    """Another user cancels some jobs, running and waiting ones."""

    def cancel() -> None:
        ids = trial.cluster.call("squeue", "--noheader", "--array", "--format=%i").split()
        some = trial.chance.sample(ids, len(ids) // 4)
        trial.cluster.call("scancel", *some)

    await trial.in_thread(cancel)


async def node_drained(trial: Trial) -> None:
    """A node takes no new jobs for a while."""
    update = ("scontrol", "update", "NodeName=n1")
    await trial.in_thread(lambda: trial.cluster.call(*update, "State=DRAIN", "Reason=test"))
    await trio.sleep(trial.plan.outage)
    await trial.in_thread(lambda: trial.cluster.call(*update, "State=RESUME"))


async def state_lost(trial: Trial) -> None:
    """The controller is started with ``-c``, and finds no number to go on from: it knows no job, and ids start again.

    Strangers' jobs have them now.
    """
    controller = trial.cluster["slurmctld"]
    controller.kill()
    usual = controller.argv
    controller.argv = (*usual, "-c")
    for path in (trial.cluster.directory / "state").glob("job_state*"):
        path.unlink()
    await trial.in_thread(lambda: trial.cluster.start("slurmctld"))
    controller.argv = usual

    def strangers() -> None:
        trial.cluster.wait(lambda: trial.cluster.nodes() != {}, "the controller answers")
        options = ("--parsable", "--output=/dev/null", "--job-name=strangers", f"--array=0-{trial.plan.jobs - 1}")
        first = trial.cluster.call("sbatch", *options, "--wrap=true").strip()
        assert first == "1", "ids did not start again"

    await trial.in_thread(strangers)


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
        with trio.fail_after(plan.timeout):
            async with on_slurm(directory / "run", time_limit=plan.timeout, **options) as (backend, session):
                trial = Trial(cluster, directory, plan, random.Random(seed), backend, session, calls)
                await trial.submit()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trial.watch)
                    nursery.start_soon(disturb, trial)
        kinds = trial.check()
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
        async with on_slurm(directory / "run", time_limit=900, poll_interval=poll_interval) as (_, session):
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
        async with on_slurm(directory / "run", time_limit=900, poll_interval=0.5) as (backend, session):
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
