"""`Supervisor`: runs process trees that end as a whole, whatever sessions they open, even if the runtime is killed.

This is the runtime's side of `runtime.process.guard`, whose docstring says how it works. A supervisor is started when a
backend opens. Each job is handed over to a shim (`shim`) of its `ShimPool` (`shim_pool`). One task reads the answers of
a supervisor and of all its shims from one socket. Here is the life of the process: its start, its end, and that no job
keeps it stopped.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final

import trio

from runtime.descriptors import Descriptor
from runtime.helper import program
from runtime.helper.interpreter import loader_path
from runtime.helper.process import HelperProcess, deadline_in, hang_up
from runtime.helper.wire import decode, encode
from runtime.job.shorten import shorten_to_end
from runtime.process.guard import supervisor_process
from runtime.process.guard.messages import MAX_ANSWER, PONG, SETUP, STOOD_STILL
from runtime.process.heartbeat import Heartbeat
from runtime.process.limits import usable_cpus
from runtime.process.shim_pool import ShimPool

logger: Final = logging.getLogger("runtime.process.supervisor")

_START_TIMEOUT: Final = 30.0
"""Seconds that the supervisor may take to say hello; it takes some 50 ms. Arbitrary: ten times shorter, and it fails on
a loaded machine; ten times longer, and a Python that does not start holds up the backend for five minutes."""

_MAX_STDERR: Final = 2000
"""Characters of the supervisor's standard error in a message. Arbitrary: a traceback has some 1,000."""

_CONTINUE_INTERVAL: Final = 0.5
"""Seconds between two SIGCONT to the supervisor and its shims. Arbitrary: the end of a job that has stopped them is
delayed by as much, and each costs one system call."""

_CONTINUE_SOON: Final = 0.02
"""The same while a job stops them, perhaps again and again: then they run only between a SIGCONT and the next SIGSTOP.
Arbitrary: ten times longer, and they hardly get on; ten times shorter, and this uses a CPU itself."""

_MAX_ANSWERS: Final = 300
"""Answers that are read before other tasks run. Arbitrary: about as many fit into the socket; ten times more would hold
up the event loop for tens of milliseconds, ten times fewer would cost more passes of it."""

_BUSY_JOBS: Final = 4
"""Jobs per CPU above which answers are batched: reading is delayed so that one pass of the event loop, which costs as
much as several answers, handles many. The CPUs still have enough to do."""

_BATCH_DELAY: Final = 0.0005
_MAX_BATCH_DELAY: Final = 0.01
"""Seconds of that delay for each job per CPU, as the start of a process alone takes twice as long; and at most.
Measured with jobs that do nothing: half of it costs 7 % more CPU time for each job, twice as much saves 1 %."""


