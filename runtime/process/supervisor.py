"""`Supervisors`: run process trees that end as a whole, whatever sessions they open, even if the runtime is killed.

This is the runtime's side of `runtime.process.guard`, whose docstring says how it works. A supervisor is started when a
backend opens. Each job is handed over to a shim (`runtime.process.shim`), which is forked if none is idle. One task
reads the answers of a supervisor and of all its shims from one socket.

If the supervisor is killed, its shims kill their jobs and report that; the next job gets a new supervisor. A supervisor
that is out of memory, because a limit of its own was lowered or reached, is alive but of no use: everything that it
forks inherits the limit. It is *retired*: its jobs go on, new jobs get another supervisor, and it ends with its last
job.
"""

from __future__ import annotations

import errno
import itertools
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import trio

from runtime.descriptors import Descriptor
from runtime.errors import BUSY_ERRORS
from runtime.helper import program
from runtime.helper.interpreter import loader_path
from runtime.helper.process import HelperProcess, deadline_in, hang_up
from runtime.helper.wire import decode, encode, pack
from runtime.job.shorten import shorten_to_end
from runtime.process.child import Exit
from runtime.process.guard import supervisor_process
from runtime.process.guard.messages import (
    DEAD,
    FORK,
    FORKED,
    MAX_ANSWER,
    NOT_FORKED,
    NOT_MADE,
    NOT_STARTED,
    PING,
    PONG,
    SETUP,
    STARTED,
    STOOD_STILL,
    STUCK,
)
from runtime.process.limits import usable_cpus
from runtime.process.shim import Shim, Tree
from runtime.process.threads import in_background, in_thread
from runtime.process.trees import NotMadeError, TreeEnd
from runtime.signal_names import signal_name

logger: Final = logging.getLogger("runtime.process.supervisor")

_START_TIMEOUT: Final = 30.0
"""Seconds that the supervisor may take to say hello; it takes some 50 ms. Arbitrary: ten times shorter, and it fails on
a loaded machine; ten times longer, and a Python that does not start holds up the backend for five minutes."""

_MAX_STDERR: Final = 2000
"""Characters of the supervisor's standard error in a message. Arbitrary: a traceback has some 1,000."""

_FORK_TIMEOUT: Final = 10.0
"""Seconds that the supervisor may take to fork a shim, before the backend is reported as busy. Arbitrary: ten times
shorter, and jobs are refused on a loaded machine; ten times longer, and launches wait for a supervisor that hangs."""

_HEARTBEAT_INTERVAL: Final = 2.0
"""Seconds between two pings of the supervisor. Arbitrary: only the delay of an error message depends on it."""

_CONTINUE_INTERVAL: Final = 0.5
"""Seconds between two SIGCONT to the supervisor and its shims. Arbitrary: the end of a job that has stopped them is
delayed by as much, and each costs one system call."""

_CONTINUE_SOON: Final = 0.02
"""The same while a job stops them, perhaps again and again: then they run only between a SIGCONT and the next SIGSTOP.
Arbitrary: ten times longer, and they hardly get on; ten times shorter, and this uses a CPU itself."""

_FLUSH: Final = -1
"""The number of a ping whose answer `flush` waits for. Others have positive numbers."""

_FLUSH_TIMEOUT: Final = 2.0
"""Seconds that such an answer may take. Arbitrary: a time limit is enforced later by as much if the supervisor has
died."""

_MISSED_PINGS: Final = 3
"""Unanswered pings after which the supervisor is reported as not running. Arbitrary: with one, a short load of the
machine would be reported."""

_MAX_ENOMEM: Final = 3
"""New shims in a row that were out of memory, before the next job gets another supervisor. Arbitrary: as many jobs are
refused as busy until then; with one, a single large job would replace it."""

_RENEWAL_INTERVAL: Final = 5.0
"""Seconds between two supervisors, the first of which was out of memory: perhaps the whole system is. Arbitrary: ten
times shorter would add to the load of a system without memory, ten times longer would delay the jobs."""

_END_MARGIN: Final = 3.0
"""Seconds beyond the SIGKILL timeout that the supervisor may take to end. Arbitrary: it has to reap and exit only; if
one is stuck, the backend closes later by as much."""

