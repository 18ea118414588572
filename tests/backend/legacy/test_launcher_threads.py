"""`ThreadWorkers`, in real time and with real threads. Nothing sleeps: a call goes on when a gate is opened."""

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
from runtime.backend.legacy.call_batches import Call, StalledCall, Step
from runtime.backend.legacy.launcher_threads import ThreadWorkers
from runtime.job import FailureKind, JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, says, scripted
from runtime.testing.virtual import Gate
from tests.backend.legacy.injection import inject, take_back
from tests.backend.legacy.rig import Rig, rig

HERE = threading.get_ident()


class Probe:
    """A subject that records in which threads its calls are made and undone."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.undone: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.begun = queue.SimpleQueue[None]()
        self.gate = Gate()

    def call(self) -> Call:
        return Call(Step("call", lambda call: call.subject._do(), Probe._undo), self)

    def hanging(self) -> Call:
        return Call(Step("hang", lambda call: call.subject._hang(), Probe._undo), self)

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


def alive_threads() -> list[str]:
    """Return the names of the threads of launcher threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("launcher.")]


@pytest.fixture
def workers() -> Iterator[ThreadWorkers]:
    workers = ThreadWorkers()
    yield workers
    workers.close()
    assert alive_threads() == ["launcher.1"] * bool(alive_threads())  # at most one, which makes its undo


async def stall(workers: ThreadWorkers, probe: Probe, calls: deque[Call]) -> StalledCall:
    """Abandon the hanging call among `calls`, and empty the list of those that returned before it."""
    thread = workers.launcher_thread("launcher")
    stalled: list[StalledCall] = []

    async def run() -> None:
        while not stalled:  # on a slow machine a batch may end before the call that hangs
            done, last = await thread.run(calls, math.inf)
            done.clear()
            stalled.extend([] if last is None else [last])

    async with trio.open_nursery() as nursery:
        (hanging,) = (call for call in calls if call.step.name == "hang")
        nursery.start_soon(run)
        await trio.to_thread.run_sync(probe.begun.get)
        thread.abandon(hanging)
    return stalled[0]


async def test_a_launcher_thread_makes_all_its_calls_in_one_thread_in_order(workers: ThreadWorkers) -> None:
    probe, thread = Probe(), workers.launcher_thread("launcher")
    assert alive_threads() == []
    for _ in range(3):
        calls = deque(probe.call() for _ in range(5))
        expected = list(calls)
        while calls:
            done, stalled = await thread.run(calls, math.inf)
            assert stalled is None
            assert done == expected[: len(done)]
            expected = expected[len(done) :]
    assert len(set(probe.threads)) == 1
    assert probe.threads[0] != HERE
    assert len(probe.threads) == 15


