"""The program of the supervisor, which forks shims. See the docstring of this package."""

from __future__ import annotations

import gc
import os
import select
import time

from runtime.helper.wire import EndOfStream, Frames, decode, encode, pack, try_send
from runtime.process.guard.messages import (
    DEAD,
    FORK,
    FORKED,
    HELLO,
    MAX_PIDS,
    NOT_FORKED,
    PING,
    PONG,
    SETUP,
    STOOD_STILL,
)
from runtime.process.guard.procfs import children
from runtime.process.guard.shim_process import ShimProcess
from runtime.process.guard.signals import FIRST_DELAY, KillRounds
from runtime.process.guard.system_calls import ALL_SIGNALS, TICK, AwakeClock, SystemCalls, read_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from typing import Any
else:
    # The Python modules around these take 10 ms to import.
    import _signal as signal
    import _socket as socket


class SupervisorProcess:
    """Forks shims, and kills the processes that a killed shim leaves behind.

    Args:
        system: for system calls.
        control: the socket on which commands arrive.
        answers: the socket for answers.
        runtime: a pidfd of the runtime.
    """

    def __init__(self, system: SystemCalls, control: socket.socket, answers: int, runtime: int) -> None:
        self.system = system
        self.pid: int = os.getpid()
        self.control = control
        self.answers = answers
        self.runtime = runtime
        self.frames: Frames = Frames(control)
        self.signals: int = system.signal_descriptor(signal.SIGCHLD)
        self.poll: select.poll = select.poll()
        for fd in (self.signals, control.fileno(), runtime):
            self.poll.register(fd, select.POLLIN)
        self.writable: select.poll = select.poll()
        """Ready when answers can be sent, or the runtime has ended."""
        for fd, events in ((answers, select.POLLOUT), (control.fileno(), select.POLLRDHUP), (runtime, select.POLLIN)):
            self.writable.register(fd, events)
        self.environment: dict[bytes, bytes] = {}
        self.dump: bytes = b""
        self.kill_timeout: float = 0.0
        self.shims: dict[int, int] = {}
        """The numbers of shims by pid."""
        self.dead: list[tuple[int, int, float]] = []
        """Shims that have exited and were not reported: number, wait status, when to report them in any case."""
        self.sweeping: bool = False
        """Whether processes may be left that a shim has left behind."""
        self.rounds: KillRounds = KillRounds()
        self.clock: AwakeClock = AwakeClock()
        self.shutting_down: bool = False

    def serve(self) -> None:
        """Fork shims on command until the runtime has ended; then end them, and return when no process is left."""
        self.control.sendall(pack(HELLO))
        while not self.shutting_down:
            self.wait()
        self.sweeping = True
        while self.reap():
            # Again in each round: a SIGTERM of another process may have been pending, and this one lost.
            for pid in self.shims:
                os.kill(pid, signal.SIGTERM)
            self.sweep()
            self.wait()

    def report(self, kind: str, *rest: object) -> None:
        """Send an answer. While this shuts down, the answer is dropped if the socket is full."""
        answer = encode(kind, *rest)
        try:
            while not try_send(self.answers, answer) and not self.shutting_down:
                if self.answers not in [fd for fd, _ in self.writable.poll()]:
                    self.shut_down()
        except OSError:
            self.shut_down()

    def shut_down(self) -> None:
        """End when no process is left. Idempotent."""
        if not self.shutting_down:
            self.shutting_down = True
            self.poll.unregister(self.control)
            self.poll.unregister(self.runtime)

    def wait(self) -> None:
        """Wait for signals and commands, and handle them."""
        seconds = TICK
        if self.sweeping:
            seconds = self.rounds.delay
        before = self.clock.stood_still
        self.clock.sleep(seconds)
        ready = self.poll.poll(seconds * 1000)
        self.clock()
        if self.clock.stood_still > before:
            now = time.monotonic()
            self.report(STOOD_STILL, now - (self.clock.stood_still - before), now)
        for fd, _ in ready:
            if fd == self.signals:
                read_signals(self.signals)
            elif fd == self.runtime:
                self.shut_down()
            elif not self.shutting_down:
                try:
                    commands = self.frames.receive()
                except EndOfStream:
                    self.shut_down()
                else:
                    for command in commands:
                        self.handle_command(*decode(command))
        if not self.shutting_down:
            self.reap()
            if self.sweeping:
                self.sweep()

    def handle_command(self, kind: str, *rest: Any) -> None:
        """Carry out a command of the runtime."""
        if kind == SETUP:
            self.environment, self.dump, self.kill_timeout = rest
        elif kind == FORK:
            self.fork(rest[0], self.frames.fds.pop(0))
        elif kind == PING:
            self.report(PONG, *rest)

    def fork(self, number: int, fd: int) -> None:
        """Fork a shim that takes its commands from the socket `fd`."""
        try:
            pid = os.fork()
        except OSError as exc:
            os.close(fd)
            self.report(NOT_FORKED, number, exc.errno)
            return
        if pid == 0:
            try:
                self.run_shim(number, fd)
            finally:
                # A failed child must not continue in the loop of the supervisor.
                os._exit(1)
        os.close(fd)
        self.shims[pid] = number
        self.report(FORKED, number, pid)

    def run_shim(self, number: int, fd: int) -> None:
        """Turn this forked process into a shim. Does not return."""
        self.system.configure("job-shim", signal.SIGTERM)
        if os.getppid() != self.pid:
            os._exit(0)  # the supervisor died before the death signal was set, so that none will come
        self.control.close()
        os.close(self.runtime)
        os.close(self.signals)
        commands = socket.socket(fileno=fd)
        ShimProcess(self.system, self.pid, number, commands, self.answers, self.environment, self.dump).serve()
        os._exit(0)

    def reap(self) -> bool:
        """Reap the children that have exited; return whether one is left."""
        while True:
            try:
                pid, status, _ = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if os.WIFSTOPPED(status):
                if pid in self.shims:  # only a job stops a shim; there is no other reason
                    os.kill(pid, signal.SIGCONT)
            elif pid in self.shims:
                # Reported by `sweep` when the processes that it left are dead.
                self.dead.append((self.shims.pop(pid), status, time.monotonic() + self.kill_timeout))
                self.sweeping = True
                self.rounds.delay = FIRST_DELAY

    def sweep(self) -> None:
        """Kill the processes that dead shims have left, and report the shims of which none is left."""
        orphans = [pid for pid in children() if pid not in self.shims]
        self.rounds.kill(orphans)
        now = time.monotonic()
        for shim in list(self.dead):
            number, status, until = shim
            if not orphans or until <= now:
                self.dead.remove(shim)
                self.report(DEAD, number, status, orphans[:MAX_PIDS])
        self.sweeping = bool(orphans) or self.shutting_down


def main(*descriptors: str) -> None:
    """Run the supervisor.

    Args:
        descriptors: the control socket, the socket for answers, a pidfd of the runtime, and the roots.
    """
    control, answers, runtime, *roots = map(int, descriptors)
    for fd in (control, answers, runtime, *roots):
        os.set_inheritable(fd, False)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    system = SystemCalls(roots)
    system.default_action(signal.SIGCHLD)  # ignored, the kernel would reap all children itself
    system.configure("job-supervisor", None)
    gc.disable()
    gc.freeze()  # shims then share this memory: no collection writes to it
    SupervisorProcess(system, socket.socket(fileno=control), answers, runtime).serve()
    os._exit(0)  # faster than a regular exit, for which the runtime waits
