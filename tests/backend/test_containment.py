"""The containment of whole process trees by `LocalBackend`, with real processes that resist their end."""

from __future__ import annotations

import ctypes
import itertools
import logging
import math
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from runtime.helper import process as helper_process
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, Kind
from runtime.process import heartbeat
from runtime.process import supervisor as supervisor_module
from runtime.process import supervisors as supervisors_module
from runtime.process.supervisor import Supervisor
from runtime.testing.conformance import BUFFERS, CHECKS, Check, run_check
from tests.backend import containment_program, stalled_program
from tests.backend.containment import TreeKit
from tests.backend.local_jobs import HANG_TIMEOUT, Local, hear
from tests.backend.local_jobs import local as any_local
from tests.backend.test_local import no_free_descriptor, state_of
from tests.process import hostile
from tests.process.hostile_job import HostileJob


@asynccontextmanager
async def local(run_dir: Path, **options: object) -> AsyncIterator[Local]:
    async with any_local(run_dir, **{"containment": "tree", **options}) as here:
        yield here


@contextmanager
def hostile_jobs(directory: Path, *modes: str) -> Iterator[list[HostileJob]]:
    taken = [HostileJob(directory / f"{number}-{mode}", mode) for number, mode in enumerate(modes)]
    try:
        yield taken
    finally:
        for one in taken:
            one.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def supervisor_of(here: Local) -> Supervisor:
    assert here.driver.guards.supervisors is not None
    return here.driver.guards.supervisors.current


