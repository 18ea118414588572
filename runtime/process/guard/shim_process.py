"""The program of a shim, which runs one job at a time. See the docstring of this package."""

from __future__ import annotations

import errno
import os
import resource
import select
import sys
import time

from runtime import rooted
from runtime.helper.wire import EndOfStream, Frames, frame, try_write
from runtime.process.guard.launch import make_files, short_log, start
from runtime.process.guard.messages import (
    ENDED,
    FORCE,
    JOB,
    MAX_PART,
    MAX_PIDS,
    MAX_TEXT,
    NOT_MADE,
    NOT_STARTED,
    PAUSE,
    STARTED,
    STUCK,
    UNPAUSE,
    truncate,
)
from runtime.process.guard.procfs import (
    EXITED,
    children,
    describe,
    has_running_child,
    ignores,
    read_entries,
    with_descendants,
)
from runtime.process.guard.signals import FIRST_DELAY, LAST_DELAY, STOP_PASSES, kill_children, signal_tree
from runtime.process.guard.system import STANDSTILL, TICK, System, read_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Sequence
    from typing import Any, Final

    from runtime.process.guard.messages import WirePath
else:
    # The Python modules around these take 10 ms to import.
    import _signal as signal

_PEEK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Options of `waitid`: report an exited child, without blocking and without reaping it."""


class Job:
    """The state of the job that a shim runs."""

    RUNNING, LEFT, SOFT, TERM, KILL = range(5)
    """`LEFT`: the root has exited by itself, and other processes run. The root is not reaped meanwhile, so that its
    group can still be signalled."""

    status = 0
    cpu = 0.0
    peak = 0
    """The largest resident set, KiB."""
    phase = RUNNING
    stopped = False
    """Whether a stop was requested while the root was running."""
    cut_off: str | None = None
    """Why it was killed without a request to stop."""
    stop: tuple[Any, ...] = ()
    """The arguments of `STOP`, without the job's number."""
    paused_at: float | None = None
    """When it was paused, because the runtime was stopped; no phase ends until it is continued."""
    deadline: float | None = None
    """When the next phase begins or, in `KILL`, when the processes that are left are reported as stuck."""
    delay = FIRST_DELAY
    rounds = 0
    """Rounds of SIGKILL without effect: there were as many processes as in an earlier round."""
    fewest = sys.maxsize
    """The smallest number of its processes in a round of SIGKILL so far."""

    left_behind: Sequence[str] = ()
    """Processes that outlived the root and the leftover timeout: names and pids."""

    def __init__(self, number: int, root: int, kill_timeout: float | None, leftover_timeout: float) -> None:
        self.number = number
        self.leftover_timeout = leftover_timeout
        """Seconds that processes which outlive the root have to exit by themselves; 0 kills them at once."""
        self.root = root
        """The pid of the root process; 0 after it was reaped."""
        self.kill_timeout = kill_timeout

    def root_has_exited(self) -> bool:
        """Whether the root has exited, whether or not it was reaped."""
        return not self.root or os.waitid(os.P_PID, self.root, _PEEK) is not None

    def signal_group(self, number: int) -> None:
        """Signal the process group of the root, if the root is not reaped: so long its pid cannot be reused."""
        if self.root:
            try:
                # Fails if no process is left in the group, or none that may be signalled.
                os.killpg(self.root, number)
            except OSError:
                pass

    def enter_phase(self, phase: int, seconds: float | None) -> None:
        """Begin a phase that lasts for at most `seconds`; `None` for no limit."""
        self.phase = phase
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def postpone(self, seconds: float) -> None:
        """Extend the phase by the time in which the job was not running."""
        if self.deadline is not None:
            self.deadline += seconds