_MAX_ANSWERS: Final = 300
"""Answers that are read before other tasks run. Arbitrary: about as many fit into the socket; ten times more would hold
up the event loop for tens of milliseconds, ten times fewer would cost more passes of it."""

_BUSY_JOBS: Final = 4
"""Jobs per CPU above which answers are batched: reading is delayed so that one pass of the event loop, which costs as
much as several answers, handles many. The CPUs still have enough to do."""

_BATCH_DELAY: Final = 0.00025
_MAX_BATCH_DELAY: Final = 0.005
"""Seconds of that delay for each job per CPU, as hardly a job takes less; and at most. Arbitrary: ten times longer
would leave CPUs idle, ten times shorter would save nothing."""


class Supervisor:
    """A supervisor process and its shims. Make one with `start`. Answers are handled only while `serve` runs."""

    def __init__(self, helper: HelperProcess, answers: socket.socket, errors: int, roots: int) -> None:
        self._helper = helper
        self._control = helper.channel.stream
        self._answers = answers
        self._errors = errors
        self.roots = roots
        """How many roots it has the descriptors of."""
        self._idle: list[Shim] = []
        self._shims: dict[int, Shim] = {}
        self._shim_numbers = itertools.count(1)
        self._answered = 0
        """The number of the last ping that was answered."""
        self._cpus = usable_cpus()
        self._retired = False
        self._was_stopped = False
        self.enomem_count: int = 0
        """How many new shims in a row could not be forked, or start a program, because of ENOMEM."""
        self.finished: bool = False
        """Whether the supervisor and all its shims have exited."""
        self.note_standstill: Callable[[float, float], object] | None = None
        """Called with begin and end of a time in which the supervisor did not run, seconds of `time.monotonic`."""
        self._flushed = trio.Event()
        self.numbers: Final = itertools.count(1)
        """The numbers of jobs."""
        self.dead: bool = False
        """Whether its end was noticed."""

    def __repr__(self) -> str:
        return f"<Supervisor {self.pid}{' dead' if self.dead else ''}, {len(self._shims)} shims>"

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self._helper.pid

    @property
    def shims(self) -> Sequence[Shim]:
        """The shims whose end was not noticed."""
        return list(self._shims.values())

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

    # ------------------------------------------------------------------ shims

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """Return `count` idle shims, forked if there are not enough; and an error if these are fewer."""
        taken = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        if len(taken) == count:
            return taken, None
        asked: list[Shim] = []
        error: OSError | None = None
        try:
            try:
                while len(taken) + len(asked) < count:
                    asked.append(self._fork())
            except OSError as exc:
                error = exc
            with trio.move_on_after(_FORK_TIMEOUT) as scope:
                for shim in asked:
                    await shim.forked.wait()
            if scope.cancelled_caught:
                error = OSError(errno.EAGAIN, f"the supervisor of processes did not answer for {_FORK_TIMEOUT:g} s")
        except trio.Cancelled:
            # Shims that are forked after this become idle; those that were taken have to be given back.
            self._collect(asked, taken)
            for shim in taken:
                self.give_back(shim)
            raise
        error = self._collect(asked, taken) or error
        return taken, error if len(taken) < count else None

    def _collect(self, asked: Sequence[Shim], taken: list[Shim]) -> OSError | None:
        """Add to `taken` those of `asked` that were forked; return the error of others. Late ones become idle."""
        error = None
        for shim in asked:
            shim.awaited = False
            if shim.pid is not None and not shim.dead:
                taken.append(shim)
            error = shim.error or error
        return error

    def give_back(self, shim: Shim) -> None:
        """Make `shim` idle."""
        if not shim.dead:
            self._idle.append(shim)
            self._end_if_idle()

    def retire(self) -> None:
        """Give it no more jobs: it ends with its last one."""
        self._retired = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and len(self._idle) == len(self._shims):
            hang_up(self._control)  # the supervisor ends when it sees that

    def _fork(self) -> Shim:
        """Request a shim, whose `forked` is set when it was forked, or could not be."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        shim = Shim(self, next(self._shim_numbers), ours)
        with its:
            try:
                socket.send_fds(self._control, [pack(FORK, shim.number)], [its.fileno()])
            except OSError as exc:
                ours.close()
                raise OSError(errno.EAGAIN, f"the supervisor of processes accepts no commands: {exc}") from exc
        self._shims[shim.number] = shim
        return shim

    # ------------------------------------------------------------------ answers

    @trio.lowlevel.enable_ki_protection
    async def serve(self) -> None:
        """Handle answers until the supervisor and all shims have exited, or until it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._check_heartbeat)
            nursery.start_soon(self._continue_guards)
            # Returns when the supervisor and all shims have closed the socket.
            await self._read_answers()
            self.dead = True
            nursery.cancel_scope.cancel()
        for shim in self.shims:
            self._remove_shim(shim, TreeEnd(left=(), broken="its shim and its supervisor were killed"))
        self.finished = True

    async def _read_answers(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._answers)
            jobs_per_cpu = (len(self._shims) - len(self._idle)) / self._cpus
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
                    answer = decode(data)
                except (EOFError, TypeError, ValueError):
                    # Not of a guard. What can send it could also kill them; but it costs no job anything.
                    logger.error("what is no answer of a guard was sent to the runtime, and is dropped")
                else:
                    self._handle_answer(*answer)
            self._end_if_idle()

    async def flush(self) -> None:
        """Wait until all answers that it has sent so far are handled, for at most `_FLUSH_TIMEOUT` seconds."""
        self._flushed = trio.Event()
        with suppress(OSError):
            # Fails if the supervisor has died or does not read: then the timeout ends the wait.
            self._control.send(pack(PING, _FLUSH))
        with trio.move_on_after(_FLUSH_TIMEOUT):
            await self._flushed.wait()

    def _handle_answer(self, kind: str, number: int, *rest: Any) -> None:
        if kind == PONG:
            if number == _FLUSH:
                self._flushed.set()
            else:
                self._answered = number
            return
        if kind == STOOD_STILL:
            if self.note_standstill is not None:
                self.note_standstill(number, *rest)
            return
        shim = self._shims.get(number)
        if shim is None:  # it was removed before
            return
        if kind == FORKED:
            shim.pid = rest[0]
            if not shim.awaited:  # `take` was cancelled, or has timed out
                self._idle.append(shim)
            shim.forked.set()
        elif kind == NOT_FORKED:
            shim.error = OSError(rest[0], os.strerror(rest[0]))
            self._note_start(shim, rest[0])
            self._remove_shim(shim, TreeEnd())
        elif kind == DEAD:
            status, left = rest
            how = os.waitstatus_to_exitcode(status)
            text = f"its shim was ended by {signal_name(-how)}" if how < 0 else f"its shim ended with code {how}"
            self._remove_shim(shim, TreeEnd(left=left or None, broken=text))
        elif shim.tree is not None and shim.tree._number == rest[0]:
            self._handle_job_answer(shim, shim.tree, kind, *rest[1:])

    def _handle_job_answer(self, shim: Shim, tree: Tree, kind: str, *rest: Any) -> None:
        """Handle an answer of a shim about its tree."""
        if kind == STARTED:
            self._note_start(shim, None)
            tree.note_started(rest[0])
            return
        if kind == STUCK:
            tree.note_end(TreeEnd(stopped=True, left=rest[0]))
            return
        shim.tree = None
        if kind == NOT_MADE:
            tree.note_not_started(NotMadeError())
        elif kind == NOT_STARTED:
            number, about, text = rest
            self._note_start(shim, number)
            if number in BUSY_ERRORS:
                shim.close()  # at a limit of processes an idle shim would take the place of a job
            else:
                self.give_back(shim)
            if number is None:
                tree.note_not_started(ValueError(text))
            else:
                tree.note_not_started(OSError(number, text, os.fsdecode(about)) if about else OSError(number, text))
        else:
            status, cpu, peak, stopped, broken, leaving, log, left_behind = rest
            if not leaving:
                self.give_back(shim)
            code = os.waitstatus_to_exitcode(status)
            how = Exit(code if code >= 0 else None, -code if code < 0 else None, os.WCOREDUMP(status), cpu, peak)
            tree.note_end(TreeEnd(how, stopped, broken=broken, log=log, left_behind=tuple(left_behind)))

    def _note_start(self, shim: Shim, error: int | None) -> None:
        """Count the new shims that are out of memory."""
        # A shim that has started a program before says nothing of the memory that the next one will get.
        if not shim.proven:
            self.enomem_count = self.enomem_count + 1 if error == errno.ENOMEM else 0
        shim.proven = shim.proven or error is None

    def _remove_shim(self, shim: Shim, end: TreeEnd) -> None:
        """Handle the end of a shim, or that it could not be forked."""
        if not shim.forked.is_set():
            shim.error = shim.error or OSError(errno.EAGAIN, "the supervisor of processes has ended")
            shim.forked.set()
        shim.dead = True
        shim.close()
        self._shims.pop(shim.number, None)
        if shim in self._idle:
            self._idle.remove(shim)
        if shim.tree is not None:
            shim.tree.note_end(end)
            shim.tree = None

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        """Wait for the end of the supervisor, and log it."""
        await self._helper.watch.wait_exited()
        self.dead = True
        if not self._retired:
            logger.error("the supervisor of processes has ended; its jobs end with it. %s", self._stderr_text())

    @trio.lowlevel.enable_ki_protection
    async def _check_heartbeat(self) -> None:
        """Ping the supervisor, and log an error if it does not answer: it is alive, but does not guard its shims."""
        # Unanswered pings are counted, not seconds: it may be this event loop that was held up.
        for ping in itertools.count(1):
            with suppress(OSError):
                self._control.send(pack(PING, ping))
            await trio.sleep(_HEARTBEAT_INTERVAL)
            unanswered = ping - self._answered
            if unanswered >= _MISSED_PINGS and not self.dead:
                seconds = unanswered * _HEARTBEAT_INTERVAL
                logger.error("the supervisor of processes (pid %d) has not answered for %g s", self.pid, seconds)

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
                for shim in self.shims:
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
        hang_up(self._control)
        for shim in self.shims:
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