def stop(*pids: int) -> None:
    """Stop guards with SIGSTOP, the supervisor first, because it continues stopped shims."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        while state_of(pid) != "T":
            os.sched_yield()


def why(event: JobCompletionEvent) -> tuple[JobStatus, Kind | None]:
    assert event.reason is not None
    return event.status, event.reason.kind


@pytest.mark.slow
@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, buffer: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run_check(check, TreeKit(tmp_path, monkeypatch), buffer, budget=9.5)  # ten times a second would be more


# ---------------------------------------------------------------------- nothing outlives its job


@pytest.mark.parametrize("mode", hostile.MODES)
async def test_nothing_of_a_hostile_job_is_alive_at_its_event(tmp_path: Path, mode: str) -> None:
    async with local(tmp_path / "run", term_timeout=0.05) as here:
        with hostile_jobs(tmp_path, mode) as (one,):
            handles = await here.session.submit([JobSpec(name="job", cmd=one.cmd)])
            if mode != "root_first":  # this one ends by itself
                await one.wait_started()
                await here.backend.kill("job")
            event = await here.session.completed(handles["job"])
            assert not one.alive()
            assert event.status is (JobStatus.PASSED if mode == "root_first" else JobStatus.KILLED)


async def test_all_modes_together_are_forced_to_end(tmp_path: Path) -> None:
    async with local(tmp_path / "run", term_timeout=0) as here:  # without a limit: it would wait for ever
        with hostile_jobs(tmp_path, *hostile.MODES) as taken:
            await here.session.submit([JobSpec(name=one.mode, cmd=one.cmd) for one in taken])
            for one in taken:
                await one.wait_started()
            await here.backend.kill_many(list(hostile.MODES), force=True)
            assert not [one.mode for one in taken if one.alive()]


async def test_a_process_that_left_the_group_gets_sigterm_as_well(tmp_path: Path, fifo: Path) -> None:
    script = f"trap 'echo asked > {tmp_path}/asked; exit' TERM; echo ready > {fifo}; while :; do sleep 0.01; done"
    async with local(tmp_path / "run", term_timeout=0) as here:  # without a limit: no SIGKILL is sent
        await here.session.submit([JobSpec(name="job", cmd=["setsid", "-w", "sh", "-c", script])])
        await hear(fifo)
        await here.backend.kill("job")
        assert (tmp_path / "asked").read_text() == "asked\n"


async def test_a_shim_serves_one_job_after_the_other(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        for _ in range(20):
            await here.run("echo $PPID")
        (shim,) = supervisor_of(here).pool.shims
        assert here.log() == f"{shim.pid}\n"


async def test_our_own_process_is_no_subreaper(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        await here.run()
        answer = ctypes.c_int(-1)
        assert ctypes.CDLL(None).prctl(37, ctypes.byref(answer), 0, 0, 0) == 0  # PR_GET_CHILD_SUBREAPER
        assert answer.value == 0


async def test_a_job_has_a_session_and_three_descriptors_and_no_input(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        cmd = "for i in $(seq 0 200); do test -e /proc/$$/fd/$i && echo $i; done; cat; ps -o sid= -p $$; echo $$"
        await here.run(cmd)
        *descriptors, session, pid = here.log().split()
        assert descriptors == ["0", "1", "2"]
        assert session == pid


# ---------------------------------------------------------------------- whose death is noticed by whom


async def test_a_job_that_kills_its_shim_is_ended_and_harms_no_other(tmp_path: Path) -> None:
    async with local(tmp_path / "run") as here:
        with hostile_jobs(tmp_path, "mixed") as (one,):
            handles = await here.session.submit([JobSpec(name="job", cmd=one.cmd)])
            await one.wait_started()
            (shim,) = supervisor_of(here).pool.shims
            assert shim.pid is not None
            os.kill(shim.pid, signal.SIGKILL)
            event = await here.session.completed(handles["job"])
            assert not one.alive()
            assert why(event) == (JobStatus.KILLED, FailureKind.BACKEND_ERROR)
            assert event.reason is not None
            assert "its shim was ended by SIGKILL" in event.reason.message
        event = await here.run("kill -9 $PPID; sleep 1000", name="itself")
        assert why(event) == (JobStatus.KILLED, FailureKind.BACKEND_ERROR)
        assert (await here.run(name="next")).status is JobStatus.PASSED
        assert here.backend.statistics().late == 0


CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


async def test_no_signal_that_can_be_caught_ends_a_guard(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        supervisor = supervisor_of(here)
        numbers = " ".join(str(int(number)) for number in CATCHABLE)
        event = await here.run(f"for n in {numbers}; do kill -$n $PPID {supervisor.pid}; done; echo $PPID; exit 3")
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE)
        (shim,) = supervisor.pool.shims
        assert here.log() == f"{shim.pid}\n"
        assert (await here.run("echo $PPID", name="next")).status is JobStatus.PASSED
        assert here.log("next") == f"{shim.pid}\n"
        assert supervisor_of(here) is supervisor


async def test_a_sigterm_to_every_process_leaves_a_job_the_time_of_its_stop_sequence(
    tmp_path: Path, fifo: Path
) -> None:
    closing = f'trap "" TERM; read line < {fifo}; echo closed; exit 5'  # a second SIGTERM would interrupt its open
    script = f"trap '{closing}' TERM; echo ready > {fifo}; while :; do sleep 0.01; done"
    async with local(tmp_path / "run", term_timeout=0) as here:  # without a limit: no SIGKILL is sent
        handles = await here.session.submit([JobSpec(name="job", cmd=f"echo $$; {script}")])
        await hear(fifo)
        (shim,) = supervisor_of(here).pool.shims
        for pid in (supervisor_of(here).pid, shim.pid or 0, int(here.log())):
            os.kill(pid, signal.SIGTERM)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.backend.kill, "job")
            await trio.testing.wait_all_tasks_blocked()
            fifo.write_text("go\ngo\n")
        event = await here.session.completed(handles["job"])
        assert why(event) == (JobStatus.KILLED, FailureKind.CANCELLED)
        assert here.log().splitlines()[-1] == "closed"


async def test_a_supervisor_ends_its_shims_though_a_strangers_signal_hides_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_CONTINUE_INTERVAL", math.inf)
    async with local(tmp_path) as here:
        await here.run(name="first")
        supervisor = supervisor_of(here)
        (shim,) = supervisor.pool.shims
        assert shim.pid is not None
        held = os.pidfd_open(shim.pid)
        stop(supervisor.pid, shim.pid)
        os.kill(shim.pid, signal.SIGTERM)
        supervisor.pool.retire()  # its sockets to its shims stay open
        os.kill(supervisor.pid, signal.SIGCONT)
        await trio.lowlevel.wait_readable(held)
        os.close(held)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2, 3, 4])
async def test_guards_that_are_stopped_and_killed_in_any_order_keep_nothing_up(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_CONTINUE_INTERVAL", 0.01)
    guards: set[int] = set()
    async with local(tmp_path) as here:
        for number, steps in enumerate(itertools.permutations(itertools.product(("STOP", "KILL"), (0, 1)), length)):
            name, supervisor = f"job{number}", supervisor_of(here)
            script = "; ".join(f"kill -{what} {('$PPID', supervisor.pid)[who]}" for what, who in steps)
            handles = await here.session.submit([JobSpec(name=name, cmd=f"echo $$ $PPID; {script}; exec sleep 1000")])
            while len(here.log(name).split()) < 2:  # noqa: ASYNC110 - a log has no event
                await trio.sleep(0.001)
            root, shim = map(int, here.log(name).split()[:2])  # a kill of what is dead already complains after them
            guards |= {shim, supervisor.pid}
            await here.backend.kill(name)
            _, kind = why(await here.session.completed(handles[name]))
            if kind is FailureKind.LOST:  # the job was fast enough to kill both guards
                assert {("KILL", 0), ("KILL", 1)} <= set(steps), steps
                with suppress(ProcessLookupError):
                    os.kill(root, signal.SIGKILL)
            else:
                assert kind in (FailureKind.CANCELLED, FailureKind.BACKEND_ERROR), steps
                assert state_of(root) == "Z", steps
            event = await here.run(name=f"next{number}")
            if event.status is not JobStatus.PASSED:  # it was submitted at the time at which its guards died
                assert why(event)[1] in (FailureKind.LOST, FailureKind.BACKEND_ERROR), steps
                while not supervisor.dead:
                    await trio.lowlevel.checkpoint()
                assert (await here.run(name=f"next{number}")).status is JobStatus.PASSED, steps
        assert here.backend.statistics().late == 0
    assert [pid for pid in guards if state_of(pid) != "Z"] == []


STOPPER = """
import os, signal, sys
shim, supervisor = os.getppid(), int(sys.argv[1])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begins", flush=True)
if os.fork() == 0:
    os.setsid()