class Supervisor:
    """A supervisor process and its shims. Make one with `start`. Answers are handled only while `serve` runs."""

    def __init__(self, helper: HelperProcess, answers: socket.socket, errors: int, roots: int) -> None:
        self._helper = helper
        self._answers = answers
        self._errors = errors
        self._was_stopped = False
        self.pool: Final = ShimPool(helper.channel.stream, roots)
        """Its shims."""
        self.heartbeat: Final = Heartbeat(helper.channel.stream, helper.pid)
        self.dead: bool = False
        """Whether its end was noticed."""
        self.finished: bool = False
        """Whether the supervisor and all its shims have exited."""

    def __repr__(self) -> str:
        return f"<Supervisor {self.pid}{' dead' if self.dead else ''}, {len(self.pool.shims)} shims>"

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self._helper.pid

    @classmethod
    def start(
        cls,
        environment: Mapping[str, str],
        *,
        kill_timeout: float,
        dump: bytes = b"",
        roots: Sequence[Descriptor] = (),
        note: Callable[[HelperProcess], object] = lambda _: None,
    ) -> Supervisor:
        """Start a supervisor. Blocks until it says hello.

        Args:
            environment: what all jobs inherit.
            dump: the content of the environment file of a job that adds nothing to that.
            kill_timeout: seconds that the processes left by a killed shim may take to die.
            roots: descriptors of the directories below which its jobs have files, in the order of their numbers.
            note: called with the process as soon as it is started; if it is killed then, this raises.

        Raises:
            OSError: if it cannot be started.
        """
        with ExitStack() as made:  # any of these calls may fail with EMFILE
            with ExitStack() as child_ends:
                answers, child_answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                made.callback(answers.close)
                child_ends.callback(child_answers.close)
                answers.setblocking(False)
                child_answers.setblocking(False)
                errors = os.memfd_create("supervisor")
                made.callback(os.close, errors)
                runtime = os.pidfd_open(os.getpid())
                child_ends.callback(os.close, runtime)
                fds = (child_answers.fileno(), runtime, *map(child_ends.enter_context, roots))
                words = program.words(supervisor_process)
                helper = HelperProcess(words, env=loader_path(), fds=fds, errors=errors)
                # Called in reverse order: kill and reap, then close.
                made.callback(helper.close)
                made.callback(helper.end)
            note(helper)
            supervisor = cls(helper, answers, errors, len(roots))
            variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
            supervisor._handshake(encode(SETUP, variables, dump, kill_timeout))
            made.pop_all()  # the supervisor closes them from now on
        return supervisor

    def _handshake(self, setup: bytes) -> None:
        deadline = deadline_in(_START_TIMEOUT)
        try:
            self._helper.channel.receive(deadline)
            self._helper.channel.send(setup, deadline)
        except EOFError:
            msg = f"the supervisor of processes did not start: {self._stderr_text() or 'it wrote no error message'}"
            raise OSError(msg) from None
        except OSError as exc:
            raise OSError(f"the supervisor of processes did not start: {str(exc) or type(exc).__name__}") from exc

    # ------------------------------------------------------------------ answers

    @trio.lowlevel.enable_ki_protection
    async def serve(self) -> None:
        """Handle answers until the supervisor and all shims have exited, or until it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._continue_guards)
            # Returns when the supervisor and all shims have closed the socket.
            await self._read_answers()
            self.dead = True
            nursery.cancel_scope.cancel()
        self.pool.note_end()
        self.finished = True

    async def _read_answers(self) -> None:
        cpus = usable_cpus()
        while True:
            await trio.lowlevel.wait_readable(self._answers)
            jobs_per_cpu = self.pool.busy / cpus
            if jobs_per_cpu > _BUSY_JOBS:  # batch the answers
                await trio.sleep(min(_BATCH_DELAY * jobs_per_cpu, _MAX_BATCH_DELAY))
            for _ in range(_MAX_ANSWERS):
                try:
                    data = self._answers.recv(MAX_ANSWER)
                except BlockingIOError:
                    break
                if not data:
                    return
                try:
                    kind, number, *rest = decode(data)
                except (EOFError, TypeError, ValueError):
                    # Not of a guard. What can send it could also kill them; but it costs no job anything.
                    logger.error("what is no answer of a guard was sent to the runtime, and is dropped")
                    continue
                if kind == PONG:
                    self.heartbeat.note_pong(number)
                elif kind == STOOD_STILL:
                    if self.heartbeat.note_standstill is not None:
                        self.heartbeat.note_standstill(number, *rest)
                else:
                    self.pool.note_answer(kind, number, *rest)
            self.pool.end_if_unused()

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        """Check the heartbeat until the supervisor has ended; log that."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.heartbeat.run)
            await self._helper.watch.wait_exited()
            nursery.cancel_scope.cancel()
        self.dead = True
        if not self.pool.is_retired:
            logger.error("the supervisor of processes has ended; its jobs end with it. %s", self._stderr_text())

    @trio.lowlevel.enable_ki_protection
    async def _continue_guards(self) -> None:
        """Continue the supervisor and its shims if a job has stopped them. Never returns."""
        # They are one process group, that of the supervisor, and jobs are in other groups. Its number is not reused
        # while the supervisor is not reaped, so this reaches the shims of a dead supervisor, too: a shim that is
        # stopped would not notice that death, and live on.
        while True:
            stopped = self._is_stopped()
            seconds = _CONTINUE_SOON if self.dead or stopped else _CONTINUE_INTERVAL
            if stopped:
                # A job that stops them without a pause, on a CPU of its own, leaves them no time to kill it.
                for shim in self.pool.shims:
                    if shim.tree is not None:
                        shim.tree.kill_if_due()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGCONT)
            await trio.sleep(seconds)

    def _is_stopped(self) -> bool:
        """Whether the supervisor was stopped since the last call."""
        try:
            stopped = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        except ChildProcessError:
            return False  # it has died, and other code in this process has reaped it
        if stopped and not self._was_stopped:
            self._was_stopped = True
            logger.warning("the supervisor of processes (pid %d) was stopped by a signal; it is continued", self.pid)
        return stopped

    def _stderr_text(self) -> str:
        words = os.pread(self._errors, 1 << 16, 0).decode(errors="replace").strip()
        return shorten_to_end(words, _MAX_STDERR)

    # ------------------------------------------------------------------ the end

    @trio.lowlevel.enable_ki_protection
    async def aclose(self, join_timeout: float) -> None:
        """End the supervisor, its shims and their jobs; wait for that for at most `join_timeout` s.

        Checkpoints. If the supervisor has not exited by then, it is left running, as it waits for a process to die.
        """
        hang_up(self._helper.channel.stream)
        for shim in self.pool.shims:
            shim.close()
        with trio.move_on_after(join_timeout):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._continue_guards)
                await self._helper.watch.wait_exited()
                nursery.cancel_scope.cancel()
        if self._helper.has_exited():
            self._helper.reap()
        else:
            logger.error("the supervisor of processes (pid %d) still waits for processes to die", self.pid)
            self._helper.leave()
        self._close()
        await trio.lowlevel.checkpoint()

    def destroy(self) -> None:
        """Kill a supervisor that has no shims yet, and reap it. Blocks until it has died."""
        self._helper.end()
        self._close()

    def _close(self) -> None:
        self._helper.close()
        self._answers.close()
        os.close(self._errors)