class _Start:
    """The start of a supervisor in a thread, which can be abandoned at any time.

    Args:
        start: as `Supervisor.start`, with all arguments but `note`.
    """

    def __init__(self, start: Callable[..., Supervisor]) -> None:
        self._start = start
        self._token = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._begun = False
        self._abandoned = False
        self._helper: HelperProcess | None = None
        self._supervisor: Supervisor | None = None
        self._ended = trio.Event()

    def run(self) -> Supervisor:
        """Return the supervisor. Blocks. Raises what `Supervisor.start` raises; no process is left then."""
        try:
            with self._lock:
                self._begun = True
                self._raise_if_abandoned()
            supervisor = self._start(note=self._note)
            with self._lock:
                if not self._abandoned:
                    self._supervisor = supervisor
                    return supervisor
            supervisor.destroy()
            raise _abandoned_error()
        finally:
            self._set_ended()

    def _note(self, helper: HelperProcess) -> None:
        with self._lock:
            self._raise_if_abandoned()
            self._helper = helper

    def _raise_if_abandoned(self) -> None:
        if self._abandoned:
            raise _abandoned_error()

    async def abandon(self) -> None:
        """End what was started; wait for that, shielded, for at most `_END_MARGIN` seconds."""
        with self._lock:
            self._abandoned = True
            supervisor, helper, begun = self._supervisor, self._helper, self._begun
            if helper is not None and supervisor is None:
                helper.kill()  # the thread that waits for its hello notices that, and reaps it
        if supervisor is not None:  # it was started just when the call was cancelled
            self._ended = trio.Event()
            in_background(partial(self._destroy, supervisor))
        if begun:
            with trio.move_on_after(_END_MARGIN, shield=True):
                await self._ended.wait()

    def _destroy(self, supervisor: Supervisor) -> None:
        supervisor.destroy()
        self._set_ended()

    def _set_ended(self) -> None:
        with suppress(trio.RunFinishedError):
            # If the event loop has ended, no task waits.
            self._token.run_sync_soon(self._ended.set)


