"""`Supervisors`: process trees that end as a whole, whatever sessions they open, and even when we are killed.

Our side of `supervisor_program`, whose docstring says how it works. A supervisor is started when a backend opens; for
each job a shim is taken, which may have to be forked first, and gets the job (`runtime.process.shim`). One task reads
all answers of all shims, from one pipe.

If the supervisor is killed, its shims kill their jobs and say so; the next job gets a new supervisor. One that has no
memory left, because a limit of its own was lowered or reached, may be alive and of no use: all that it forks has that
limit as well. It is *retired*: the jobs that it has go on, new ones get another supervisor, and it ends with its last
job.
"""

from __future__ import annotations

import errno
import itertools
import logging
import math
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import trio

from runtime import rooted
from runtime.descriptors import Descriptor
from runtime.interpreter import directory, library_path, program, start_helper
from runtime.job.shorten import shorten_to_end
from runtime.process import supervisor_program as far
from runtime.process.child import BUSY_ERRORS, Exit
from runtime.process.limits import usable_cpus
from runtime.process.shim import Shim, Tree, hang_up
from runtime.process.threads import in_background, in_thread
from runtime.process.trees import NotMadeError, TreeEnd
from runtime.verdict import signal_name

logger: Final = logging.getLogger("runtime.process.supervisor")

_START_TIMEOUT: Final = 30.0
"""Seconds that the supervisor may take to say hello; it takes some 50 ms. Arbitrary."""

_LAST_WORDS: Final = 2000
"""Characters of what it said before it died. Arbitrary: a traceback has some 1,000."""

_FORK_TIMEOUT: Final = 10.0
"""Seconds that the supervisor may take to fork a shim, before the backend is called busy. Arbitrary."""

_PULSE: Final = 2.0
"""Seconds between two pings of the supervisor."""

_CONTINUE_INTERVAL: Final = 0.5
"""Seconds between two SIGCONT to all guards. Arbitrary: it is how late a job may end that has stopped them, and nothing
but a system call each time."""

_CONTINUE_SOON: Final = 0.02
"""The same, while somebody stops them, perhaps over and over: then they get ahead only between a SIGCONT and the next
SIGSTOP. Arbitrary."""

_HEAR: Final = -1
"""The number of a ping whose answer somebody waits for."""

_HEAR_TIMEOUT: Final = 2.0
"""Seconds that such an answer may take. Arbitrary: by so much a limit comes late when the supervisor has died."""

_UNANSWERED: Final = 3
"""Pings without an answer after which something is wrong with the supervisor. Arbitrary."""

_STARVED: Final = 3
"""New shims in a row for which a supervisor had no memory, before the next job gets another supervisor. Arbitrary."""

_RENEWAL: Final = 5.0
"""Seconds between two supervisors, the first of which was out of memory: perhaps the whole system is. Arbitrary."""

_END_MARGIN: Final = 3.0
"""Seconds beyond its patience that the supervisor may take to end. Arbitrary."""

_BATCH: Final = 1 << 15
"""Bytes of answers, some hundreds, that are read before other tasks get a turn."""

_MANY: Final = 4
"""Jobs per CPU that are many: answers may gather for a while, and the CPUs still have something to do. Each turn of the
loop costs as much as several answers."""

_GATHERING: Final = 0.00025
_LONGEST_GATHERING: Final = 0.005
"""Seconds for which they gather, for each job per CPU, as none takes a CPU for less; and at most. Arbitrary."""