class ShimProcess:
    """Runs jobs, one at a time, and leaves no process of a job behind."""

    def __init__(
        self,
        system: System,
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
        self.roots = system.roots
        self.frames = Frames(commands)
        self.signals = system.signal_descriptor(signal.SIGCHLD, signal.SIGTERM)
        self.commands = commands.fileno()
        self.poll = select.poll()
        self.poll.register(self.signals, select.POLLIN)
        self.poll.register(self.commands, select.POLLIN)
        self.shutting_down = False
        self.next: tuple[Any, ...] | None = None
        """The arguments of a `JOB` that has not begun."""
        self.job: Job | None = None
        self.paused = 0
        """The number of the job that is to be paused, which may not have begun; 0 for none."""
        self.own_peak = 0

    def serve(self) -> None:
        """Run jobs until the runtime or the supervisor ends."""
        while not self.shutting_down:
            if self.next is None:
                self.wait(None)
            else:
                command, self.next = self.next, None
                self.run(*command)

    def report(self, kind: str, number: int, *rest: Any) -> None:
        """Send an answer about a job. While this shuts down, the answer is dropped if the pipe is full."""
        answer = frame(kind, self.number, number, *rest)
        try:
            # A full pipe means that the runtime does not read. A blocking write would miss its death, the supervisor's,
            # and a command to kill; so this waits for all of them together.
            while not try_write(self.answers, answer) and not self.shutting_down:
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
        job = self.job
        if job is not None:
            if not job.root_has_exited():
                # If the root has exited, it ended by itself, and its status is the result.
                job.cut_off = why
            self.begin_kill(job)

    def wait(self, seconds: float | None) -> None:
        """Wait for signals and commands, and handle them. May return earlier than after `seconds`, without any."""
        if seconds is not None:
            seconds = min(seconds, TICK)  # only the part of a standstill that exceeds the wait is noticed
        begun = time.monotonic()
        ready = self.poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        if seconds is not None and self.job is not None:
            overrun = time.monotonic() - begun - seconds
            if overrun > STANDSTILL:
                self.job.postpone(overrun)
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
        for kind, number, *rest in commands:
            job = self.job
            if kind == JOB:
                # Not run here: this may be called while an answer about the previous job waits for the pipe.
                self.next = (number, *rest)
            elif kind == PAUSE:
                # Also if the job has not begun: `run` pauses it then.
                self.paused = number
                if job is not None and job.number == number:
                    self.pause(job)
            elif kind == UNPAUSE:
                self.paused = 0
                if job is not None and job.number == number:
                    self.unpause(job)
            elif job is None or job.number != number:
                pass  # it ended while the command was on its way
            elif kind == FORCE:
                self.begin_kill(job)
            elif job.phase == Job.RUNNING and not job.root_has_exited():
                job.stopped = True
                job.stop = tuple(rest)
                job.kill_timeout = rest[3]
                self.unpause(job)  # stopped processes could not act on the soft step
                self.begin_soft(job)

    # ------------------------------------------------------------------ one job

    def run(
        self,
        number: int,
        leftover_timeout: float,
        argv: list[bytes],
        exports: dict[bytes, bytes],
        cwd: bytes,
        cwd_path: WirePath | None,
        kill_timeout: float | None,
        log: WirePath | None,
        to_make: tuple[WirePath, bytes, bytes, bytes | None] | None,
    ) -> None:
        """Run a job until nothing of it is left. Arguments as for `JOB`."""
        if to_make is None:
            output = self.frames.fds.pop(0)
        else:
            (root, directory), name, environment_file, dump = to_make
            try:
                output = make_files(
                    self.roots[root], directory, name, environment_file, self.dump if dump is None else dump
                )
            except OSError:
                self.report(NOT_MADE, number)
                return
        try:
            self.change_directory(cwd, cwd_path)
            root = start(argv, {**self.environment, b"PWD": cwd, **exports}, output)
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
            os.close(output)
        job = self.job = Job(number, root, kill_timeout, leftover_timeout)
        self.own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.report(STARTED, number, root)
        if self.paused == number:
            self.pause(job)
        while self.reap(job):
            self.wait(self.take_due_steps(job))
        self.job = None
        # A child starts as a copy of this process, whose size counts in its `ru_maxrss`: only a larger one is its own.
        peak = job.peak * 1024 if job.peak > self.own_peak else None
        text = None if log is None else short_log(self.roots[log[0]], log[1])
        how = (job.status, job.cpu, peak, job.stopped, job.cut_off, self.shutting_down, text)
        self.report(ENDED, number, *how, job.left_behind)
        os.chdir("/")  # an idle shim must not keep a file system from being unmounted

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

    def take_due_steps(self, job: Job) -> float | None:
        """Take the steps that are due for `job`, which is not over; return the seconds until the next."""
        if job.phase == Job.RUNNING:
            if job.root:
                return None
            self.begin_kill(job)
        elif job.phase == Job.SOFT and not job.root and not self.may_act(job):
            self.begin_term(job)
        if job.paused_at is not None:
            return None
        now = time.monotonic()
        if job.phase == Job.KILL:
            pids = children()
            kill_children(pids, job.rounds)
            job.rounds += len(pids) >= job.fewest  # a round after which there are fewer had an effect
            job.fewest = min(job.fewest, len(pids))
        if job.deadline is not None and job.deadline <= now:
            self.advance(job)
        seconds = None if job.deadline is None else job.deadline - now
        if job.phase == Job.KILL:
            seconds = job.delay if seconds is None else min(job.delay, seconds)
            job.delay = min(2 * job.delay, LAST_DELAY)
        return seconds

    def reap(self, job: Job) -> bool:
        """Reap the children that have exited; return whether a process is left."""
        while True:
            if job.phase == Job.LEFT:
                # The root is reaped last: until then its group can be signalled, and cannot be another one.
                for pid in children():
                    if pid != job.root:
                        self.reap_one(job, pid)
                if has_running_child():
                    return True
                job.phase = Job.KILL
            try:
                found = os.waitid(os.P_ALL, 0, _PEEK)
            except ChildProcessError:
                return False
            if found is None:
                return True
            pid = found.si_pid
            if pid == job.root and job.phase == Job.RUNNING:
                if job.leftover_timeout and has_running_child():
                    job.enter_phase(Job.LEFT, job.leftover_timeout)
                    continue
                job.signal_group(signal.SIGKILL)  # before the root is reaped: after that its pid may be reused
            self.reap_one(job, pid)

    def reap_one(self, job: Job, pid: int) -> None:
        """Reap a child, if it has exited."""
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            job.cpu += usage.ru_utime + usage.ru_stime
            job.peak = max(job.peak, usage.ru_maxrss)
            if pid == job.root:
                # The pid may be reused from now on, so the group gets no more signals.
                job.status, job.root = status, 0

    def begin_soft(self, job: Job) -> None:
        """Begin the stop sequence of `job`, with the soft step if there is one."""
        soft, seconds = job.stop[:2]
        if soft is None:
            self.begin_term(job)
            return
        job.enter_phase(Job.SOFT, seconds)
        if isinstance(soft, int):
            signal_tree(children(), soft)
        else:
            try:
                made = rooted.touch(self.roots[soft[0]], soft[1])
            except OSError:
                made = False
            # A job that cannot be told gains nothing from the wait.
            if not made:
                self.begin_term(job)

    def may_act(self, job: Job) -> bool:
        """Whether a process is left that may still act on the soft step, now that the root has exited.

        A shell dies of the signal at once, while the simulator that it has started closes its files. But what a shell
        starts in the background ignores SIGINT, and is not waited for. Only the root looks for a stop file.
        """
        soft = job.stop[0]
        if not isinstance(soft, int):
            return False
        return any(not ignores(one.pid, soft) for one in with_descendants(read_entries(children())))

    def begin_term(self, job: Job) -> None:
        """Send SIGTERM to all processes of `job`."""
        job.enter_phase(Job.TERM, job.stop[2])
        # A stopped process acts on SIGTERM only after SIGCONT.
        signal_tree(children(), signal.SIGTERM, signal.SIGCONT)

    def pause(self, job: Job) -> None:
        """Send SIGSTOP to all processes of `job`, unless they are being killed."""
        if job.paused_at is None and job.phase != Job.KILL:
            job.paused_at = time.monotonic()
            job.signal_group(signal.SIGSTOP)
            # A process outside the group that is forked during one pass is found by the next.
            for _ in range(STOP_PASSES):
                signal_tree(children(), signal.SIGSTOP)

    def unpause(self, job: Job) -> None:
        """Send SIGCONT to all processes of `job`, if it is paused."""
        if job.paused_at is not None:
            job.postpone(time.monotonic() - job.paused_at)
            job.paused_at = None
            signal_tree(children(), signal.SIGCONT)

    def begin_kill(self, job: Job) -> None:
        """Kill all processes of `job`, round after round until none is left."""
        job.paused_at = None  # SIGKILL takes effect on stopped processes, too
        if job.phase != Job.KILL:
            job.enter_phase(Job.KILL, job.kill_timeout)
            # One system call for the whole group, however fast it forks. Processes outside of it become children of
            # this subreaper as their parents die, and are killed by the next rounds.
            job.signal_group(signal.SIGKILL)

    def advance(self, job: Job) -> None:
        """End the phase of `job` whose time is up, and begin the next."""
        if job.phase == Job.LEFT:
            found = with_descendants(read_entries(children()))
            job.left_behind = describe([one for one in found if one.pid != job.root and one.state not in EXITED])
            self.begin_kill(job)
        elif job.phase == Job.SOFT:
            self.begin_term(job)
        elif job.phase == Job.TERM:
            self.begin_kill(job)
        else:
            job.deadline = None
            self.report(STUCK, job.number, children()[:MAX_PIDS])