async def test_a_batch_ends_with_the_call_that_exceeds_it(
    workers: ThreadWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(launcher_threads, "monotonic", lambda: now[0])

    def tick(_call: Call) -> None:
        now[0] += call_batches.BATCH_TIME * 0.6

    calls = deque(Call(Step("tick", tick), None) for _ in range(5))
    thread = workers.launcher_thread("launcher")
    counts = []
    while calls:
        counts.append(len((await thread.run(calls, math.inf))[0]))
    assert counts == [2, 2, 1]


async def test_what_was_taken_back_is_not_done(workers: ThreadWorkers) -> None:
    probe = Probe()
    calls = deque([probe.call(), probe.call(), probe.call()])
    assert calls[1].take_back()
    done, _ = await workers.launcher_thread("launcher").run(calls, math.inf)
    assert len(done) == len(probe.threads) == 2
    assert not calls


async def test_a_call_that_hangs_stalls_and_another_thread_takes_over(workers: ThreadWorkers) -> None:
    probe, thread = Probe(), workers.launcher_thread("launcher")
    calls = deque([probe.call(), probe.hanging(), probe.call()])
    hanging = calls[1]
    done: list[Call] = []
    stalled = None
    while stalled is None:
        more, stalled = await thread.run(calls, 0.01)
        done += more
    assert len(done) == 1
    assert stalled.call is hanging
    assert workers.hung == 1
    assert workers.abandoned() == []
    more, none = await thread.run(calls, math.inf)
    assert none is None
    assert len(more) == 1
    assert probe.threads[0] == probe.threads[1] != probe.threads[2]
    assert not stalled.has_returned()
    probe.gate.open()
    await stalled.wait()
    assert hanging.failure is None
    assert hanging.value == "returned after all"
    assert workers.hung == 0
    assert probe.undone.empty()


async def test_a_call_that_is_abandoned_stalls_at_once(workers: ThreadWorkers) -> None:
    probe = Probe()
    stalled = await stall(workers, probe, deque([probe.hanging()]))
    probe.gate.open()
    await stalled.wait()


async def test_a_call_goes_on_when_another_one_is_abandoned(workers: ThreadWorkers) -> None:
    probe, thread = Probe(), workers.launcher_thread("launcher")
    thread.abandon(probe.call())
    calls = deque([probe.hanging()])
    results: list[tuple[list[Call], StalledCall | None]] = []

    async def run() -> None:
        results.append(await thread.run(calls, math.inf))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.to_thread.run_sync(probe.begun.get)
        thread.abandon(probe.call())
        await trio.testing.wait_all_tasks_blocked()
        assert results == []
        probe.gate.open()
    assert results[0][1] is None
    assert len(results[0][0]) == 1


async def test_an_abandoned_call_that_returns_after_all_is_undone_by_its_own_thread(workers: ThreadWorkers) -> None:
    probe = Probe()
    stalled = await stall(workers, probe, deque([probe.hanging(), probe.call()]))
    stalled.abandon()
    assert [call.step.name for call in workers.abandoned()] == ["hang"]
    probe.gate.open()
    undone = await trio.to_thread.run_sync(probe.undone.get)
    assert probe.threads == [undone]  # and the call after it was not made there
    assert workers.abandoned() == []


async def test_what_returned_before_a_call_that_hangs_is_never_undone(workers: ThreadWorkers) -> None:
    probe = Probe()
    stalled = await stall(workers, probe, deque([probe.call(), probe.hanging()]))
    stalled.abandon()
    (thread,) = (batch._worker.thread for batch in workers.held)
    probe.gate.open()
    await trio.to_thread.run_sync(probe.undone.get)
    await trio.to_thread.run_sync(thread.join)
    assert probe.undone.empty()


async def test_a_run_that_is_cancelled_abandons_its_call(workers: ThreadWorkers) -> None:
    probe, thread = Probe(), workers.launcher_thread("launcher")
    calls = deque([probe.hanging(), probe.call()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, calls, math.inf)
        await trio.to_thread.run_sync(probe.begun.get)
        nursery.cancel_scope.cancel()
    assert len(workers.abandoned()) == 1
    assert len(calls) == 1
    probe.gate.open()
    assert await trio.to_thread.run_sync(probe.undone.get) == probe.threads[0]


def test_an_abandoned_call_that_returns_after_the_run_is_undone_too() -> None:
    probe, workers = Probe(), ThreadWorkers()

    async def main() -> None:
        (await stall(workers, probe, deque([probe.hanging()]))).abandon()

    trio.run(main)
    probe.gate.open()
    assert probe.undone.get() == probe.threads[0]


def test_an_undo_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def undo(_call: Call) -> None:
        raise SystemExit("no")

    class BadUndo(Probe):
        def hanging(self) -> Call:
            return Call(Step("hang", lambda call: call.subject._hang(), undo), self)

    probe, workers = BadUndo(), ThreadWorkers()

    async def main() -> None:
        (await stall(workers, probe, deque([probe.hanging()]))).abandon()

    trio.run(main)
    (thread,) = (batch._worker.thread for batch in workers.held)
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
    main = {deed.thread for deed in cls.trace if deed.step in ("build", "launch")}
    assert len(main) == 1
    assert main != {HERE}
    assert {deed.thread for deed in cls.trace if deed.step == "kill"}.isdisjoint({HERE, *main})
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


async def test_a13_hung_calls_take_no_thread_from_others() -> None:
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
        async with LegacyLauncherAdapter(HangLauncher, stall_timeout=0.01, poll_timeout=0.02).open(send) as backend:
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


def test_no_thread_outlives_closed_workers() -> None:
    workers, probe = ThreadWorkers(), Probe()

    async def main() -> None:
        for _ in range(3):
            await workers.launcher_thread("launcher").run(deque([probe.call()]), math.inf)
        stalled = await stall(workers, probe, deque([probe.hanging()]))
        assert alive_threads() == ["launcher.1"] * 4
        probe.gate.open()
        await stalled.wait()

    trio.run(main)
    workers.close()
    assert alive_threads() == []


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
    """Threads are interrupted again and again; a call in progress fails then, and no job passes by mistake."""
    # An exit may be raised in a callback of C code.
    monkeypatch.setattr(sys, "unraisablehook", lambda _unraisable: None)
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
    assert err == "ForkingLauncher: launch() of job 'returns' forked, and the child returned; it was ended\n"