class Supervisor:
    """A supervisor process, and its shims. Make one with `start`; nothing of it works before `serve` runs."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pidfd: int,
        control: socket.socket,
        answers: int,
        errors: int,
        roots: int,
    ) -> None:
        self._process = process
        self.roots = roots
        """How many roots it knows."""
        self._pidfd = pidfd
        self._control = control
        self._answers = answers
        self._errors = errors
        self._idle: list[Shim] = []
        self._shims: dict[int, Shim] = {}
        self._shim_numbers = itertools.count(1)
        self._answered = 0
        """The number of the last ping that was answered."""
        self._answer = b""
        """The beginning of the next answer."""
        self._cpus = usable_cpus()
        self._retired = False
        self._was_stopped = False
        self.starved = 0
        """How many new shims in a row could not be forked, or start anything, for want of memory."""
        self.over = False
        """Whether nothing of it is left to serve."""
        self.note_standstill: Callable[[float, float], object] | None = None
        """Called with the beginning and the end of a time in which it did not run, seconds of `time.monotonic`."""
        self._heard = trio.Event()
        self.numbers = itertools.count(1)
        """For jobs."""
        self.dead = False
        """Whether it was seen to have ended."""

    def __repr__(self) -> str:
        return f"<Supervisor {self._process.pid}{' dead' if self.dead else ''}, {len(self._shims)} shims>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def shims(self) -> Sequence[Shim]:
        """Its shims that are alive, as far as is known."""
        return list(self._shims.values())

    @classmethod
    def start(
        cls,
        environment: Mapping[str, str],
        *,
        patience: float,
        dump: bytes = b"",
        roots: Sequence[Descriptor] = (),
        note: Callable[[subprocess.Popen[bytes]], object] = lambda _: None,
    ) -> Supervisor:
        """Start one. Blocks until it says hello.

        Args:
            environment: what all jobs inherit.
            dump: what is written down of that for a job that adds nothing to it.
            patience: seconds that what a killed shim leaves behind may take to be gone.
            roots: descriptors of the directories below which its jobs have files, by their numbers.
            note: gets its process as soon as there is one; if that is killed, this raises.

        Raises:
            OSError: if it cannot be started.
        """
        words = ["-I", "-S", "-E", program(far), directory(rooted)]
        reap_those_left_behind()
        with ExitStack() as made:  # each of these may be the descriptor for which there is no room
            with ExitStack() as far_ends:
                control, far_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                made.callback(control.close)
                far_ends.callback(far_control.close)
                answers, far_answers = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                made.callback(os.close, answers)
                far_ends.callback(os.close, far_answers)
                errors = os.memfd_create("supervisor")
                made.callback(os.close, errors)
                ours = os.pidfd_open(os.getpid())
                far_ends.callback(os.close, ours)
                fds = (far_control.fileno(), far_answers, ours, *map(far_ends.enter_context, roots))
                process = start_helper(
                    [*words, *map(str, fds)],
                    stdin=subprocess.DEVNULL,  # its jobs' as well
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=fds,
                    start_new_session=True,
                    env=library_path(),
                )
                made.callback(process.wait)
                made.callback(process.kill)
            note(process)
            pidfd = os.pidfd_open(process.pid)
            made.callback(os.close, pidfd)
            supervisor = cls(process, pidfd, control, answers, errors, len(roots))
            variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
            supervisor._greet(variables, dump, patience)
            control.setblocking(False)
            made.pop_all()  # it is the supervisor's now
        return supervisor

    def _greet(self, environment: Mapping[bytes, bytes], dump: bytes, patience: float) -> None:
        ready = select.poll()
        ready.register(self._answers, select.POLLIN)
        try:
            if not ready.poll(1000 * _START_TIMEOUT):
                raise TimeoutError
            hello = os.read(self._answers, far.PIPE_BUF)
            if hello:
                self._control.sendall(far.frame(far.SETUP, dict(environment), dump, patience))
        except OSError as exc:
            msg = f"the supervisor of processes did not start: {str(exc) or type(exc).__name__}"
            raise OSError(msg) from exc
        if not hello:
            msg = f"the supervisor of processes did not start: {self._last_words() or 'it said nothing'}"
            raise OSError(msg)

    # ------------------------------------------------------------------ shims

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """Return `count` shims that have nothing to do, forked if need be; and why they are fewer, if they are."""
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
            self._sort_out(asked, taken)
            for shim in taken:
                self.give_back(shim)
            raise
        error = self._sort_out(asked, taken) or error
        return taken, error if len(taken) < count else None

    def _sort_out(self, asked: Sequence[Shim], taken: list[Shim]) -> OSError | None:
        """Add to `taken` those of `asked` that are there; return why others are not. Those to come will be idle."""
        error = None
        for shim in asked:
            shim.wanted = False
            if shim.pid is not None and not shim.dead:
                taken.append(shim)
            error = shim.error or error
        return error

    def give_back(self, shim: Shim) -> None:
        """Say that `shim` has nothing to do."""
        if not shim.dead:
            self._idle.append(shim)
            self._end_if_idle()

    def retire(self) -> None:
        """Say that it gets no more jobs: it ends with the last one."""
        self._retired = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and len(self._idle) == len(self._shims):
            hang_up(self._control)  # it ends by that

    def _fork(self) -> Shim:
        """Ask for a shim."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        shim = Shim(self, next(self._shim_numbers), ours)
        with its:
            try:
                socket.send_fds(self._control, [far.frame(far.FORK, shim.number)], [its.fileno()])
            except OSError as exc:
                ours.close()
                raise OSError(errno.EAGAIN, f"the supervisor of processes takes no commands: {exc}") from exc
        self._shims[shim.number] = shim
        return shim

    # ------------------------------------------------------------------ answers

    @trio.lowlevel.enable_ki_protection
    async def serve(self) -> None:
        """Take answers until all processes have gone, or it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._feel_pulse)
            nursery.start_soon(self._keep_going)
            await self._read_answers()
            self.dead = True
            nursery.cancel_scope.cancel()
        for shim in self.shims:
            self._lose(shim, TreeEnd(left=(), broken="its shim and the supervisor of that were killed"))
        self.over = True

    async def _read_answers(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._answers)
            jobs_per_cpu = (len(self._shims) - len(self._idle)) / self._cpus
            if jobs_per_cpu > _MANY:
                await trio.sleep(min(_GATHERING * jobs_per_cpu, _LONGEST_GATHERING))
            data = os.read(self._answers, _BATCH)
            if not data:
                return
            try:
                answers, self._answer = far.unframe(self._answer + data, longest=far.PIPE_BUF)
            except (EOFError, TypeError, ValueError):
                logger.error("a job has written into the pipe of its supervisor of processes (pid %d)", self.pid)
                self._process.kill()  # nothing that is said there can be understood any more
                return
            for answer in answers:
                self._take_answer(*answer)
            self._end_if_idle()

    async def hear(self) -> None:
        """Wait until all that it had to say by now has been heard; not for long, if it does not answer."""
        self._heard = trio.Event()
        with suppress(OSError):
            self._control.send(far.frame(far.PING, _HEAR))
        with trio.move_on_after(_HEAR_TIMEOUT):
            await self._heard.wait()

    def _take_answer(self, kind: str, number: int, *rest: Any) -> None:
        if kind == far.PONG:
            if number == _HEAR:
                self._heard.set()
            else:
                self._answered = number
            return
        if kind == far.STOOD_STILL:
            if self.note_standstill is not None:
                self.note_standstill(number, *rest)
            return
        shim = self._shims.get(number)
        if shim is None:
            return
        if kind == far.FORKED:
            shim.pid = rest[0]
            if not shim.wanted:
                self._idle.append(shim)
            shim.forked.set()
        elif kind == far.NOT_FORKED:
            shim.error = OSError(rest[0], os.strerror(rest[0]))
            self._note_start(shim, rest[0])
            self._lose(shim, TreeEnd())
        elif kind == far.DEAD:
            status, left = rest
            how = os.waitstatus_to_exitcode(status)
            text = f"its shim was ended by {signal_name(-how)}" if how < 0 else f"its shim ended with code {how}"
            self._lose(shim, TreeEnd(left=left or None, broken=text))
        elif shim.tree is not None and shim.tree._number == rest[0]:
            self._take_news(shim, shim.tree, kind, *rest[1:])

    def _take_news(self, shim: Shim, tree: Tree, kind: str, *rest: Any) -> None:
        """Take what a shim says of its tree."""
        if kind == far.STARTED:
            self._note_start(shim, None)
            tree.note_started(rest[0])
            return
        if kind == far.STUCK:
            tree.note_end(TreeEnd(stopped=True, left=rest[0]))
            return
        shim.tree = None
        if kind == far.NOT_MADE:
            tree.note_not_started(NotMadeError())
        elif kind == far.NOT_STARTED:
            number, about, text = rest
            self._note_start(shim, number)
            if number in BUSY_ERRORS:
                shim.close()  # where there is no room for a job, it takes the room of one
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
        """Count the new shims that are of no use; what one can do that was forked before says nothing of the next."""
        if not shim.proven:
            self.starved = self.starved + 1 if error == errno.ENOMEM else 0
        shim.proven = shim.proven or error is None

    def _lose(self, shim: Shim, end: TreeEnd) -> None:
        """A shim has gone, or will never come."""
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
        """Notice that the supervisor has ended."""
        await trio.lowlevel.wait_readable(self._pidfd)
        self.dead = True
        if not self._retired:
            logger.error("the supervisor of processes has ended; its jobs end with it. %s", self._last_words())

    @trio.lowlevel.enable_ki_protection
    async def _feel_pulse(self) -> None:
        """Notice that the supervisor does not run; it is alive, and so are its shims, but nobody guards those.

        Pings are counted, and not seconds: it may be our own loop that has stood still for some.
        """
        for ping in itertools.count(1):
            with suppress(OSError):
                self._control.send(far.frame(far.PING, ping))
            await trio.sleep(_PULSE)
            unanswered = ping - self._answered
            if unanswered >= _UNANSWERED and not self.dead:
                seconds = unanswered * _PULSE
                logger.error("the supervisor of processes (pid %d) has not answered for %g s", self.pid, seconds)

    @trio.lowlevel.enable_ki_protection
    async def _keep_going(self) -> None:
        """Continue the guards that a job has stopped; never returns by itself.

        They are one process group, that of the supervisor, and jobs are in others. Its number is nobody else's as long
        as we have not reaped the supervisor, so this reaches its shims when it is dead, too: who is stopped does not
        notice that death, and would stay.
        """
        while True:
            stopped = self._is_stopped()
            seconds = _CONTINUE_SOON if self.dead or stopped else _CONTINUE_INTERVAL
            if stopped:
                # On a CPU of its own, a job that stops them without a pause leaves them none of the time between.
                for shim in self.shims:
                    if shim.tree is not None:
                        shim.tree.kill_if_due()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGCONT)
            await trio.sleep(seconds)

    def _is_stopped(self) -> bool:
        """Whether the supervisor was stopped since this was last asked."""
        try:
            stopped = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        except ChildProcessError:
            return False  # it has died, and somebody else has reaped it
        if stopped and not self._was_stopped:
            self._was_stopped = True
            logger.warning("the supervisor of processes (pid %d) was stopped by a signal; it goes on", self.pid)
        return stopped

    def _last_words(self) -> str:
        words = os.pread(self._errors, 1 << 16, 0).decode(errors="replace").strip()
        return shorten_to_end(words, _LAST_WORDS)

    # ------------------------------------------------------------------ the end

    @trio.lowlevel.enable_ki_protection
    async def aclose(self, patience: float) -> None:
        """End it, with all shims and whatever they run; wait for that, at most `patience` seconds.

        Checkpoints. If it is not gone by then, it stays: there is a process that it waits for.
        """
        hang_up(self._control)
        for shim in self.shims:
            shim.close()
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_going)
                await trio.lowlevel.wait_readable(self._pidfd)
                nursery.cancel_scope.cancel()
        if self._process.poll() is None:
            logger.error("the supervisor of processes (pid %d) still waits for processes to die", self.pid)
            _left_behind.append(self._process)
        self._close()
        await trio.lowlevel.checkpoint()

    def destroy(self) -> None:
        """End it at once, as it has no shims yet. Blocks for as long as it takes to die."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._control.close()
        for fd in (self._answers, self._pidfd, self._errors):
            os.close(fd)


