from __future__ import annotations

import errno
import logging
import math
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from runtime.backend import verdict_pool
from runtime.backend.contract.live import LiveJob
from runtime.backend.local import LocalBackend, group_starter
from runtime.backend.local.driver import LocalDriver
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, Kind
from runtime.process import Child, batched_calls, spawn
from runtime.process.limits import Resources
from runtime.scheduler.run import run_jobs
from runtime.testing.conformance import BUFFERS, CHECKS, Check, run_check
from runtime.verdict import Judgement, verdicts
from runtime.verdict.file import judge_log
from runtime.verdict.judge import LogPatterns
from tests.backend import terminal_program
from tests.backend.local_jobs import HANG_TIMEOUT, TOKEN, LocalKit, Plant, alive, hear, local
from tests.backend.manual import opened
from tests.process.user_terminal import user_terminal

CONTAINMENTS = ("group", "tree")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def state_of(pid: int) -> str:
    """The state of a process as `/proc` names it; Z also if the process does not exist any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def wait_ended(pid: int) -> None:
    """Wait until a process has ended. The loop is blocked meanwhile, so the backend does not notice."""
    while state_of(pid) != "Z":
        os.sched_yield()


def why(event: JobCompletionEvent) -> tuple[JobStatus, Kind | None, str]:
    assert event.reason is not None
    return event.status, event.reason.kind, event.reason.message


@pytest.mark.slow
@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, buffer: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run_check(check, LocalKit(tmp_path, monkeypatch), buffer, budget=9.5)  # ten times a second would be more


# ---------------------------------------------------------------------- what goes wrong in systems like this one


@pytest.mark.parametrize(
    ("cmd", "fields", "words"),
    [
        (["/no/such/program"], {}, ["ENOENT", "/no/such/program"]),
        (["no-such-program-at-all"], {}, ["ENOENT", "no-such-program-at-all", "expected a program in the PATH"]),
        (["/etc/passwd"], {}, ["EACCES", "/etc/passwd"]),
        (["./bad-interpreter"], {"cwd": "{}"}, ["ENOENT", "bad-interpreter"]),
        (["./no-interpreter"], {"cwd": "{}"}, ["ENOEXEC", "no-interpreter", "a first line such as #!/bin/sh"]),
        ("true", {"shell": "/no/such/shell"}, ["ENOENT", "/no/such/shell"]),
        (
            "true",
            {"cwd": "/no/such/directory"},
            ["ENOENT", "/no/such/directory', which is its cwd; expected a directory"],
        ),
        ("true", {"cwd": "/etc/passwd"}, ["ENOTDIR", "/etc/passwd', which is its cwd; expected a directory"]),
        (
            "true",
            {"shell": "/usr/bin/env bash"},
            ["ENOENT", 'expected a program, or its words, such as ["/usr/bin/env", "bash", "-c"]'],
        ),
        ("true", {"log_path": "/proc/no/such/log"}, ["ENOENT", "/proc/no"]),
        (["true", "x" * (1 << 22)], {}, ["E2BIG"]),
        (["true", "\ud800"], {}, ["surrogates"]),
    ],
)
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_an_unknown_program_costs_its_own_job_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cmd: str | list[str],
    fields: dict[str, str],
    words: list[str],
    containment: str,
) -> None:
    # A PATH with a directory that we may not search changes what the system says of an unknown program.
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name, text in (("bad-interpreter", "#!/no/such/interpreter\n"), ("no-interpreter", "true\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    spec = JobSpec(name="bad", cmd=cmd, **{key: value.format(tmp_path) for key, value in fields.items()})  # type: ignore[arg-type]  # all texts
    async with local(tmp_path / "run", containment=containment) as here:
        handles = await here.session.submit([JobSpec(name="a", cmd="true"), spec, JobSpec(name="b", cmd="true")])
        status, kind, message = why(await here.session.completed(handles["bad"]))
        assert (status, kind) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR)
        assert all(word in message for word in words), message
        assert (await here.session.completed(handles["a"])).status is JobStatus.PASSED
        assert (await here.session.completed(handles["b"])).status is JobStatus.PASSED


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_all_signals_are_as_usual_in_a_job_whatever_we_ignore(tmp_path: Path, containment: str) -> None:
    """A shell ignores SIGINT in what it runs in the background; there, a job that is asked by SIGINT has to notice."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGUSR1)}
    try:
        async with local(tmp_path, containment=containment) as here:
            event = await here.run(["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"])
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    assert event.status is JobStatus.PASSED
    _, blocked, _, ignored = (tmp_path / "job" / "job.log").read_text().split()
    usual = {number - 1 for number in signal.valid_signals()}  # the C library has two more, for itself
    assert [bit for bit in usual if (int(blocked, 16) | int(ignored, 16)) >> bit & 1] == []


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_an_unbalanced_quote_is_the_shells_to_complain_about(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("echo 'unbalanced")
        assert why(event)[1] is FailureKind.EXIT_CODE
        assert event.reason is not None
        assert event.reason.context is not None
        assert "quote" in "".join(event.reason.context).lower()


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_l3_directories_that_vanish_fail_only_the_jobs_that_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    for name in ("ours", "its"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "ours")
    async with local(tmp_path / "run", containment=containment) as here:
        await here.run(name="first")
        (tmp_path / "ours").rmdir()  # the current directory of this process
        shutil.rmtree(here.run_dir)
        assert (await here.run("pwd", name="second")).status is JobStatus.PASSED
        assert here.log("second") == f"{here.run_dir}/second\n"
        event = await here.run(cwd=str(tmp_path / "its"), pre_launch=(tmp_path / "its").rmdir)
        status, kind, message = why(event)
        assert (status, kind) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR)
        what = f"cannot be started: ENOENT, No such file or directory: '{tmp_path}/its', which is its cwd"
        assert message == f"{what}; expected a directory that exists and may be entered"
        assert (
            why(await here.run("rmdir $PWD; exit 3", name="gone", log_path=str(tmp_path / "log")))[2] == "exit code 3"
        )
        assert not (here.run_dir / "gone").exists()
        assert (await here.run(name="last")).status is JobStatus.PASSED


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Allow no further descriptor to be opened in this process."""
    free = os.dup(0)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_a_free_descriptor_the_backend_is_busy(tmp_path: Path) -> None:
    calls: list[None] = []
    spec = JobSpec(name="job", cmd="echo done", renew_odir=True, pre_launch=lambda: calls.append(None))
    async with local(tmp_path) as here:
        (tmp_path / "job").mkdir()  # so that there is a directory to rename
        with no_free_descriptor():
            for _ in range(3):
                assert await here.session.submit([spec]) == {}
        handles = await here.session.submit([spec])
        assert (await here.session.completed(handles["job"])).status is JobStatus.PASSED
        assert len(calls) <= 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "job.~1~"]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
async def test_if_no_process_can_be_started_the_backend_is_busy_and_a_hook_is_not_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    calls: list[None] = []
    spec = JobSpec(name="job", cmd="true", pre_launch=lambda: calls.append(None))

    def out_of_resources(*_args: object, **_options: object) -> Child:
        raise OSError(number, "out of resources")

    async with local(tmp_path) as here:
        with monkeypatch.context() as patch:
            patch.setattr(group_starter, "spawn", out_of_resources)
            assert await here.session.submit([spec]) == {}
        assert (await here.session.submit([spec])).keys() == {"job"}
        assert len(calls) == 1
        await here.backend.drain()
        await here.session.submit([spec], {"job": 2})
        assert len(calls) == 2


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_completion_tells_where_the_files_are_unless_the_launch_was_not_begun(
    tmp_path: Path, containment: str
) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run(["/no/such/program"], name="bad")
        assert (event.odir, event.log_path) == (f"{tmp_path}/bad", f"{tmp_path}/bad/job.log")
        event = await here.run(name="own", odir=tmp_path / "o", log_path=tmp_path / "l" / "x.log")
        assert (event.odir, event.log_path) == (f"{tmp_path}/o", f"{tmp_path}/l/x.log")
        handles = {}

        async def submit() -> None:
            handles.update(await here.session.submit([JobSpec(name="early", cmd="true")]))

        here.backend.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await trio.testing.wait_all_tasks_blocked()
            await here.backend.kill("early")
            here.backend.unpause()
        event = await here.session.completed(handles["early"])
        assert (event.status, event.paths) == (JobStatus.KILLED, None)


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_full_disk_fails_that_job(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        out_of_resources = 0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]  # a file can be made and not written
        supervisors = here.driver.guards.supervisors
        everybody = [os.getpid(), *([] if supervisors is None else [supervisors.current.pid])]
        before = [resource.prlimit(pid, resource.RLIMIT_FSIZE, out_of_resources) for pid in everybody]
        try:
            event = await here.run()
        finally:
            for pid, limits in zip(everybody, before, strict=True):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        assert why(event) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR, "cannot be started: EFBIG, File too large")


@pytest.mark.parametrize(
    ("error", "message_part"),
    [
        (MemoryError(), "there is no memory for that"),
        (RecursionError("too deep"), "too deep"),
        (ValueError("a bug"), "a bug"),
    ],
)
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_an_exception_while_judging_does_not_lose_the_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message_part: str, containment: str
) -> None:
    def raise_it(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(verdicts, "judge_log", raise_it)
    monkeypatch.setattr(verdict_pool, "_RESOURCE_TIMEOUT", 0.02)  # for memory
    async with local(tmp_path, containment=containment) as here:
        status, kind, message = why(await here.run(pass_patterns=["x"]))
        assert (status, kind) == (JobStatus.FAILED, FailureKind.LOG_UNREADABLE)
        assert message_part in message


@pytest.mark.parametrize(
    "instead",
    [
        "rm $LOG",
        "rm $LOG; mkfifo $LOG",
        "rm $LOG; mkdir $LOG",
        "ln -sf /dev/zero $LOG",
        "truncate -s 1T $LOG",
    ],
)
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_what_is_in_the_place_of_a_log_costs_its_own_job_alone(
    tmp_path: Path, instead: str, containment: str
) -> None:
    log = tmp_path / "job" / "job.log"
    async with local(tmp_path, containment=containment) as here:
        event = await here.run(f"echo PASSED; {instead}", exports={"LOG": str(log)}, pass_patterns=["PASSED"])
        assert why(event)[:2] == (JobStatus.FAILED, FailureKind.LOG_UNREADABLE)
        event = await here.run(f"{instead}; exit 3", exports={"LOG": str(log)}, name="other")
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE, "exit code 3")


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_command_is_not_in_the_log_that_is_searched(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("true TEST PASSED", pass_patterns=["TEST PASSED"])
        assert why(event) == (
            JobStatus.FAILED,
            FailureKind.PASS_PATTERN_MISSING,
            "pass pattern not found: 'TEST PASSED'",
        )
        assert here.log() == ""


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_pattern_with_an_inline_flag_works_together_with_others(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("echo Error: 1", fail_patterns=["never", "(?i)error", "(?s)x.y"])
        assert why(event)[1:] == (FailureKind.FAIL_PATTERN, "a fail pattern matched: Error: 1")


async def test_what_the_root_leaves_in_its_group_is_gone_at_the_event(tmp_path: Path, fifo: Path) -> None:
    token = str(tmp_path)
    async with local(tmp_path / "run") as here:
        cmd = f"(trap '' TERM; echo > {fifo}; while :; do sleep 1000; done) & read line < {fifo}; exit 0"
        event = await here.run(cmd, exports={TOKEN: token})
        assert event.status is JobStatus.PASSED
        assert not alive(token)


async def test_a_process_that_holds_the_output_of_a_job_may_outlive_it(tmp_path: Path, fifo: Path) -> None:
    async with local(tmp_path / "run") as here:
        event = await here.run(f"setsid sh -c 'echo > {fifo}; exec cat {fifo}' & read line < {fifo}")
        assert event.status is JobStatus.PASSED
        fifo.write_text("")  # which ends the process that left its group


async def test_a_process_that_survives_sigkill_is_reported_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Child.signal_group
    stuck: list[Child] = []

    def swallow(child: Child, number: int) -> None:
        stuck.append(child)

    async with local(tmp_path, term_timeout=0.01, kill_timeout=0.01) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=["sleep", "1000"])])
        monkeypatch.setattr(Child, "signal_group", swallow)
        await here.backend.kill("job")
        status, kind, message = why(await here.session.completed(handles["job"]))
        assert (status, kind) == (JobStatus.KILLED, FailureKind.LOST)
        assert message == f"processes {stuck[0].pid} (unreaped) did not end within 0.01 s of SIGKILL"
        assert await here.run(name="other") is not None  # the backend goes on
        monkeypatch.undo()
        sent(stuck[0], signal.SIGKILL)


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_child_writes_its_log_itself_however_long_a_line(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run(
            "readlink /proc/self/fd/1 /proc/self/fd/2; head -c 300000 /dev/zero | tr '\\0' x; echo TEST PASSED",
            pass_patterns=["^/.*/job/job.log$", "TEST PASSED$"],
        )
        assert event.status is JobStatus.PASSED
        log = str(tmp_path / "job" / "job.log")
        assert here.log() == f"{log}\n{log}\n{'x' * 300_000}TEST PASSED\n"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_tail_of_the_log_is_never_cut_off(tmp_path: Path, containment: str) -> None:
    cmd = "seq 20000; echo TEST PASSED"
    jobs = [JobSpec(name=f"job{number}", cmd=cmd, pass_patterns=["^TEST PASSED$"]) for number in range(20)]
    async with local(tmp_path, containment=containment) as here:
        for handle in (await here.session.submit(jobs)).values():
            assert (await here.session.completed(handle)).status is JobStatus.PASSED


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_dumped_environment_is_for_its_owner_only(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        (tmp_path / "job").mkdir()
        old = tmp_path / "job" / "env_vars"
        old.write_text("old")
        old.chmod(0o644)
        await here.run(exports={"SECRET": "a b"})
        assert stat.S_IMODE(old.stat().st_mode) == 0o600
        lines = old.read_text().splitlines()
        assert "SECRET='a b'" in lines
        assert any(line.startswith("PATH=") for line in lines)
    async with local(tmp_path, containment=containment) as here:
        await here.run(exports={"SECRET": "c"}, renew_odir=True)
        assert "SECRET=c" in old.read_text().splitlines()
        assert stat.S_IMODE(old.stat().st_mode) == 0o600
        assert "SECRET='a b'" in (tmp_path / "job.~1~" / "env_vars").read_text().splitlines()


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_an_exit_code_and_the_last_lines_come_first(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("seq 20; exit 3", pass_patterns=["TEST PASSED"])
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE, "exit code 3")
        assert event.reason is not None
        assert event.reason.context == tuple(str(number) for number in range(11, 21))
        assert event.reason.lines == [(11, 20)]
        event = await here.run("seq 20; exit 255")  # without patterns, only the end is read
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE, "exit code 255")
        assert event.reason is not None
        assert event.reason.context == tuple(str(number) for number in range(11, 21))


async def test_the_loop_is_not_held_up_by_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def note_thread(path: str, patterns: Any, *args: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return judge_log(path, patterns, *args, **options)

    monkeypatch.setattr(verdicts, "judge_log", note_thread)
    async with local(tmp_path) as here:
        await here.run(pass_patterns=[""])
        assert threads
        assert threading.get_ident() not in threads


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_command_means_one_thing(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        await here.run(["echo", "$HOME;", "*", "'q'"], name="words")
        assert here.log("words") == "$HOME; * 'q'\n"
        await here.run('V=a; echo "$V" && echo b', name="text")
        assert here.log("text") == "a\nb\n"
        await here.run('echo "${BASH_VERSION:+bash}"', name="bash", shell="/bin/bash")
        assert here.log("bash") == "bash\n"


# ---------------------------------------------------------------------- verdict and usage


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_usage_of_a_job_and_the_times_of_its_tool_are_reported(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run(
            "echo 'sim 5 ns'; echo 'sim 7 us'; echo 'cpu 1.5 m'",
            simulated_time_pattern=r"sim (?P<value>\d+) (?P<unit>\w+)",
            runtime_pattern=r"cpu (?P<value>[\d.]+) (?P<unit>\w)",
        )
        assert (event.status, event.reason) == (JobStatus.PASSED, None)
        assert event.usage is not None
        assert (event.usage.exit_code, event.usage.signal) == (0, None)
        assert (event.usage.simulated_time, event.usage.job_runtime) == (7 * 1e-6, 90.0)
        assert event.usage.cpu_seconds is not None
        assert event.usage.cpu_seconds > 0
        assert event.started is not None
        assert event.submitted <= event.started <= event.ended


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_an_end_by_a_signal_is_named(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("ulimit -c 0; kill -SEGV $$")
        assert why(event) == (JobStatus.FAILED, FailureKind.SIGNAL, "ended by SIGSEGV")
        assert event.usage is not None
        assert (event.usage.exit_code, event.usage.signal) == (None, signal.SIGSEGV)


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_l20_a_core_dump_is_reported(tmp_path: Path, containment: str) -> None:
    cmd = "ulimit -c unlimited && kill -SEGV $$"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"cd '{elsewhere}'; {cmd}"], os.environ)
    core_dumped = os.WCOREDUMP(os.waitpid(pid, 0)[1])  # by whatever this machine does with cores
    async with local(tmp_path / "run", containment=containment) as here:
        event = await here.run(cmd)
        dumped = " (core dumped)" if core_dumped else ""
        assert why(event) == (JobStatus.FAILED, FailureKind.SIGNAL, f"ended by SIGSEGV{dumped}")


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_l25_a_job_that_reaches_its_own_limit_of_memory_says_so(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run(f"ulimit -v 200000; '{sys.executable}' -I -S -c \"b'x' * 1_000_000_000\"")
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE, "exit code 1")
        assert event.reason is not None
        assert event.reason.context is not None
        assert event.reason.context[-1] == "MemoryError"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_kill_from_outside_is_a_failure_with_its_signal_and_the_last_lines(
    tmp_path: Path, containment: str
) -> None:
    """As the kernel does when it is out of memory."""
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("echo allocating; kill -KILL $$", pass_patterns=["DONE"])
        assert why(event) == (JobStatus.FAILED, FailureKind.SIGNAL, "ended by SIGKILL")
        assert event.reason is not None
        assert event.reason.context == ("allocating",)


async def test_a_process_that_other_code_has_reaped_is_lost(tmp_path: Path, fifo: Path) -> None:
    async with local(tmp_path / "run") as here:
        handles = await here.session.submit([JobSpec(name="job", cmd=f"echo $$ > {fifo}; read line < {fifo}")])
        pid = int(await hear(fifo))
        fifo.write_text("go\n")
        os.waitpid(pid, 0)  # the loop is blocked since the job continued, so the backend cannot reap it first
        assert why(await here.session.completed(handles["job"]))[1] is FailureKind.LOST


# ---------------------------------------------------------------------- blocks


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_backend_can_be_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    backend = LocalBackend(0, containment=containment)
    directories, descriptors = set(), []
    for _ in range(3):
        jobs = [JobSpec(name="ends", cmd="echo hello"), JobSpec(name="runs", cmd="sleep 1000")]
        with trio.fail_after(HANG_TIMEOUT):
            async with opened(backend) as history:
                await backend.submit_many(jobs)
                await backend.kill("runs")
                await backend.drain()
                backend.pause()  # counts for this block only: the next one launches its jobs
        statuses = {event.job_id: event.status for event in history.completions}
        assert statuses == {"ends": JobStatus.PASSED, "runs": JobStatus.KILLED}
        directories.add(backend.run_dir)
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert [str(path) for path in tmp_path.iterdir()] == list(directories)  # a temporary directory is made once
    assert descriptors[2] == descriptors[1]


# ---------------------------------------------------------------------- files


async def test_without_a_run_directory_there_is_a_private_one_that_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.INFO, "runtime.backend.local"):
        async with local(None) as here:
            assert here.run_dir.parent == tmp_path
            assert str(here.run_dir) in caplog.text
            assert stat.S_IMODE(here.run_dir.stat().st_mode) == 0o700
            await here.run("echo hello")
    assert here.log() == "hello\n"


async def test_a_relative_run_directory_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with local(Path("some/where")) as here:
        await here.run("pwd")
        assert here.run_dir == tmp_path / "some" / "where"
        assert here.log() == f"{tmp_path}/some/where/job\n"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_job_may_name_its_directories(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        (tmp_path / "cwd").mkdir()
        fields = {"odir": "out/dir", "log_path": "logs/a.txt", "cwd": "cwd"}
        paths: dict[str, Any] = {key: str(tmp_path / value) for key, value in fields.items()}
        await here.run("pwd", **paths)
        assert (tmp_path / "logs" / "a.txt").read_text() == f"{tmp_path}/cwd\n"
        assert (tmp_path / "logs" / "env_vars").exists()
        assert list((tmp_path / "out" / "dir").iterdir()) == []
        await here.run("pwd", odir=str(tmp_path / "out"))
        assert (tmp_path / "out" / "job.log").read_text() == f"{tmp_path}/out\n"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_log_may_be_in_a_directory_that_is_called_like_the_job(tmp_path: Path, containment: str) -> None:
    """Below another root it has the same relative path."""
    (tmp_path / "logs").mkdir()
    async with local(tmp_path / "run", containment=containment) as here:
        done = await here.run("pwd", name="job", log_path=str(tmp_path / "logs" / "job" / "a.txt"))
        assert done.status is JobStatus.PASSED
        assert (tmp_path / "logs" / "job" / "a.txt").read_text() == f"{here.run_dir}/job\n"


@pytest.mark.parametrize("name", ["../x", "a/b", "-rf", "$(touch x)", "a\nb", "..", "x" * 300, "\udcff"])
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_hostile_name_stays_in_the_run_directory(tmp_path: Path, name: str, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        assert (await here.run("pwd", name=name)).status is JobStatus.PASSED
        (directory,) = here.run_dir.iterdir()
        assert (directory / "job.log").read_text() == f"{directory}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_log_is_fresh_at_each_run(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        (tmp_path / "job").mkdir()
        (tmp_path / "job" / "job.log").write_text("TEST PASSED\nmore\n")  # of an earlier run in the same directory
        event = await here.run("echo no", pass_patterns=["TEST PASSED"])
        assert event.status is JobStatus.FAILED
        assert here.log() == "no\n"


@pytest.mark.parametrize("name", ["job.log", "env_vars"])
@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.symlink_to(path.parent.parent / "precious"),
        lambda path: path.symlink_to("/dev/full"),
        Path.mkdir,
        os.mkfifo,
    ],
    ids=["symlink", "device", "directory", "fifo"],
)
@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_what_was_planted_is_not_written_to(tmp_path: Path, name: str, plant: Plant, containment: str) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "job").mkdir()
    plant(tmp_path / "job" / name)
    async with local(tmp_path, containment=containment) as here:
        assert why(await here.run("echo x"))[:2] == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR)
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_old_output_directories_are_renamed_and_few_are_kept(tmp_path: Path, containment: str) -> None:
    for number in range(5):
        async with local(tmp_path, containment=containment, max_output_dirs=2) as here:
            assert here.backend.max_output_dirs == 2
            await here.run(f"echo {number}", renew_odir=True)
    kept = {path.name: (path / "job.log").read_text() for path in tmp_path.iterdir()}
    assert kept == {"job": "4\n", "job.~1~": "3\n", "job.~2~": "2\n"}
    async with local(tmp_path, containment=containment, max_output_dirs=2) as here:
        await here.run("echo 5")  # not renewed: the directory stays
        assert here.log() == "5\n"
    assert len(list(tmp_path.iterdir())) == 3


async def test_without_a_limit_all_old_output_directories_are_kept(tmp_path: Path) -> None:
    for _ in range(8):
        async with local(tmp_path, max_output_dirs=0) as here:
            await here.run(renew_odir=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", *(f"job.~{n}~" for n in range(1, 8))]


async def test_a_lower_limit_deletes_what_is_above_it(tmp_path: Path) -> None:
    for _ in range(8):
        async with local(tmp_path) as here:
            await here.run(renew_odir=True)
    assert len(list(tmp_path.iterdir())) == 6
    (tmp_path / "job.~1~").rename(tmp_path / "elsewhere")
    (tmp_path / "job.~1~").symlink_to("elsewhere")  # a link is deleted, and not what it leads to
    async with local(tmp_path, max_output_dirs=1) as here:
        await here.run(renew_odir=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "job", "job.~1~"]
    assert (tmp_path / "elsewhere" / "job.log").exists()


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_dry_run_prepares_everything_and_starts_nothing(tmp_path: Path, containment: str) -> None:
    def hook(*_args: object) -> None:
        raise AssertionError

    async with local(tmp_path, containment=containment) as here:
        event = await here.run("exit 3", dry_run=True, pass_patterns=["x"], pre_launch=hook, post_finish=hook)
        assert (event.status, event.reason) == (JobStatus.PASSED, None)
        assert {path.name for path in (tmp_path / "job").iterdir()} == {"job.log", "env_vars"}


# ---------------------------------------------------------------------- the process


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_environment_is_the_inherited_one_with_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j")
    monkeypatch.setenv("INHERITED", "1")
    monkeypatch.setenv("REPLACED", "1")
    async with local(tmp_path, containment=containment) as here:
        await here.run('echo "$INHERITED $REPLACED $ADDED ${MAKEFLAGS-unset}"', exports={"REPLACED": "2", "ADDED": "3"})
        assert here.log() == "1 2 3 unset\n"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_standard_input_is_empty_and_there_is_no_terminal(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        await here.run("cat; tty; (: < /dev/tty) 2> /dev/null || echo none")
        assert here.log() == "not a tty\nnone\n"


@pytest.mark.slow
@pytest.mark.parametrize("containment", CONTAINMENTS)
def test_l22_our_own_terminal_is_not_the_jobs(tmp_path: Path, containment: str) -> None:
    with user_terminal() as user:
        words = ["setsid", "-c", sys.executable, "-m", terminal_program.__name__, str(tmp_path / "run"), containment]
        done = subprocess.run(words, stdin=user.fd, stdout=subprocess.PIPE, check=True, timeout=HANG_TIMEOUT)
    assert done.stdout == b"none\nnot a tty\nread 1\n"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_job_inherits_no_descriptor(tmp_path: Path, containment: str) -> None:
    ours = [os.dup(0) for _ in range(5)]
    for fd in ours:
        os.set_inheritable(fd, True)
    async with local(tmp_path, containment=containment) as here:
        await here.run("for i in $(seq 0 100); do test -e /proc/$$/fd/$i && echo $i; done; true")
        assert here.log() == "0\n1\n2\n"
        for fd in ours:
            os.close(fd)


# ---------------------------------------------------------------------- ending


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_job_that_runs_for_too_long_is_ended(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("sleep 1000 & sleep 1000", timeout=0.01)
        assert why(event) == (JobStatus.KILLED, FailureKind.TIMEOUT, "ran for longer than its timeout of 0.01 s")
        assert event.usage is not None
        assert event.usage.signal == signal.SIGTERM


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_job_that_ignores_sigterm_is_ended_by_sigkill(tmp_path: Path, fifo: Path, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment, term_timeout=0.05) as here:
        cmd = f"trap '' TERM; echo > {fifo}; while :; do sleep 1000; done"
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        await hear(fifo)
        await here.backend.kill("job", by="SIGINT")
        event = await here.session.completed(handles["job"])
        assert why(event) == (JobStatus.KILLED, FailureKind.CANCELLED, "killed by SIGINT")
        assert event.usage is not None
        assert event.usage.signal == signal.SIGKILL


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_forced_kill_skips_sigterm(tmp_path: Path, fifo: Path, containment: str) -> None:
    async with local(
        tmp_path / "run", containment=containment, term_timeout=0
    ) as here:  # no limit: it would wait for ever
        cmd = f"trap '' TERM; echo > {fifo}; while :; do sleep 1000; done"
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        await hear(fifo)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.backend.kill, "job")
            await trio.testing.wait_all_tasks_blocked()
            assert here.backend.statistics().live == 1
            await here.backend.kill("job", force=True)
        assert why(await here.session.completed(handles["job"]))[1] is FailureKind.CANCELLED


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_stopped_job_is_ended(tmp_path: Path, fifo: Path, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        cmd = f"trap 'exit 7' TERM; echo $$ > {fifo}; kill -STOP $$; while :; do sleep 0.01; done"
        handles = await here.session.submit([JobSpec(name="job", cmd=cmd)])
        pid = int(await hear(fifo))
        while state_of(pid) != "T":
            await trio.lowlevel.checkpoint()
        await here.backend.kill("job")
        event = await here.session.completed(handles["job"])
        assert event.status is JobStatus.KILLED
        assert event.usage is not None
        assert event.usage.exit_code == 7  # it was continued, and could act on SIGTERM


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_job_that_had_ended_keeps_its_true_status(tmp_path: Path, fifo: Path, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        jobs = [
            JobSpec(name="job", cmd=f"echo $$ > {fifo}; cat {fifo}", pass_patterns=["^TEST PASSED"]),
            JobSpec(name="other", cmd=["sleep", "1000"]),
        ]
        handles = await here.session.submit(jobs)
        pid = int(await hear(fifo))
        fifo.write_text("TEST PASSED\n")
        wait_ended(pid)
        await here.backend.kill_many(list(handles.values()))
        assert (await here.session.completed(handles["job"])).status is JobStatus.PASSED
        assert (await here.session.completed(handles["other"])).status is JobStatus.KILLED


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_time_limit_is_not_for_the_judging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    over = threading.Event()
    noted: list[bool] = []
    has_ended = LocalDriver.has_ended

    def note(self: LocalDriver, job: LiveJob) -> bool:
        wait_ended(job.data.tree.pid)  # it ends just before the limit
        ended = has_ended(self, job)
        noted.append(ended)
        over.set()
        return ended

    def wait_and_judge(path: str, patterns: LogPatterns, *args: Any, **options: Any) -> Judgement:
        over.wait()
        return judge_log(path, patterns, *args, **options)

    monkeypatch.setattr(LocalDriver, "has_ended", note)
    monkeypatch.setattr(verdicts, "judge_log", wait_and_judge)
    async with local(tmp_path, containment=containment) as here:
        event = await here.run("echo TEST PASSED", pass_patterns=["TEST PASSED"], timeout=0.01)
        if containment == "group":  # with a tree only the shim knows the end
            assert noted == [True]
        assert (event.status, event.reason) == (JobStatus.PASSED, None)


async def test_a_hook_that_hangs_after_the_end_is_not_waited_for_beyond_a_kill(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hang(_status: JobStatus) -> None:
        entered.set()
        leave.wait()

    async with local(tmp_path, kill_timeout=0.05) as here:
        handles = await here.session.submit([JobSpec(name="job", cmd="true", post_finish=hang)])
        await trio.to_thread.run_sync(entered.wait, limiter=trio.CapacityLimiter(1))
        await here.backend.kill("job")
        status, kind, message = why(await here.session.completed(handles["job"]))
        leave.set()
        assert (status, kind) == (JobStatus.FAILED, FailureKind.HOOK)
        assert message.startswith("post_finish did not return within 0.05 s")


# ---------------------------------------------------------------------- launching


async def test_the_starts_of_one_submission_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = threading.Barrier(2)

    def spawn_with_another(*args: Any, **rest: Any) -> Child:
        two.wait(HANG_TIMEOUT)
        return spawn(*args, **rest)

    monkeypatch.setattr(group_starter, "spawn", spawn_with_another)
    monkeypatch.setattr(batched_calls, "STALLED", math.inf)  # otherwise another thread takes over from the first one
    async with local(tmp_path) as here:
        handles = await here.session.submit([JobSpec(name=name, cmd="true") for name in "ab"])
        for handle in handles.values():
            assert (await here.session.completed(handle)).status is JobStatus.PASSED


# ---------------------------------------------------------------------- hooks


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_hooks_run_once_in_a_thread(tmp_path: Path, containment: str) -> None:
    calls: list[tuple[object, int]] = []
    async with local(tmp_path, containment=containment) as here:
        await here.run(
            pre_launch=lambda: calls.append(("before", threading.get_ident())),
            post_finish=lambda status: calls.append((status, threading.get_ident())),
        )
    assert [call for call, _ in calls] == ["before", JobStatus.PASSED]
    assert threading.get_ident() not in [thread for _, thread in calls]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_a_pre_launch_that_raises_is_a_launch_error(tmp_path: Path, error: BaseException) -> None:
    def hook() -> None:
        raise error

    async with local(tmp_path) as here:
        event = await here.run("echo started", pre_launch=hook)
        assert why(event) == (JobStatus.KILLED, FailureKind.LAUNCH_ERROR, f"pre_launch raised {error!r}")
        assert not (tmp_path / "job" / "job.log").exists()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_a_post_finish_that_raises_fails_a_job_that_had_passed(tmp_path: Path, error: BaseException) -> None:
    def hook(_status: JobStatus) -> None:
        raise error

    async with local(tmp_path) as here:
        event = await here.run("true", post_finish=hook)
        assert why(event) == (JobStatus.FAILED, FailureKind.HOOK, f"post_finish raised {error!r}")
        event = await here.run("exit 3", post_finish=hook)
        assert why(event) == (JobStatus.FAILED, FailureKind.EXIT_CODE, "exit code 3")


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_killed_job_tells_its_hook(tmp_path: Path, containment: str) -> None:
    statuses: list[JobStatus] = []
    async with local(tmp_path, containment=containment) as here:
        await here.session.submit([JobSpec(name="job", cmd=["sleep", "1000"], post_finish=statuses.append)])
        await here.backend.kill("job")
        assert statuses == [JobStatus.KILLED]


async def test_a_job_that_is_killed_during_its_hook_is_never_started(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hook() -> None:
        entered.set()
        leave.wait()

    async with local(tmp_path) as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.submit, [JobSpec(name="job", cmd="true", pre_launch=hook)])
            await trio.to_thread.run_sync(entered.wait, limiter=trio.CapacityLimiter(1))
            nursery.start_soon(here.backend.kill, "job")
            await trio.testing.wait_all_tasks_blocked()
            leave.set()
        await here.session.history.wait_until(lambda: bool(here.session.history.completions))
        assert why(here.session.history.completion("job"))[1] is FailureKind.CANCELLED
        assert not (tmp_path / "job" / "job.log").exists()


async def test_a_job_whose_hook_hangs_is_abandoned(tmp_path: Path) -> None:
    hangs, leave = threading.Event(), threading.Event()

    def hook() -> None:
        hangs.set()
        leave.wait()

    async with local(tmp_path) as here:
        here.driver.kill_deadline = 0.01
        async with trio.open_nursery() as nursery:
            spec = JobSpec(name="job", cmd="true", pre_launch=hook)
            nursery.start_soon(here.session.submit, [spec])
            await trio.to_thread.run_sync(hangs.wait)
            await here.backend.kill("job")
            await here.session.history.wait_until(lambda: bool(here.session.history.completions))
            assert why(here.session.history.completion("job"))[1] is FailureKind.LOST
            leave.set()
    assert not (tmp_path / "job" / "job.log").exists()


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_hook_that_takes_long_holds_up_no_other_job_of_a_run(tmp_path: Path, containment: str) -> None:
    leave = threading.Event()

    def hook() -> None:
        assert leave.wait(10)

    jobs = [
        JobSpec(name="hooked", cmd="true", pre_launch=hook),
        JobSpec(name="a", cmd="true"),
        JobSpec(name="b", cmd="true", dependencies=["a"]),
        JobSpec(name="c", cmd="true", dependencies=["b"], post_finish=lambda _status: leave.set()),
    ]
    results = await run_jobs(jobs, LocalBackend(2, tmp_path, containment=containment))
    assert [result.status for result in results] == [JobStatus.PASSED] * 4


async def test_a_hook_that_takes_long_holds_up_no_other_job(tmp_path: Path) -> None:
    leave = threading.Event()
    async with local(tmp_path) as here:
        async with trio.open_nursery() as nursery:
            slow = [JobSpec(name=f"slow{n}", cmd="true", pre_launch=leave.wait) for n in range(20)]
            nursery.start_soon(here.session.submit, slow)
            await trio.testing.wait_all_tasks_blocked()
            assert (await here.run()).status is JobStatus.PASSED
            leave.set()


# ---------------------------------------------------------------------- the constructor


def test_by_default_as_many_jobs_run_as_there_are_cpus_for_us() -> None:
    assert LocalBackend().max_parallelism == len(os.sched_getaffinity(0))
    assert LocalBackend(max_parallelism=3).max_parallelism == 3
    assert LocalBackend(max_parallelism=0).max_parallelism is None
    assert LocalBackend().max_output_dirs == 5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"containment": "none"}, "containment is 'none'; expected 'tree' or 'group'"),
        ({"max_parallelism": -1}, "max_parallelism is -1"),
        ({"term_timeout": -1}, "term_timeout is -1"),
        ({"kill_timeout": "2"}, "kill_timeout is '2'"),
        ({"max_output_dirs": 1.5}, "max_output_dirs is 1.5"),
    ],
)
def test_an_argument_that_cannot_be_is_an_error(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LocalBackend(**options)


async def test_too_little_memory_for_the_guards_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Resources, "here", lambda: Resources(memory=1 << 20))
    async with local(tmp_path / "a", max_parallelism=10):
        assert caplog.text == ""
    async with local(tmp_path / "b", max_parallelism=10, containment="tree"):
        assert "10 jobs at once need about 9 MiB of memory for their shims, and 1 are available" in caplog.text


async def test_too_few_descriptors_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with local(tmp_path, max_parallelism=10_000_000):
        assert "ulimit -n 10000064" in caplog.text


async def test_descriptors_and_processes_do_not_leak(tmp_path: Path) -> None:
    async with local(tmp_path) as here:

        async def some(names: Sequence[str]) -> None:
            handles = await here.session.submit([JobSpec(name=name, cmd="true") for name in names])
            for handle in handles.values():
                await here.session.completed(handle)

        await some("ab")
        before = len(os.listdir("/proc/self/fd"))
        await some([str(number) for number in range(50)])
        assert len(os.listdir("/proc/self/fd")) == before


async def test_the_helper_finds_processes(tmp_path: Path, fifo: Path) -> None:
    token = str(tmp_path)
    assert not alive(token)
    async with local(tmp_path / "run") as here:
        cmd = f"echo > {fifo}; exec sleep 1000"
        await here.session.submit([JobSpec(name="job", cmd=cmd, exports={TOKEN: token})])
        await hear(fifo)
        assert alive(token)
        await here.backend.kill("job")
        assert not alive(token)


# ---------------------------------------------------------------------- interactive jobs


async def test_an_interactive_job_is_on_the_users_terminal(tmp_path: Path) -> None:
    with user_terminal() as user:
        async with local(tmp_path, terminal=(user.fd, user.fd)) as here:
            before = user.settings
            cmd = "echo who; read name; echo hello $name; exit 3"
            handles = await here.session.submit([JobSpec(name="job", cmd=cmd, interactive=True)])
            await user.see(b"who\r\n")
            assert user.raw
            assert await here.session.submit([JobSpec(name="other", cmd="true")]) == {}  # it runs alone
            user.type(b"you\r")
            event = await here.session.completed(handles["job"])
            assert why(event)[1:] == (FailureKind.EXIT_CODE, "exit code 3")
            assert event.reason is not None
            assert event.reason.context == ("who", "you", "hello you")
            assert user.settings == before
            event = await here.run("echo TEST PASSED", interactive=True, name="next", pass_patterns=["PASSED$"])
            assert event.status is JobStatus.PASSED


async def test_an_interactive_job_that_is_killed_gives_the_terminal_back(tmp_path: Path) -> None:
    with user_terminal() as user:
        async with local(tmp_path, terminal=(user.fd, user.fd)) as here:
            before = user.settings
            descriptors = len(os.listdir("/proc/self/fd"))
            spec = JobSpec(name="job", cmd="echo ready; sleep 1000", interactive=True)
            handles = await here.session.submit([spec])
            await user.see(b"ready")
            await here.backend.kill("job")
            assert why(await here.session.completed(handles["job"]))[1] is FailureKind.CANCELLED
            await trio.testing.wait_all_tasks_blocked()
            assert user.settings == before
            assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_an_interactive_job_is_killed_and_the_terminal_given_back_when_its_run_is_cancelled(
    tmp_path: Path,
) -> None:
    with user_terminal() as user:
        before = user.settings
        with trio.CancelScope() as scope:
            async with local(tmp_path, terminal=(user.fd, user.fd)) as here:
                spec = JobSpec(
                    name="job", cmd="echo ready; sleep 1000", interactive=True, exports={TOKEN: str(tmp_path)}
                )
                await here.session.submit([spec])
                await user.see(b"ready")
                scope.cancel()
                await trio.sleep_forever()
        assert user.settings == before
        assert not alive(str(tmp_path))


async def test_an_interactive_job_that_cannot_start_is_a_launch_error(tmp_path: Path) -> None:
    with user_terminal() as user:
        async with local(tmp_path, terminal=(user.fd, user.fd)) as here:
            descriptors = len(os.listdir("/proc/self/fd"))
            event = await here.run(["/no/such/program"], interactive=True)
            assert why(event)[1] is FailureKind.LAUNCH_ERROR
            assert not user.raw
            assert len(os.listdir("/proc/self/fd")) == descriptors