while True:
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(shim, signal.SIGSTOP)
"""


async def test_a_job_that_stops_its_guards_over_and_over_ends_in_time(tmp_path: Path) -> None:
    async with local(tmp_path, term_timeout=0.05) as here:
        supervisor = supervisor_of(here)
        handles = await here.session.submit(
            [JobSpec(name="job", cmd=[sys.executable, "-I", "-S", "-c", STOPPER, str(supervisor.pid)])]
        )
        while not here.log():  # noqa: ASYNC110 - a log has no event
            await trio.sleep(0.001)
        await here.backend.kill("job")
        assert why(await here.session.completed(handles["job"])) == (JobStatus.KILLED, FailureKind.CANCELLED)
        assert (await here.run(name="next")).status is JobStatus.PASSED
        assert supervisor_of(here) is supervisor
    assert state_of(supervisor.pid) == "Z"


async def test_the_end_of_a_block_continues_guards_that_were_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with local(tmp_path, kill_timeout=0) as here:  # without a limit: it would wait for ever
        await here.run()
        supervisor = supervisor_of(here)
        (shim,) = supervisor.pool.shims
        assert shim.pid is not None
        stop(supervisor.pid, shim.pid)
        here.backend.close()
        held = os.pidfd_open(shim.pid)
    await trio.lowlevel.wait_readable(held)
    os.close(held)
    assert "still waits" not in caplog.text
    assert not helper_process._left


async def test_when_the_supervisor_is_killed_its_jobs_end_and_the_next_gets_a_new_one(tmp_path: Path) -> None:
    async with local(tmp_path / "run") as here:
        with hostile_jobs(tmp_path, *hostile.MODES) as taken:
            handles = await here.session.submit([JobSpec(name=one.mode, cmd=one.cmd) for one in taken])
            for one in taken:
                await one.wait_started()
            old = supervisor_of(here)
            os.kill(old.pid, signal.SIGKILL)
            for one in taken:
                event = await here.session.completed(handles[one.mode])
                assert not one.alive()
                if one.mode != "root_first":
                    assert why(event) == (JobStatus.KILLED, FailureKind.BACKEND_ERROR)
        while not old.dead:
            await trio.lowlevel.checkpoint()
        assert (await here.run(name="next")).status is JobStatus.PASSED
        assert supervisor_of(here) is not old
        assert here.backend.statistics().late == 0


async def test_a_job_that_kills_all_its_guards_is_lost_and_said_to_be_alive(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        supervisor = supervisor_of(here).pid
        both = f"{supervisor} $PPID"  # both are stopped, so that neither acts on the death of the other
        event = await here.run(f"echo $$; kill -STOP {both}; kill -9 {both}; exec sleep 1000")
        held = os.pidfd_open(int(here.log()))  # the job is alive
        signal.pidfd_send_signal(held, signal.SIGKILL)
        os.close(held)
        assert why(event) == (JobStatus.KILLED, FailureKind.LOST)
        assert (await here.run(name="next")).status is JobStatus.PASSED


async def test_when_we_are_killed_nothing_is_left(tmp_path: Path) -> None:
    modes = [mode for mode in hostile.MODES if mode != "root_first"]
    with hostile_jobs(tmp_path, *modes) as taken, trio.fail_after(HANG_TIMEOUT):
        words = [sys.executable, "-m", containment_program.__name__, str(tmp_path), *modes]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as runtime:
            assert runtime.stdout is not None
            for one in taken:
                await one.wait_started()
            supervisor = os.pidfd_open(int(runtime.stdout.readline().split()[0]))
            runtime.kill()
        for one in taken:
            await one.wait_gone()
        await trio.lowlevel.wait_readable(supervisor)
        os.close(supervisor)


async def test_when_we_are_killed_while_our_loop_stands_still_nothing_is_left(tmp_path: Path) -> None:
    with hostile_jobs(tmp_path, "mixed") as (one,), trio.fail_after(HANG_TIMEOUT):
        words = [sys.executable, "-m", stalled_program.__name__, str(one.directory), one.mode]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as runtime:
            assert runtime.stdout is not None
            forked, supervisor = (os.pidfd_open(int(word)) for word in runtime.stdout.readline().split())
            try:
                await one.wait_started()
                runtime.kill()
                await one.wait_gone()
                await trio.lowlevel.wait_readable(supervisor)
            finally:
                runtime.kill()
                signal.pidfd_send_signal(forked, signal.SIGKILL)
                os.close(forked)
                os.close(supervisor)


async def test_l21_what_had_ended_before_its_shim_heard_of_a_kill_keeps_its_true_status(
    tmp_path: Path, fifo: Path
) -> None:
    async with local(tmp_path / "run") as here:
        cmd = f"echo $$ > {fifo}; read line < {fifo}; exit 3"
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        root = int(await hear(fifo))
        (shim,) = supervisor_of(here).pool.shims
        guards = [supervisor_of(here).pid, shim.pid or 0]
        stop(*guards)
        fifo.write_text("go\n")
        while state_of(root) != "Z":
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.backend.kill, "job")
            await trio.testing.wait_all_tasks_blocked()
            for pid in guards:
                os.kill(pid, signal.SIGCONT)
        assert why(await here.session.completed(handles["job"])) == (JobStatus.FAILED, FailureKind.EXIT_CODE)


async def test_a_supervisor_that_stands_still_is_reported_and_no_end_is_invented(
    tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "_HEARTBEAT_INTERVAL", 0.01)
    monkeypatch.setattr(supervisor_module, "_CONTINUE_INTERVAL", math.inf)  # as if no signal had stopped it
    async with local(tmp_path / "run") as here:
        spec = JobSpec(name="job", cmd=f"echo ready > {fifo}; read line < {fifo}; exit 3")
        handles = await here.session.submit([spec])
        await hear(fifo)
        supervisor = supervisor_of(here)
        os.kill(supervisor.pid, signal.SIGSTOP)
        while "has not answered for" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await trio.sleep(0.001)
        assert here.session.history.completions == []
        fifo.write_text("go\n")
        event = await here.session.completed(handles["job"])
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE)
        os.kill(supervisor.pid, signal.SIGCONT)
        assert (await here.run(name="next")).status is JobStatus.PASSED
        assert supervisor_of(here) is supervisor


# ---------------------------------------------------------------------- out of resources


async def test_without_a_free_descriptor_the_backend_is_busy(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        spec = JobSpec(name="job", cmd="true")
        with no_free_descriptor():
            for _ in range(3):
                assert await here.session.submit([spec]) == {}
        assert "EMFILE" in here.backend.busy_because
        assert (await here.run()).status is JobStatus.PASSED


async def test_without_memory_for_a_process_the_backend_is_busy(tmp_path: Path) -> None:
    async with local(tmp_path) as here:
        await here.run(name="first")
        (shim,) = supervisor_of(here).pool.shims
        assert shim.pid is not None
        before = resource.prlimit(shim.pid, resource.RLIMIT_AS)
        resource.prlimit(shim.pid, resource.RLIMIT_AS, (4096, before[1]))
        assert await here.session.submit([JobSpec(name="job", cmd="true")]) == {}
        assert "ENOMEM" in here.backend.busy_because
        assert (await here.run()).status is JobStatus.PASSED


def without_memory(supervisor: Supervisor) -> None:
    """Let a supervisor have no more memory than it has now; it keeps the memory that it has."""
    _, hard = resource.prlimit(supervisor.pid, resource.RLIMIT_AS)
    resource.prlimit(supervisor.pid, resource.RLIMIT_AS, (4096, hard))


async def test_l6_a_supervisor_without_memory_costs_few_refusals_and_is_replaced(
    tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors_module, "_RENEWAL_INTERVAL", 0)
    channel = os.open(fifo, os.O_RDWR)
    async with local(tmp_path / "run") as here:
        handles = await here.session.submit([JobSpec(name="running", cmd=f"echo ready; read line < {fifo}; exit 3")])
        old = supervisor_of(here)
        without_memory(old)
        refused = 0
        while not (new := await here.session.submit([JobSpec(name="job", cmd="true")])):
            assert "ENOMEM" in here.backend.busy_because or "EAGAIN" in here.backend.busy_because
            refused += 1
            assert refused <= supervisors_module._MAX_ENOMEM, "its jobs are refused for as long as it lives"
        assert (await here.session.completed(new["job"])).status is JobStatus.PASSED
        assert supervisor_of(here) is not old
        os.write(channel, b"go\n")
        event = await here.session.completed(handles["running"])
        # The supervisor may or may not die of this; if it does, its jobs are killed.
        assert why(event) in ((JobStatus.FAILED, FailureKind.EXIT_CODE), (JobStatus.KILLED, FailureKind.BACKEND_ERROR))
        while not old.finished:  # noqa: ASYNC110 - a process has no event
            await trio.sleep(0.001)
        assert old.pool.shims == []
    os.close(channel)


async def test_l6_what_supervisors_without_memory_leave_behind_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisors_module, "_RENEWAL_INTERVAL", 0)
    async with local(tmp_path) as here:
        assert (await here.run(name="first")).status is JobStatus.PASSED
        before = len(os.listdir("/proc/self/fd"))
        numbers = itertools.count()
        for _ in range(4):
            old = supervisor_of(here)
            without_memory(old)
            while supervisor_of(here) is old:  # its existing shims may still start jobs; new shims cannot
                specs = [JobSpec(name=f"job{next(numbers)}", cmd="true") for _ in range(len(old.pool.shims) + 1)]
                for handle in (await here.session.submit(specs)).values():
                    await here.session.completed(handle)
            while not old.finished:  # noqa: ASYNC110 - a process has no event
                await trio.sleep(0.001)
        assert here.driver.guards.supervisors is not None
        assert len(here.driver.guards.supervisors._all) <= 2  # this one, and its predecessor
        shims = supervisor_of(here).pool.shims
        assert len(os.listdir("/proc/self/fd")) <= before + 4 + len(shims)  # 4 of its predecessor


async def test_l6_supervisors_are_not_replaced_in_vain(tmp_path: Path, fifo: Path) -> None:
    async with local(tmp_path / "run") as here:
        supervisor = supervisor_of(here)
        spec = JobSpec(name="running", cmd=f"echo ready > {fifo}; exec sleep 1000")
        await here.session.submit([spec])
        await hear(fifo)
        supervisor.pool.enomem_count = supervisors_module._MAX_ENOMEM  # as if that many starts had failed
        assert (await here.run()).status is JobStatus.PASSED
        assert supervisor_of(here) is supervisor  # it is too young: the whole system may have no memory
        assert supervisor.pool.enomem_count == 0
        here.backend.close(force=True)


BOMB = """
import os
for _ in range(4):
    os.fork()
