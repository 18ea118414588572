"""A backend that runs each job in a PID namespace of its own. What a job starts ends with it, daemons included.

It is a model for backends that start processes; docs/backends.md says what a driver has to do. A namespace ends with
its init, the first process in it: the kernel then kills all others, and only after that the end of init is seen. So
nothing of a job runs when it completes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import IO, Final

import trio

from runtime import BackendBrokenError, Control, Driver, FailureKind, JobPaths, JobSpec, LiveJob, RuntimeBackend
from runtime.process import Exit, inherited_environment, is_out_of_resources, job_environment, job_variables
from runtime.verdict import verdict

UNSHARE: Final = "/usr/bin/unshare"

INIT: Final = """
read -r pid _ </proc/self/stat && echo "$pid" >&2 && read -r _ || exit
exec 3>&2 2>&1 </dev/null
"$@" 3>&-
echo $? >&3
"""
"""The init of a namespace. It sends its pid, waits for an answer (without one it ends), runs the job, and sends the
job's exit code. The code of ``unshare`` would not do: it is 1 for an init that was killed, in some versions."""

UNSUPPORTED: Final = ("dry_run", "max_log", "post_finish", "pre_launch", "renew_odir")
"""Fields that this backend does not implement. A job that sets one is not run, because it would mean something else."""


class LaunchError(Exception):
    """A job cannot be started."""


class SandboxBackend(RuntimeBackend):
    """Runs jobs, which must have an `odir`, in PID namespaces. A kill is SIGKILL; there is no gentle step before it.

    A job that a signal ended has an exit code: 128 and the number of the signal. If the runtime itself is killed by
    SIGKILL, its jobs go on.
    """

    name = "sandbox"
    default_parallelism = os.cpu_count()
    jobs_outlive_runtime = True

    def make_driver(self, control: Control) -> Driver:
        """Return a driver for the jobs of one block."""
        return SandboxDriver(control, self)

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """Return where the files of `job` are; `None` if it has no `odir`."""
        if job.odir is None:
            return None
        log = job.log_path or os.path.join(job.odir, "job.log")
        return JobPaths(*map(os.path.abspath, (job.odir, log, job.cwd or job.odir)))


