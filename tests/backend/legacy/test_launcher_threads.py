"""The real seam, in real time and real launcher_threads. Nothing here sleeps: gates say when a call goes on."""

from __future__ import annotations

import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio

from runtime.backend.legacy import LegacyLauncherAdapter, call_batches, launcher_threads
from runtime.backend.legacy.call_batches import Call, Late, Step
from runtime.backend.legacy.launcher_threads import ThreadSeam
from runtime.job import FailureKind, JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, says, scripted
from runtime.testing.virtual import Gate
from tests.backend.legacy.injection import inject, take_back
from tests.backend.legacy.rig import Rig, rig

HERE = threading.get_ident()


class Probe:
    """Records who did what."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.undone: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.begun = queue.SimpleQueue[None]()
        self.gate = Gate()

    def call(self) -> Call:
        return Call(Step("call", Probe._do, Probe._undo), self)

    def hanging(self) -> Call:
        return Call(Step("hang", Probe._hang, Probe._undo), self)

    def _do(self) -> int:
        self.threads.append(threading.get_ident())
        return len(self.threads)

    def _hang(self) -> str:
        self.threads.append(threading.get_ident())
        self.begun.put(None)
        self.gate.wait()
        return "returned after all"

    @staticmethod
    def _undo(call: Call) -> None:
        call.subject.undone.put(threading.get_ident())


def lanes() -> list[str]:
    """The threads of lanes."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lane.")]


@pytest.fixture
def seam() -> Iterator[ThreadSeam]:
    seam = ThreadSeam()
    yield seam
    seam.close()
    assert lanes() == ["lane.1"] * bool(lanes())  # at most one, which does its undo


async def set_aside(seam: ThreadSeam, probe: Probe, calls: deque[Call]) -> Late:
    """Give up the hanging call among `calls`, and empty the list of those that returned before it."""
    lane = seam.lane("lane")
    late: list[Late] = []

    async def run() -> None:
        while not late:  # where the machine is slow, a slice may end before the call that hangs
            done, last = await lane.run(calls, math.inf)
            done.clear()
            late.extend([] if last is None else [last])

    async with trio.open_nursery() as nursery:
        (hanging,) = (call for call in calls if call.step.name == "hang")
        nursery.start_soon(run)
        await trio.to_thread.run_sync(probe.begun.get)
        hanging.given_up = True
        lane.hurry()
    return late[0]


async def test_a_lane_does_all_its_calls_in_one_thread_in_order(seam: ThreadSeam) -> None:
    probe, lane = Probe(), seam.lane("lane")
    assert lanes() == []
    for _ in range(3):
        calls = deque(probe.call() for _ in range(5))
        wanted = list(calls)
        while calls:
            done, late = await lane.run(calls, math.inf)
            assert late is None
            assert done == wanted[: len(done)]
            wanted = wanted[len(done) :]
    assert len(set(probe.threads)) == 1
    assert probe.threads[0] != HERE
    assert len(probe.threads) == 15