_left_behind: list[subprocess.Popen[bytes]] = []
"""Supervisors that were not gone when their backend ended."""


def reap_those_left_behind() -> None:
    """Reap the supervisors that were left behind and have ended since."""
    _left_behind[:] = [process for process in _left_behind if process.poll() is None]


class _Start:
    """The start of a supervisor, in a thread, which can be given up at any moment of it.

    Args:
        start: as `Supervisor.start`, with all arguments but `note`.
    """

    def __init__(self, start: Callable[..., Supervisor]) -> None:
        self._start = start
        self._token = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._begun = False
        self._given_up = False
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor: Supervisor | None = None
        self._ended = trio.Event()

    def run(self) -> Supervisor:
        """Return the supervisor. Blocks. Raises what `Supervisor.start` raises; nothing is left then."""
        try:
            with self._lock:
                self._begun = True
                self._raise_if_given_up()
            supervisor = self._start(note=self._note)
            with self._lock:
                if not self._given_up:
                    self._supervisor = supervisor
                    return supervisor
            supervisor.destroy()
            raise _given_up_error()
        finally:
            self._tell_end()

    def _note(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._raise_if_given_up()
            self._process = process

    def _raise_if_given_up(self) -> None:
        if self._given_up:
            raise _given_up_error()

    async def give_up(self) -> None:
        """End what has been started; wait for that, shielded, at most `_END_MARGIN` seconds."""
        with self._lock:
            self._given_up = True
            supervisor, process, begun = self._supervisor, self._process, self._begun
            if process is not None and supervisor is None:
                process.kill()  # the thread that waits for its hello sees that, and reaps it
        if supervisor is not None:  # it was there when nobody waited for it any more
            self._ended = trio.Event()
            in_background(partial(self._destroy, supervisor))
        if begun:
            with trio.move_on_after(_END_MARGIN, shield=True):
                await self._ended.wait()

    def _destroy(self, supervisor: Supervisor) -> None:
        supervisor.destroy()
        self._tell_end()

    def _tell_end(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ended.set)


def _given_up_error() -> OSError:
    return OSError(errno.ECANCELED, "nobody waits for the supervisor of processes any more")


class Supervisors:
    """The supervisor, and a new one in its place when it was killed, or has no memory.

    Args:
        environment: what all jobs inherit.
        patience: seconds that what is left may take to be gone after SIGKILL; `None` for no limit.
        limiter: for the thread that starts one.
        dump: what is written down of the environment.
        roots: descriptors of the directories below which jobs have files, by their numbers; open until the end.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        patience: float | None,
        limiter: trio.CapacityLimiter,
        dump: bytes = b"",
        roots: Sequence[Descriptor] = (),
    ) -> None:
        self._environment = environment
        self._dump = dump
        self._roots = roots
        self._patience = math.inf if patience is None else patience
        self._limiter = limiter
        self._lock = trio.Lock()
        self._all: list[Supervisor] = []
        self._nursery: trio.Nursery | None = None
        self.note_standstill: Callable[[float, float], object] | None = None
        """As of each supervisor; that of the current one is asked."""
        self._renewed = -math.inf
        """When the current one was started."""

    @property
    def current(self) -> Supervisor:
        """The supervisor that gets the next job."""
        return self._all[-1]

    async def start(self) -> None:
        """Start the first one. If this is cancelled, no process is left, unless it cannot be killed within seconds.

        Raises:
            OSError: if it cannot be started.
        """
        start = _Start(
            partial(Supervisor.start, self._environment, patience=self._patience, dump=self._dump, roots=self._roots)
        )
        try:
            supervisor = await in_thread(start.run, limiter=self._limiter, wait_for_room=False)
        except trio.Cancelled:
            await start.give_up()
            raise
        if self._all:
            self.current.note_standstill = None  # two of them would tell the same
        supervisor.note_standstill = self.note_standstill
        self._all.append(supervisor)
        self._renewed = trio.current_time()

    async def run(self) -> None:
        """Serve; never returns by itself."""
        async with trio.open_nursery() as self._nursery:
            for supervisor in self._all:
                self._nursery.start_soon(supervisor.serve)
            await trio.sleep_forever()

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """As `Supervisor.take`."""
        if self._is_over(self.current):
            async with self._lock:
                error = await self._renew()
            if error is not None:
                return [], error
        return await self.current.take(count)

    async def _renew(self) -> OSError | None:
        """Start a new supervisor, unless somebody else just has; return why it cannot be started."""
        old = self.current
        if not self._is_over(old):
            return None
        logger.warning("a new supervisor of processes is started%s", "" if old.dead else ": this one has no memory")
        try:
            await self.start()
        except OSError as exc:
            return exc
        if self._nursery is not None:
            self._nursery.start_soon(self.current.serve)
        old.retire()
        await self._close_those_that_are_over()
        return None

    def _is_over(self, supervisor: Supervisor) -> bool:
        return supervisor.dead or self._is_starved(supervisor)

    def _is_starved(self, supervisor: Supervisor) -> bool:
        return supervisor.starved >= _STARVED and trio.current_time() >= self._renewed + _RENEWAL

    async def _close_those_that_are_over(self) -> None:
        for supervisor in [supervisor for supervisor in self._all[:-1] if supervisor.over]:
            self._all.remove(supervisor)
            await supervisor.aclose(_END_MARGIN)

    async def hear(self) -> None:
        """As `Supervisor.hear`, of the current one."""
        await self.current.hear()

    def trees(self) -> list[Tree]:
        """Return the trees that all their shims have, also those that are being handed over."""
        return [shim.tree for supervisor in self._all for shim in supervisor.shims if shim.tree is not None]

    async def aclose(self) -> None:
        """End all of them; `run` has ended."""
        async with trio.open_nursery() as nursery:
            for supervisor in self._all:
                nursery.start_soon(supervisor.aclose, self._patience + _END_MARGIN)