class SandboxDriver(Driver):
    """Runs the jobs of one block. The `data` of a job that was launched is a pidfd of its init."""

    def __init__(self, control: Control, backend: SandboxBackend) -> None:
        super().__init__(control)
        self._backend = backend
        as_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        self._unshare = (UNSHARE, *as_user, "--pid", "--fork", "--kill-child")
        self._files = trio.CapacityLimiter(4)

    async def setup(self) -> None:
        """Make a namespace, to see whether that is allowed."""
        try:
            done = await trio.run_process([*self._unshare, "true"], capture_stderr=True, check=False)
        except OSError as exc:
            why = str(exc)
        else:
            why = done.stderr.decode(errors="replace").strip()
            if done.returncode == 0:
                return
        who = "ordinary users may create user" if "--user" in self._unshare else "root may create PID"
        raise BackendBrokenError(
            f"backend {self.control.name!r} cannot be opened: {why}; expected a system on which {who} namespaces"
        )

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Start `jobs`, and a task that watches each; returns when all have started, so that they can be refused."""
        for job in jobs:
            if self.control.begin(job):
                with ExitStack() as owned:  # what the job owns: if the launch is cancelled, it ends without waiting
                    try:
                        process, init = await self._start(job, owned)
                    except (LaunchError, OSError) as exc:
                        if is_out_of_resources(exc):
                            self.control.refuse(job, str(exc))
                        else:
                            self.control.fail(job, FailureKind.LAUNCH_ERROR, str(exc))
                    else:
                        if self.control.started(job):  # otherwise it was abandoned, and ends here
                            self.control.start_task(self._watch, job, process, init, owned.pop_all())

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Kill the init of each of `jobs`."""
        for job in jobs:
            with suppress(ProcessLookupError):  # it has ended, and its verdict is on its way
                signal.pidfd_send_signal(job.data, signal.SIGKILL)

    async def _watch(self, job: LiveJob, process: trio.Process, init: trio.socket.SocketType, owned: ExitStack) -> None:
        """Complete `job` when its namespace has ended."""
        with owned:
            await process.wait()
            code = await _line(init)
            if not code.isdigit() and job.stop is not None:  # a job that ended by itself keeps its verdict
                self.control.finish_stopped(job)
                return
            end = Exit(code=int(code)) if code.isdigit() else Exit(signal=signal.SIGKILL)
            assert job.paths is not None  # since its launch
            found = await trio.to_thread.run_sync(verdict, job.spec, end, job.paths.log, limiter=self._files)
            self.control.finish(job, found.status, found.reason)

    async def _start(self, job: LiveJob, owned: ExitStack) -> tuple[trio.Process, trio.socket.SocketType]:
        """Start `job`; return the process that waits for its init, and a socket to init. `owned` gets what has to end.

        Raises:
            LaunchError: if the job cannot be started.
            OSError: as above, or if the system is out of resources.
        """
        spec, paths = job.spec, self._backend.paths_of(job.spec)
        if paths is None:
            raise LaunchError("the job has no odir; expected a directory for its log")
        if unsupported := ", ".join(field for field in UNSUPPORTED if getattr(spec, field)):
            raise LaunchError(f"the job sets {unsupported}, which backend {self.control.name!r} does not have")
        shell = (spec.shell, "-c") if isinstance(spec.shell, str) else spec.shell
        command = (*shell, spec.cmd) if isinstance(spec.cmd, str) else spec.cmd
        variables = job_variables(job.id, job.attempt, spec.seed, spec.exports)
        env = job_environment(inherited_environment(), variables, paths.cwd)
        ours, theirs = socket.socketpair()  # not trio's, with two non-blocking ends: init reads the other one
        init = owned.enter_context(trio.socket.from_stdlib_socket(ours))
        with theirs:
            with await trio.to_thread.run_sync(
                _open_log, paths, command[0], env.get("PATH"), limiter=self._files
            ) as log:
                process = await trio.lowlevel.open_process(
                    [*self._unshare, "/bin/sh", "-c", INIT, "init", *command],
                    stdin=theirs,
                    stdout=log,
                    stderr=theirs,
                    cwd=paths.cwd,
                    env=env,
                    start_new_session=True,  # otherwise Ctrl-C in a terminal ends the job before `kill` is called
                )
        owned.callback(process.kill)  # which ends init as well (`--kill-child`)
        pid = await _line(init)
        if not pid.isdigit():
            process.kill()
            await process.wait()
            raise LaunchError(pid or "the init of its namespace did not start")
        job.data = os.pidfd_open(int(pid))  # init waits for an answer, so its pid cannot be reused yet
        owned.callback(os.close, job.data)
        job.paths = paths
        await init.send(b"\n")
        return process, init


async def _line(init: trio.socket.SocketType) -> str:
    """Return the next line from init; if init has ended, an empty one or the error of ``unshare``."""
    line = b""
    while not line.endswith(b"\n") and (byte := await init.recv(1)):
        line += byte
    return line.decode(errors="replace").strip()


def _open_log(paths: JobPaths, program: str, path: str | None) -> IO[bytes]:
    """Make the directories and the log of a job whose program exists. Blocks."""
    os.makedirs(paths.odir, exist_ok=True)
    os.makedirs(os.path.dirname(paths.log), exist_ok=True)
    where = os.path.join(paths.cwd, program) if "/" in program else program
    if shutil.which(where, path=path) is None:  # otherwise the shell would say so, in the log
        raise LaunchError(f"there is no program {program!r}")
    with suppress(FileNotFoundError):  # an earlier job may have left a link or a FIFO there
        os.unlink(paths.log)
    return open(paths.log, "xb")