async def test_a_slice_ends_with_the_call_that_exceeds_it(seam: ThreadSeam, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(launcher_threads, "monotonic", lambda: now[0])

    def tick(_subject: object) -> None:
        now[0] += call_batches.SLICE * 0.6

    calls = deque(Call(Step("tick", tick), None) for _ in range(5))
    lane = seam.lane("lane")
    counts = []
    while calls:
        counts.append(len((await lane.run(calls, math.inf))[0]))
    assert counts == [2, 2, 1]


async def test_what_was_taken_back_is_not_done(seam: ThreadSeam) -> None:
    probe = Probe()
    calls = deque([probe.call(), probe.call(), probe.call()])
    assert calls[1].take_back()
    done, _ = await seam.lane("lane").run(calls, math.inf)
    assert len(done) == len(probe.threads) == 2
    assert not calls


async def test_a_call_that_hangs_is_set_aside_and_another_thread_takes_over(seam: ThreadSeam) -> None:
    probe, lane = Probe(), seam.lane("lane")
    calls = deque([probe.call(), probe.hanging(), probe.call()])
    hanging = calls[1]
    done: list[Call] = []
    late = None
    while late is None:
        more, late = await lane.run(calls, 0.01)
        done += more
    assert len(done) == 1
    assert late.call is hanging
    assert seam.hung == 1
    assert seam.abandoned() == []
    more, none = await lane.run(calls, math.inf)
    assert none is None
    assert len(more) == 1
    assert probe.threads[0] == probe.threads[1] != probe.threads[2]
    assert not late.has_returned()
    probe.gate.open()
    await late.wait()
    assert hanging.failure is None
    assert hanging.value == "returned after all"
    assert seam.hung == 0
    assert probe.undone.empty()


async def test_a_call_that_was_given_up_is_set_aside_at_once(seam: ThreadSeam) -> None:
    probe = Probe()
    late = await set_aside(seam, probe, deque([probe.hanging()]))
    probe.gate.open()
    await late.wait()


async def test_hurry_sets_nothing_aside_that_was_not_given_up(seam: ThreadSeam) -> None:
    probe, lane = Probe(), seam.lane("lane")
    calls = deque([probe.hanging()])
    results: list[tuple[list[Call], Late | None]] = []

    async def run() -> None:
        results.append(await lane.run(calls, math.inf))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.to_thread.run_sync(probe.begun.get)
        lane.hurry()
        await trio.testing.wait_all_tasks_blocked()
        assert results == []
        probe.gate.open()
    assert results[0][1] is None
    assert len(results[0][0]) == 1


async def test_an_abandoned_call_that_returns_after_all_is_undone_by_its_own_thread(seam: ThreadSeam) -> None:
    probe = Probe()
    late = await set_aside(seam, probe, deque([probe.hanging(), probe.call()]))
    late.abandon()
    assert [call.step.name for call in seam.abandoned()] == ["hang"]
    probe.gate.open()
    undone = await trio.to_thread.run_sync(probe.undone.get)
    assert probe.threads == [undone]  # and the call after it was not begun there
    assert seam.abandoned() == []


async def test_what_returned_before_a_call_that_hangs_is_never_undone(seam: ThreadSeam) -> None:
    probe = Probe()
    late = await set_aside(seam, probe, deque([probe.call(), probe.hanging()]))
    late.abandon()
    (thread,) = (turn._worker.thread for turn in seam.late)
    probe.gate.open()
    await trio.to_thread.run_sync(probe.undone.get)
    await trio.to_thread.run_sync(thread.join)
    assert probe.undone.empty()


async def test_a_run_that_is_cancelled_abandons_its_call(seam: ThreadSeam) -> None:
    probe, lane = Probe(), seam.lane("lane")
    calls = deque([probe.hanging(), probe.call()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run, calls, math.inf)
        await trio.to_thread.run_sync(probe.begun.get)
        nursery.cancel_scope.cancel()
    assert len(seam.abandoned()) == 1
    assert len(calls) == 1
    probe.gate.open()
    assert await trio.to_thread.run_sync(probe.undone.get) == probe.threads[0]


def test_an_abandoned_call_that_returns_after_the_run_is_undone_too() -> None:
    probe, seam = Probe(), ThreadSeam()

    async def main() -> None:
        (await set_aside(seam, probe, deque([probe.hanging()]))).abandon()

    trio.run(main)
    probe.gate.open()
    assert probe.undone.get() == probe.threads[0]


def test_an_undo_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def undo(_call: Call) -> None:
        raise SystemExit("no")

    class Telling(Probe):
        def hanging(self) -> Call:
            return Call(Step("hang", Probe._hang, undo), self)

    probe, seam = Telling(), ThreadSeam()

    async def main() -> None:
        (await set_aside(seam, probe, deque([probe.hanging()]))).abandon()

    trio.run(main)
    (thread,) = (turn._worker.thread for turn in seam.late)
    probe.gate.open()
    thread.join()
    assert "undoing it failed: SystemExit: no" in caplog.text


# ---------------------------------------------------------------------- the whole adapter


async def test_everything_but_kills_happens_in_one_thread_that_is_not_the_loop_s() -> None:
    cls = scripted(lambda job: Script(poll=[says(RUNNING), says(PASSED if job.id < "j5" else RUNNING)]), poll_freq=0)
    names = [f"j{number}" for number in range(10)]
    before = set(threading.enumerate())
    async with rig(cls, LegacyLauncherAdapter, kill_threads=3) as it:
        await it.submit(*names)
        while any(len(cls.times(name, "poll")) < 2 for name in names):
            await trio.lowlevel.checkpoint()
        assert {thread.name.partition(".")[0] for thread in set(threading.enumerate()) - before} == {"scripted"}
        it.backend.close()
    assert set(threading.enumerate()) == before
    assert [it.end(name).status for name in names] == [PASSED] * 5 + [JobStatus.KILLED] * 5
    lane = {deed.thread for deed in cls.trace if deed.step in ("build", "launch")}
    assert len(lane) == 1
    assert lane != {HERE}
    assert {deed.thread for deed in cls.trace if deed.step == "kill"}.isdisjoint({HERE, *lane})
    assert cls.steps("j9")[-2:] == ["poll", "kill"]


async def test_kills_of_different_launchers_run_side_by_side() -> None:
    together = threading.Barrier(5)
    kill = Act(does=lambda _launcher: together.wait())
    cls = scripted(lambda _job: Script(poll=[says(RUNNING)], kill=[kill]), poll_freq=100)
    async with rig(cls, LegacyLauncherAdapter) as it:
        handles = await it.submit(*"abcde")
        await it.backend.kill_many(handles.values())
    assert [it.kind(name) for name in "abcde"] == [FailureKind.CANCELLED] * 5
    assert len({deed.thread for deed in cls.trace if deed.step == "kill"}) == 5


async def test_the_loop_goes_on_while_a_launcher_blocks() -> None:
    gate = Gate()
    cls = scripted({"a": Script(launch=[Act(gate=gate)], poll=[says(RUNNING, gate=gate), says(PASSED)])}, poll_freq=0)
    async with rig(cls, LegacyLauncherAdapter) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.submit("a"))
        while "launch" not in cls.steps("a"):
            await trio.lowlevel.checkpoint()
        gate.open()
    assert it.end("a").status is PASSED


async def test_a13_hung_calls_take_no_thread_from_anybody_else() -> None:
    gate = Gate()
    cls = scripted(lambda _job: Script(poll=[says(RUNNING)], kill=[Act(gate=gate)]), poll_freq=100)
    names = [f"j{number}" for number in range(60)]
    async with rig(cls, LegacyLauncherAdapter) as it, trio.open_nursery() as nursery:
        await it.submit(*names)
        nursery.start_soon(it.backend.kill_many, names)
        while sum(deed.step == "kill" for deed in cls.trace) < 60:
            await trio.lowlevel.checkpoint()
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert await trio.to_thread.run_sync(lambda: "free") == "free"
        gate.open()
    assert [it.kind(name) for name in names] == [FailureKind.CANCELLED] * 60


CRASH = """
import threading, trio
from runtime.backend.legacy import LegacyLauncherAdapter
from runtime.job import EventBatch, JobSpec

class HangLauncher:
    poll_freq = 0
    def __init__(self, job): pass
    def launch(self): pass
    def poll(self): threading.Event().wait()
    def kill(self): pass

async def main():
    send, receive = trio.open_memory_channel[EventBatch](9)
    with send:
        async with LegacyLauncherAdapter(HangLauncher, patience=0.01, poll_timeout=0.02).open(send) as backend:
            await backend.submit(JobSpec(name="a", cmd="true"))
            await backend.drain()
    print([event.reason.kind.value for event in receive.receive_nowait()])

trio.run(main)
"""


@pytest.mark.slow
def test_the_interpreter_does_not_wait_for_an_abandoned_thread() -> None:
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "['lost']\n")
    assert "1 abandoned threads are still in poll() of job 'a'" in done.stderr