def _abandoned_error() -> OSError:
    return OSError(errno.ECANCELED, "the start of the supervisor of processes was cancelled")


class Supervisors:
    """A supervisor, which is replaced by a new one when it was killed or is out of memory.

    Args:
        environment: what all jobs inherit.
        kill_timeout: seconds that processes may take to die after SIGKILL; `None` for no limit.
        limiter: for the thread that starts a supervisor.
        dump: the content of the environment file of a job that adds nothing to `environment`.
        roots: descriptors of the directories below which jobs have files, in the order of their numbers; they stay open
            until the end.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        kill_timeout: float | None,
        limiter: trio.CapacityLimiter,
        dump: bytes = b"",
        roots: Sequence[Descriptor] = (),
    ) -> None:
        self._environment = environment
        self._dump = dump
        self._roots = roots
        self._kill_timeout = math.inf if kill_timeout is None else kill_timeout
        self._limiter = limiter
        self._lock = trio.Lock()
        self._all: list[Supervisor] = []
        self._nursery: trio.Nursery | None = None
        self.note_standstill: Callable[[float, float], object] | None = None
        """As `Supervisor.note_standstill`; called for the current one."""
        self._renewed = -math.inf
        """When the current supervisor was started, seconds of trio's clock."""

    @property
    def current(self) -> Supervisor:
        """The supervisor that gets the next job."""
        return self._all[-1]

    async def start(self) -> None:
        """Start the first one. If this is cancelled, no process is left, unless it takes seconds to die.

        Raises:
            OSError: if it cannot be started.
        """
        start = _Start(
            partial(
                Supervisor.start,
                self._environment,
                kill_timeout=self._kill_timeout,
                dump=self._dump,
                roots=self._roots,
            )
        )
        try:
            supervisor = await in_thread(start.run, limiter=self._limiter, wait_for_thread=False)
        except trio.Cancelled:
            await start.abandon()
            raise
        if self._all:
            self.current.note_standstill = None  # two of them would report each standstill twice
        supervisor.note_standstill = self.note_standstill
        self._all.append(supervisor)
        self._renewed = trio.current_time()

    async def run(self) -> None:
        """Serve all supervisors. Never returns."""
        async with trio.open_nursery() as self._nursery:
            for supervisor in self._all:
                self._nursery.start_soon(supervisor.serve)
            await trio.sleep_forever()

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """As `Supervisor.take`."""
        if self._is_unusable(self.current):
            async with self._lock:
                error = await self._renew()
            if error is not None:
                return [], error
        return await self.current.take(count)

    async def _renew(self) -> OSError | None:
        """Start a new supervisor, unless another task just has; return the error if it cannot be started."""
        old = self.current
        # Another task may have renewed it while this one waited for the lock.
        if not self._is_unusable(old):
            return None
        logger.warning("a new supervisor of processes is started%s", "" if old.dead else ": this one is out of memory")
        try:
            await self.start()
        except OSError as exc:
            return exc
        if self._nursery is not None:
            self._nursery.start_soon(self.current.serve)
        old.retire()
        await self._close_finished()
        return None

    def _is_unusable(self, supervisor: Supervisor) -> bool:
        return supervisor.dead or self._is_out_of_memory(supervisor)

    def _is_out_of_memory(self, supervisor: Supervisor) -> bool:
        return supervisor.enomem_count >= _MAX_ENOMEM and trio.current_time() >= self._renewed + _RENEWAL_INTERVAL

    async def _close_finished(self) -> None:
        for supervisor in [supervisor for supervisor in self._all[:-1] if supervisor.finished]:
            self._all.remove(supervisor)
            await supervisor.aclose(_END_MARGIN)

    async def flush(self) -> None:
        """As `Supervisor.flush`, for the current one."""
        await self.current.flush()

    def trees(self) -> list[Tree]:
        """Return the trees of all shims, including those that are being handed over."""
        return [shim.tree for supervisor in self._all for shim in supervisor.shims if shim.tree is not None]

    async def aclose(self) -> None:
        """End all supervisors. `run` must have ended."""
        async with trio.open_nursery() as nursery:
            for supervisor in self._all:
                nursery.start_soon(supervisor.aclose, self._kill_timeout + _END_MARGIN)