os.setsid()
while True:
    if os.fork():
        os._exit(0)
"""


async def test_a_job_that_forks_faster_than_its_processes_are_listed_is_ended(tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "bomb.py").write_text(BOMB)
    async with local(tmp_path / "run", term_timeout=0.01) as here:
        with hostile_jobs(tmp_path, "hopper") as (one,):  # it is watched by this one
            bomb = f"'{sys.executable}' -I -S {tmp_path}/bomb.py"
            cmd = f"exec 100> {one.directory}/fifo; {bomb} & echo > {fifo}; wait; sleep 1000"
            await here.session.submit([JobSpec(name="job", cmd=cmd, shell="/bin/bash")])
            await hear(fifo)
            await here.backend.kill("job")
            assert not one.alive()
        assert (await here.run(name="next")).status is JobStatus.PASSED


# ---------------------------------------------------------------------- what was used, and what is left


async def test_the_usage_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    burn = "import resource\nwhile resource.getrusage(resource.RUSAGE_SELF).ru_utime < 0.2: pass\nx = b'x' * 50_000_000"
    async with local(tmp_path) as here:
        # It is not waited for by its parent, which ends before it does.
        cmd = ["sh", "-c", f"mkfifo done; (setsid '{sys.executable}' -c \"$0\"; : > done) & cat done", burn]
        event = await here.run(cmd)
        assert event.status is JobStatus.PASSED
        assert event.usage is not None
        assert event.usage.cpu_seconds is not None
        assert event.usage.cpu_seconds >= 0.2
        assert event.usage.peak_bytes is not None
        assert event.usage.peak_bytes > 50_000_000


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_killed_job_has_its_usage(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("while :; do :; done", timeout=0.3)
        assert why(event) == (JobStatus.KILLED, FailureKind.TIMEOUT)
        assert event.usage is not None
        assert event.usage.signal == signal.SIGTERM
        assert event.usage.cpu_seconds is not None
        assert event.usage.cpu_seconds > 0


async def test_descriptors_threads_and_processes_are_as_before(tmp_path: Path) -> None:
    async with local(tmp_path) as here:

        async def some(prefix: str, count: int) -> None:
            jobs = [JobSpec(name=f"{prefix}{number}", cmd="true & exit 0") for number in range(count)]
            for handle in (await here.session.submit(jobs)).values():
                assert (await here.session.completed(handle)).status is JobStatus.PASSED

        def state() -> tuple[int, int, set[int]]:
            pids = {shim.pid or 0 for shim in supervisor_of(here).pool.shims}
            zombies = [pid for pid in pids if Path(f"/proc/{pid}/task/{pid}/children").read_text()]
            assert zombies == []
            return len(os.listdir("/proc/self/fd")), len(pids), pids

        await some("a", 8)
        before = state()
        for round_number in range(8):
            await some(f"b{round_number}-", 8)
        assert state() == before
    assert not Path(f"/proc/{max(before[2])}").exists()


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_signal_may_come_first(tmp_path: Path, fifo: Path, containment: str) -> None:
    script = f"trap 'echo closed; exit 5' INT; trap '' TERM; echo ready > {fifo}; while :; do sleep 0.01; done"
    async with local(tmp_path / "run", containment=containment, soft_stop="SIGINT", soft_timeout=0) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=script)])
        await hear(fifo)
        await here.backend.kill("job")
        event = await here.session.completed(handles["job"])
        assert event.usage is not None
        assert (event.status, event.usage.exit_code) == (JobStatus.KILLED, 5)
        assert here.log() == "closed\n"


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_stop_file_may_come_first(tmp_path: Path, fifo: Path, containment: str) -> None:
    script = f"echo ready > {fifo}; until test -e STOP; do sleep 0.01; done; echo closed"
    async with local(tmp_path / "run", containment=containment, soft_stop="STOP", soft_timeout=0) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=script)])
        await hear(fifo)
        await here.backend.kill("job")
        event = await here.session.completed(handles["job"])
        assert event.usage is not None
        assert (event.status, event.usage.exit_code) == (JobStatus.KILLED, 0)
        assert here.log() == "closed\n"


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_each_job_may_have_a_soft_step_of_its_own(tmp_path: Path, containment: str) -> None:
    steps: dict[str, dict[str, Any]] = {
        "signal": {},
        "file": {"soft_stop": "STOP", "soft_timeout": 1000},
        "none": {"soft_stop": False},
    }
    scripts = {
        "signal": "trap 'exit 5' INT; trap '' TERM",
        "file": "trap '' TERM",  # so the file ends it
        "none": "trap 'exit 6' INT",
    }
    options = {"containment": containment, "soft_stop": "SIGINT", "soft_timeout": 0}
    async with local(tmp_path / "run", **options) as here:
        before = here.driver.kill_deadline
        jobs = []
        for name, script in scripts.items():
            os.mkfifo(tmp_path / name)
            loop = "until test -e STOP; do sleep 0.01; done; exit 7"
            jobs.append(JobSpec(name=name, cmd=f"{script}; echo ready > {tmp_path / name}; {loop}", **steps[name]))
        handles = await here.session.submit(jobs)
        for name in scripts:
            await hear(tmp_path / name)
        assert before is None  # the signal's step has no limit
        await here.backend.kill_many(list(scripts))
        usages = {name: (await here.session.completed(handle)).usage for name, handle in handles.items()}
        assert {name: (usage.exit_code, usage.signal) for name, usage in usages.items() if usage is not None} == {
            "signal": (5, None),
            "file": (7, None),
            "none": (None, signal.SIGTERM),
        }


async def test_a_job_with_a_long_soft_step_is_not_given_up_early(tmp_path: Path) -> None:
    async with local(tmp_path / "limited", soft_stop="SIGINT", soft_timeout=10) as here:
        deadlines = [here.driver.kill_deadline]
        for name, seconds in (("short", None), ("long", 1000), ("again", None)):
            await here.run(name=name, soft_timeout=seconds)
            deadlines.append(here.driver.kill_deadline)
    assert deadlines == [21, 21, 1011, 1011]  # and 2 s for each of SIGTERM, SIGKILL, the verdict; 5 in reserve
    async with local(tmp_path / "unlimited", soft_timeout=0) as here:
        deadlines = [here.driver.kill_deadline]
        for name, stop in (("none", None), ("own", "SIGINT")):
            await here.run(name=name, soft_stop=stop)
            deadlines.append(here.driver.kill_deadline)
    assert deadlines == [11, 11, None]


@pytest.mark.parametrize("containment", ["group", "tree"])
@pytest.mark.parametrize("soft", ["SIGUSR1", "no/such/directory/STOP", "STOP"])
async def test_a_job_that_ignores_the_soft_step_gets_sigterm(
    tmp_path: Path, fifo: Path, containment: str, soft: str
) -> None:
    script = f"trap '' USR1; echo ready > {fifo}; while :; do sleep 0.01; done"
    async with local(tmp_path / "run", containment=containment, soft_stop=soft, soft_timeout=0.05) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=script)])
        await hear(fifo)
        await here.backend.kill("job")
        event = await here.session.completed(handles["job"])
        assert event.usage is not None
        assert event.usage.signal == signal.SIGTERM


SIMULATOR = """
import signal, sys
got = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: got.append(signal.Signals(number).name))
open(sys.argv[1], "w").close()
while not got:
    signal.sigtimedwait([], 0.001)