def test_no_thread_outlives_a_seam_that_is_closed() -> None:
    seam, probe = ThreadSeam(), Probe()

    async def main() -> None:
        for _ in range(3):
            await seam.lane("lane").run(deque([probe.call()]), math.inf)
        late = await set_aside(seam, probe, deque([probe.hanging()]))
        assert lanes() == ["lane.1"] * 4
        probe.gate.open()
        await late.wait()

    trio.run(main)
    seam.close()
    assert lanes() == []


# ---------------------------------------------------------------------- what launchers do to the thread and the process


def threads_of(it: Rig) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{it.backend.name}.")]


async def test_an_exit_that_is_raised_in_an_idle_thread_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(scripted(poll_freq=0), LegacyLauncherAdapter) as it:
        for name in "abc":
            await it.submit(name)
            await it.wait_ended(name)
            (thread,) = threads_of(it)
            if name != "c":
                inject(thread)
        take_back([thread])
    assert [it.end(name).status for name in "abc"] == [PASSED] * 3
    assert caplog.text.count("was interrupted from outside: SystemExit()") == 2


async def test_exits_that_are_raised_at_any_line_lose_no_job_and_are_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads are hit again and again; whoever is in a call then fails, and nobody passes who did not."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _told: None)  # of an exit that strikes in a callback of C code
    failed = says(JobStatus.FAILED)
    cls = scripted(
        lambda job: Script(poll=[says(RUNNING), says(PASSED) if job.id < "j2" else failed]), poll_freq=0, max_poll=50
    )
    names = [f"j{number}" for number in range(400)]
    is_over = threading.Event()

    def hit(it: Rig) -> None:
        while not is_over.is_set():
            for thread in threads_of(it):
                inject(thread)
            is_over.wait(0.0005)

    async with rig(cls, LegacyLauncherAdapter, launch_timeout=None, poll_timeout=None) as it:
        shooter = threading.Thread(target=hit, args=[it])
        shooter.start()
        try:
            for start in range(0, len(names), 40):
                await it.submit(*names[start : start + 40])
            await it.backend.drain()
        finally:
            is_over.set()
            shooter.join()
            take_back(threads_of(it))
    assert all(len(it.ends(name)) == 1 for name in names)
    assert all(name < "j2" for name in names if it.end(name).status is PASSED)


