"""The program of a shim, which runs one job at a time. See the docstring of this package."""

from __future__ import annotations

import errno
import os
import resource
import select

from runtime import rooted
from runtime.helper.wire import EndOfStream, Frames, decode, encode, try_send
from runtime.process.guard.contained_job import ContainedJob
from runtime.process.guard.job_files import make_files, short_log, start
from runtime.process.guard.messages import (
    ENDED,
    FORCE,
    JOB,
    MAX_PART,
    MAX_TEXT,
    NOT_MADE,
    NOT_STARTED,
    PAUSE,
    STARTED,
    STOP,
    STUCK,
    UNPAUSE,
    truncate,
)
from runtime.process.guard.system_calls import TICK, AwakeClock, SystemCalls, read_signals
from runtime.process.identity import identity_variables, render_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Any, Final

    from runtime.process.guard.messages import WirePath
    from runtime.process.identity import Identity
else:
    # The Python modules around these take 10 ms to import.
    import _signal as signal

_INFINITE: Final = float("inf")


class ShimProcess:
    """Runs jobs, one at a time, and leaves no process of a job behind."""

    def __init__(
        self,
        system: SystemCalls,
        supervisor: int,
        number: int,
        commands: socket.socket,
        answers: int,
        environment: dict[bytes, bytes],
        dump: bytes,
    ) -> None:
        self.supervisor = supervisor
        """The supervisor's pid."""
        self.number = number
        self.environment = environment
        self.dump = dump
        self.answers = answers
        self.roots: list[int] = system.roots
        self.frames: Frames = Frames(commands)
        self.signals: int = system.signal_descriptor(signal.SIGCHLD, signal.SIGTERM)
        self.commands: int = commands.fileno()
        self.poll: select.poll = select.poll()
        self.poll.register(self.signals, select.POLLIN)
        self.poll.register(self.commands, select.POLLIN)
        self.shutting_down: bool = False
        self.next: tuple[Any, ...] | None = None
        """The arguments of a `JOB` that has not begun."""
        self.job: ContainedJob | None = None
        self.paused: int = 0
        """The number of the job that is to be paused, which may not have begun; 0 for none."""
        self.own_peak: int = 0
        """The largest resident set of this process when that was last looked up, KiB."""
        self.clock: AwakeClock = AwakeClock()

    def serve(self) -> None:
        """Run jobs until the runtime or the supervisor ends."""
        while not self.shutting_down:
            if self.next is None:
                self.wait(None)
            else:
                command, self.next = self.next, None
                self.run(*command)

    def report(self, kind: str, number: int, *rest: object) -> None:
        """Send an answer about a job. While this shuts down, the answer is dropped if the socket is full."""
        answer = encode(kind, self.number, number, *rest)
        try:
            # A full socket means that the runtime does not read. A blocking `write` would miss its death, that of the
            # supervisor, and a command to kill; so this waits for all of them together.
            while not try_send(self.answers, answer) and not self.shutting_down:
                self.poll.register(self.answers, select.POLLOUT)
                self.wait(None)
                self.poll.unregister(self.answers)
        except OSError:
            self.shut_down("the runtime has gone")

    def shut_down(self, why: str) -> None:
        """Kill the job, and exit when nothing of it is left. Idempotent."""
        if self.shutting_down:
            return
        self.shutting_down = True
        if self.job is not None:
            self.job.cut_off_by(why)

    def wait(self, seconds: float | None) -> None:
        """Wait for signals and commands, and handle them. May return earlier than after `seconds`, without any."""
        if seconds is None:
            self.clock.sleep(_INFINITE)  # no step has a deadline, so no standstill matters until the next reading
            ready = self.poll.poll(None)
        else:
            seconds = min(max(0.0, seconds), TICK)  # only the part of a standstill that exceeds the sleep is noticed
            self.clock.sleep(seconds)
            ready = self.poll.poll(seconds * 1000)
            self.clock()
        for fd, _ in ready:
            if fd == self.signals:
                for number, sender in read_signals(self.signals):
                    # Of two pending SIGTERM only the first is kept: that of the supervisor may be lost because another
                    # process had sent one. The supervisor repeats its own; if it has died, it is not the parent.
                    if number == signal.SIGTERM and (sender == self.supervisor or os.getppid() != self.supervisor):
                        self.shut_down("the supervisor of its shim was killed")
            elif fd == self.commands:
                self.handle_commands()

    def handle_commands(self) -> None:
        """Receive commands of the runtime, and carry them out."""
        try:
            commands = self.frames.receive()
        except EndOfStream:
            self.poll.unregister(self.commands)
            self.shut_down("the runtime has gone")
            return
        for kind, number, *rest in map(decode, commands):
            job = self.job
            if kind == JOB:
                # Not run here: this may be called while an answer about the previous job waits for the socket.
                self.next = (number, *rest)
            elif kind == PAUSE:
                # Also if the job has not begun: `run` pauses it then.
                self.paused = number
                if job is not None and job.number == number:
                    job.pause()
            elif kind == UNPAUSE:
                self.paused = 0
                if job is not None and job.number == number:
                    job.unpause()
            elif job is None or job.number != number:
                pass  # it ended while the command was on its way
            elif kind == FORCE:
                job.kill()
            elif kind == STOP:
                job.stop(*rest)

    # ------------------------------------------------------------------ one job

    def run(
        self,
        number: int,
        leftover_timeout: float,
        argv: list[bytes],
        identity: Identity | None,
        exports: dict[bytes, bytes],
        cwd: bytes,
        cwd_path: WirePath | None,
        kill_timeout: float | None,
        log: WirePath | None,
        to_make: tuple[WirePath, bytes, bytes, bytes | None] | None,
        cgroup: tuple[bytes, bytes] | None,
    ) -> None:
        """Run a job until nothing of it is left. Arguments as for `JOB`."""
        directory: int | None = None
        inherited: list[int] = []
        if to_make is None:
            output, *inherited = self.frames.fds
            self.frames.fds.clear()
        else:
            (root, path), name, environment_file, dump = to_make
            try:
                dump = self.dump + (b"" if identity is None else render_identity(identity)) if dump is None else dump
                directory, output = make_files(self.roots[root], path, name, environment_file, dump)
            except OSError:
                self.report(NOT_MADE, number)
                return
        try:
            if to_make is not None and directory is not None and cwd_path == to_make[0]:
                os.fchdir(directory)
            else:
                self.change_directory(cwd, cwd_path)
            told = {} if identity is None else identity_variables(identity)
            root = start(argv, {**self.environment, b"PWD": cwd, **told, **exports}, output, inherited, cgroup)
        except OSError as exc:
            self.report(NOT_STARTED, number, exc.errno, truncate(exc.filename or b"", MAX_PART), exc.strerror)
            return
        except MemoryError:
            self.report(NOT_STARTED, number, errno.ENOMEM, b"", "")
            return
        except Exception as exc:  # noqa: BLE001 - such as an argument with a NUL byte: it fails this job alone
            why = str(exc)
            self.report(NOT_STARTED, number, None, b"", why if len(why) <= MAX_TEXT else why[: MAX_TEXT - 1] + "…")
            return
        finally:
            for fd in (output, *inherited) if directory is None else (output, directory):
                os.close(fd)
        job = self.job = ContainedJob(
            number,
            root,
            kill_timeout,
            leftover_timeout,
            self.roots,
            self.clock,
            lambda pids: self.report(STUCK, number, pids),
        )
        self.report(STARTED, number, root)
        if self.paused == number:
            job.pause()
        while job.reap():
            self.wait(job.take_due_steps())
        self.job = None
        text = None if log is None else short_log(self.roots[log[0]], log[1])
        how = (job.status, job.cpu, self.peak_of(job), job.stopped, job.cut_off, self.shutting_down, text)
        self.report(ENDED, number, *how, job.left_behind)
        os.chdir("/")  # an idle shim must not keep a file system from being unmounted

    def peak_of(self, job: ContainedJob) -> int | None:
        """Return the largest resident set of a job that has ended, in bytes; `None` if it is not known."""
        # A child starts as a copy of this process, whose size counts in its `ru_maxrss`: only a larger one is its own.
        if job.peak > self.own_peak:
            self.own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return job.peak * 1024 if job.peak > self.own_peak else None

    def change_directory(self, path: bytes, wire_path: WirePath | None) -> None:
        """Change to the directory in which a job is to run."""
        if wire_path is None:
            os.chdir(path)
            return
        fd = rooted.open_directory(self.roots[wire_path[0]], wire_path[1])
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)