for _ in range(100):
    signal.sigtimedwait([], 0.001)
print(*got, "closed", flush=True)
"""
"""Takes a while to close its files when it gets a signal; then prints the signals that it got."""


def simulator_in(directory: Path) -> Path:
    """Make it a program whose path needs no quotes; the path of the interpreter may need some."""
    code, program = directory / "simulator.py", directory / "simulator"
    code.write_text(SIMULATOR)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S {code} "$@"\n')
    program.chmod(0o755)
    return program


WRAPPERS = {
    "plain": "exec SIM",
    "shell": "SIM; true",
    "timeout": "cd . && timeout 1h SIM; echo left",
    "timeout_alone": "exec timeout 1h SIM",
    "setsid": "setsid -w SIM; true",
    "set_m": "set -m; SIM & wait; true",
    "deep": "sh -c 'setsid -w sh -c \"timeout 1h SIM; true\"; true'; true",
}


@pytest.mark.parametrize("containment", ["group", "tree"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
async def test_a_soft_signal_reaches_a_simulator_behind_anything_once(
    tmp_path: Path, fifo: Path, containment: str, wrapper: str
) -> None:
    simulator = f"{simulator_in(tmp_path)} {fifo}"
    options = {"containment": containment, "soft_stop": "SIGINT", "soft_timeout": 0}  # without a limit: no SIGTERM
    async with local(tmp_path / "run", **options) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=WRAPPERS[wrapper].replace("SIM", simulator))])
        await hear(fifo)
        await here.backend.kill("job")
        await here.session.completed(handles["job"])
        assert "SIGINT closed" in here.log().splitlines()


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_sigterm_reaches_a_simulator_behind_timeout_once(tmp_path: Path, fifo: Path, containment: str) -> None:
    cmd = f"cd . && timeout 1h {simulator_in(tmp_path)} {fifo}; echo left"
    async with local(tmp_path / "run", containment=containment, term_timeout=0) as here:  # without a limit
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        await hear(fifo)
        await here.backend.kill("job")
        await here.session.completed(handles["job"])
        assert "SIGTERM closed" in here.log().splitlines()


async def test_more_processes_than_there_are_descriptors_get_sigterm(tmp_path: Path, fifo: Path) -> None:
    child = f"trap 'echo asked; exit' TERM; echo > {fifo}; while :; do sleep 0.05; done"
    script = f"for i in $(seq 40); do setsid sh -c \"{child}\" & done; trap '' TERM; wait"
    async with local(tmp_path / "run", term_timeout=0) as here:  # without a limit: no SIGKILL is sent
        await here.run(name="first")
        (shim,) = supervisor_of(here).pool.shims
        assert shim.pid is not None
        resource.prlimit(shim.pid, resource.RLIMIT_NOFILE, (16, 1024))
        listener = os.open(fifo, os.O_RDWR)
        handles = await here.session.submit([JobSpec(name="job", cmd=f"ulimit -n 1024; {script}")])
        for _ in range(40):
            await trio.to_thread.run_sync(os.read, listener, 1, limiter=trio.CapacityLimiter(1))
        os.close(listener)
        await here.backend.kill("job")
        await here.session.completed(handles["job"])
        assert here.log().split().count("asked") == 40


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_when_the_root_has_followed_the_others_are_asked_at_once(
    tmp_path: Path, fifo: Path, containment: str
) -> None:
    child = f"trap 'echo asked; exit' TERM; echo ready > {fifo}; while :; do sleep 0.01; done"
    script = f"trap 'exit 5' INT; setsid sh -c \"{child}\" & while :; do sleep 0.01; done"  # it ignores SIGINT
    options = {"containment": containment, "soft_stop": "SIGINT", "soft_timeout": 0, "term_timeout": 0}
    async with local(tmp_path / "run", **options) as here:  # without limits
        handles = await here.session.submit([JobSpec(name="job", cmd=script)])
        await hear(fifo)
        await here.backend.kill("job")
        event = await here.session.completed(handles["job"])
        assert event.usage is not None
        assert (event.status, event.usage.exit_code) == (JobStatus.KILLED, 5)
        assert here.log().splitlines()[-1] == "asked"  # before it, a shell may report the end of its sleep


async def test_a_job_that_is_handed_over_in_pieces_is_whole(tmp_path: Path) -> None:
    exports = {f"LONG{number}": chr(97 + number) * 100_000 for number in range(8)}  # a stream takes less at once
    async with local(tmp_path) as here:
        event = await here.run("echo ${#LONG0} ${#LONG7}; case $LONG7 in *[!h]*) exit 1;; esac", exports=exports)
        assert event.status is JobStatus.PASSED
        assert here.log() == "100000 100000\n"


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_a_forced_kill_leaves_out_the_soft_step(tmp_path: Path, fifo: Path, containment: str) -> None:
    options = {"containment": containment, "soft_stop": "STOP", "soft_timeout": 0, "term_timeout": 0}
    async with local(tmp_path / "run", **options) as here:  # without limits: it would wait for ever
        script = f"trap '' TERM; echo ready > {fifo}; while :; do sleep 1000; done"
        handles = await here.session.submit([JobSpec(name="job", cmd=script)])
        await hear(fifo)
        await here.backend.kill("job", force=True)
        assert why(await here.session.completed(handles["job"]))[1] is FailureKind.CANCELLED


@pytest.mark.root
async def test_a_process_that_is_stuck_is_named_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    freezer = Path("/sys/fs/cgroup/freezer") / f"job-runtime-{os.getpid()}"
    freezer.mkdir()
    try:
        with hostile_jobs(tmp_path, "child") as (one,), caplog.at_level(logging.ERROR):
            async with local(tmp_path / "run", term_timeout=0.05, kill_timeout=0.05) as here:
                spec = JobSpec(
                    name="job", cmd=f'echo $$ > {freezer}/tasks; exec "$@"'.replace('"$@"', " ".join(one.cmd))
                )
                handles = await here.session.submit([spec])
                await one.wait_started()
                (freezer / "freezer.state").write_text("FROZEN")
                await here.backend.kill("job")
                event = await here.session.completed(handles["job"])
                assert why(event) == (JobStatus.KILLED, FailureKind.LOST)
                assert event.reason is not None
                pids = (freezer / "tasks").read_text().split()
                assert len(pids) == 3
                assert set(event.reason.message.replace(",", "").split()) & set(pids)
                assert "(unreaped)" in event.reason.message
                assert (await here.run(name="next")).status is JobStatus.PASSED
            assert "still waits for processes to die" in caplog.text
            assert one.alive()
            (freezer / "freezer.state").write_text("THAWED")
            await one.wait_gone()
            while helper_process._left:
                helper_process.reap_left()
                await trio.sleep(0.001)
    finally:
        (freezer / "freezer.state").write_text("THAWED")
        while (freezer / "tasks").read_text():  # noqa: ASYNC110 - nor has this file
            await trio.sleep(0.001)
        freezer.rmdir()