FORKS = """
import os, sys, trio
from runtime import JobSpec, LegacyLauncherAdapter, run_jobs
from runtime.job import JobStatus

class ForkingLauncher:
    poll_freq = 0
    def __init__(self, job):
        self.job = job
    def launch(self):
        print("launch", self.job.id, flush=True)
        self.child = os.fork() if self.job.id != "other" else 0
        if self.job.id == "exits" and self.child == 0:
            sys.exit(9)
    def poll(self):
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1]) if self.child else 0
        self.fail_msg = f"exit code {code}"
        return JobStatus.PASSED if code == 0 else JobStatus.FAILED
    def kill(self): pass

async def main():
    jobs = [JobSpec(name=name, cmd="true") for name in ("returns", "exits", "other")]
    for result in await run_jobs(jobs, LegacyLauncherAdapter(ForkingLauncher)):
        print(result.id, result.status.name, result.reason.message if result.reason else "", flush=True)

trio.run(main)
"""


@pytest.mark.slow
def test_a_child_that_comes_back_from_a_call_is_ended() -> None:
    words = [sys.executable, "-c", FORKS]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        try:
            out, err = program.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
    assert program.returncode == 0, err
    launches, results = out.splitlines()[:3], out.splitlines()[3:]
    assert launches == ["launch returns", "launch exits", "launch other"], "nothing is launched twice"
    assert results == ["returns FAILED exit code 70", "exits FAILED exit code 9", "other PASSED "]
    assert err == "ForkingLauncher: launch() of job 'returns' forked, and the child came back; it was ended\n"
