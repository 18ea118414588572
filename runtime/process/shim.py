"""`Shim`, and the `Tree` that it runs: our side of the processes that run a contained job each.

A shim is taken from its supervisor (`runtime.process.supervisor`), gets a job by `start_and_make`, or by `start` in a
thread if the job's files are there already, and has nothing to do again when the end of that job's tree is told. What
is told is read by the supervisor's task, which calls the ``note_…`` methods here.
"""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

from runtime.process import supervisor_program as far
from runtime.process.trees import StopSteps, TreeEnd
from runtime.roots import SLASH_NUMBER, RootedPath

if TYPE_CHECKING:  # a shim belongs to its supervisor
    from runtime.process.supervisor import Supervisor

T = TypeVar("T")

_SEND_TIMEOUT: Final = 10.0
"""Seconds that a shim which has nothing to do may take to read a job. Arbitrary."""

_SMALL: Final = 1 << 16
"""Bytes of a job that are handed over without waiting: a socket that is empty has room for more."""


def hang_up(stream: socket.socket) -> None:
    """Close a socket, so that the other side sees its end even if a process that was forked from us has it open."""
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()


@attrs.frozen
class ToMake:
    """What a shim is to make before it starts a job; the usual case, in which none of it is there."""

    directory: RootedPath
    log: str
    """The name of a file in it, for the job's output."""
    environment_file: str
    """The name of a file in it, for the dump of the environment."""
    dump: bytes | None
    """What goes there; `None` for the dump that the supervisor was given."""


class Tree:
    """A `ProcessTree` with all that comes from its root, whatever session that is in."""

    def __init__(self, shim: Shim, number: int) -> None:
        self._shim = shim
        self._number = number
        self._known = False
        """Whether it is known what became of its start."""
        self._started: trio.Event | None = None  # there is one only if somebody waits for that; and so below
        self._ended: trio.Event | None = None
        self._announce: Callable[[TreeEnd], object] | None = None
        self._error: Exception | None = None
        self._handed_over = False
        self._paused = False
        self._kill_due = math.inf
        """When the gentle steps of its stop are over, in seconds of trio's clock."""
        self._killed = False
        """Whether it was killed in place of its guards."""
        self.pid: int | None = None
        """The pid of the root, once it was started."""
        self.end: TreeEnd | None = None
        """How it ended, once nothing of it is left, or it was given up."""

    def __repr__(self) -> str:
        state = "starting" if self.pid is None else "running" if self.end is None else "ended"
        return f"<Tree {self.pid or ''} {state}>"

    async def wait_started(self) -> None:
        """Wait until the root was started.

        Raises:
            OSError: if it cannot be started; with an `errno` in `BUSY_ERRORS` it may work later.
            ValueError: if something of it is no text that a program can be given.
            NotMadeError: if its files were to be made, and could not be; the shim has nothing to do.
        """
        if not self._known:  # a checkpoint, here as below, is a turn of the loop, for each job
            self._started = trio.Event()
            await self._started.wait()
        if self._error is not None:
            raise self._error

    async def wait_ended(self) -> TreeEnd:
        """Wait until nothing of it is left, or it was given up."""
        if self.end is None:
            self._ended = trio.Event()
            await self._ended.wait()
        assert self.end is not None
        return self.end

    def announce_end(self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T) -> bool:
        """Send `item` and how it ended, on a channel with room for any number, when it has."""
        if self.end is None:
            self._announce = lambda end: channel.send_nowait((item, end))
        else:
            channel.send_nowait((item, self.end))
        return True

    async def wait_gone(self) -> None:
        """Return at once: whatever there is to do, its shim does."""

    def has_ended(self) -> bool:
        """Whether it is known to have ended."""
        return self.end is not None

    def stop(self, steps: StopSteps) -> None:
        """Begin to end it. Does nothing if its root has ended by itself."""
        what, seconds = (None, None) if steps.soft is None else (steps.soft.what, steps.soft.seconds)
        soft = what if what is None or isinstance(what, int) else self._shim.place(what)
        self._shim.send(far.STOP, self._number, soft, seconds, steps.grace, steps.patience)
        gentle = (0.0 if steps.soft is None else seconds, steps.grace)
        self._kill_due = trio.current_time() + sum(math.inf if each is None else each for each in gentle)

    def kill(self) -> None:
        """Leave out what is left of the gentle steps of a `stop`."""
        self._shim.send(far.FORCE, self._number)
        self._kill_due = -math.inf

    def kill_if_due(self) -> None:
        """Kill, in place of its guards, what can be found of it, if its gentle steps are over.

        For when it stops its guards faster than they can act. They see to it that nothing is left, as soon as it no
        longer does. What its shim has not reaped, and it reaps nothing while it is stopped, has no stranger's number.
        """
        is_due = self.end is None and not self._paused and self._kill_due < trio.current_time()
        if is_due and self._shim.pid is not None:
            self._killed = True
            for process in list(far.tree(far.processes(far.children(self._shim.pid)))):
                far.send(process, signal.SIGKILL)

    def pause(self) -> None:
        """Stop all its processes, and count no time of its stop sequence."""
        self._paused = True
        if self._handed_over:  # else a thread is about to, and looks
            self._shim.send(far.PAUSE, self._number)

    def unpause(self, _seconds: float) -> None:
        """Continue them. Its shim knows for how long it was paused."""
        self._paused = False
        if self._handed_over:
            self._shim.send(far.UNPAUSE, self._number)

    def note_handed_over(self) -> None:
        """All of it was sent: another command may follow."""
        self._handed_over = True
        if self._paused:  # meanwhile
            self.pause()

    def postpone(self, seconds: float) -> None:
        """Do nothing: its shim keeps the time."""

    def destroy(self) -> None:
        """End it at once, and with it its shim, which may not even have begun with it. Does not wait for that."""
        self._shim.abandon()

    def close(self) -> None:
        """Give it up; what of it is still there is killed. Idempotent."""
        if self.end is None:
            self.kill()

    def note_started(self, pid: int) -> None:
        """Its shim says so."""
        self.pid = pid
        self._note_known()

    def note_not_started(self, error: Exception) -> None:
        """Its shim says so."""
        self._error = error
        self._note_known()

    def note_end(self, end: TreeEnd) -> None:
        """Its shim says so, or has gone. The first end counts."""
        if self.end is None:
            if self._killed and end.exit.signal == signal.SIGKILL:  # its shim did not even know of the stop
                end = attrs.evolve(end, stopped=True)
            self.end = end
            self._note_known()  # or perhaps it was not started, but that will never be known
            if self._ended is not None:
                self._ended.set()
            if self._announce is not None:
                self._announce(end)

    def _note_known(self) -> None:
        self._known = True
        if self._started is not None:
            self._started.set()


class Shim:
    """A process that runs one tree after the other."""

    def __init__(self, supervisor: Supervisor, number: int, commands: socket.socket) -> None:
        self._supervisor = supervisor
        self._commands = commands
        self.number = number
        self.pid: int | None = None
        self.tree: Tree | None = None
        self.forked = trio.Event()
        """Set when it was forked, or could not be."""
        self.wanted = True
        """Whether whoever asked for it still waits."""
        self.error: OSError | None = None
        self.dead = False
        self.proven = False
        """Whether it has ever started a tree."""

    def __repr__(self) -> str:
        return f"<Shim {self.number} pid {self.pid} {self.tree!r}>"

    def start(
        self,
        argv: Sequence[str],
        *,
        exports: Mapping[str, str],
        cwd: str,
        home: RootedPath | None = None,
        output: int,
        patience: float | None,
        log: RootedPath | None = None,
        leftover_timeout: float = 0.0,
    ) -> Tree:
        """Hand a job over. For a thread: it may block for as long as the shim does not read, which is bounded.

        Args:
            argv: the program, looked up in the ``PATH`` of its environment, and its arguments.
            exports: what is added to the environment that the supervisor was given.
            cwd: the absolute path of the directory that it starts in.
            home: that directory, if it is not to be entered wherever its path leads.
            output: the descriptor that becomes its standard output and its standard error.
            patience: seconds that what is left after the end of the root may take to be gone; `None` for no limit.
            log: its log, which comes with its end if it is short.
            leftover_timeout: seconds that what its root leaves running has to go by itself, before it is named and
                killed; 0 if nobody asks who that was.

        Raises:
            OSError: if it cannot be handed over; then this shim is of no use any more.
            ValueError: if something of it is no text that a program can be given.
        """
        number, data = self._message(argv, exports, cwd, home, patience, log, None, leftover_timeout)
        tree = self.tree = Tree(self, number)
        try:
            sent = socket.send_fds(self._commands, [data], [output])
            until = time.monotonic() + _SEND_TIMEOUT
            while sent < len(data):
                ready = select.poll()
                ready.register(self._commands, select.POLLOUT)
                if not ready.poll(max(0, until - time.monotonic()) * 1000):
                    raise TimeoutError
                with suppress(BlockingIOError):
                    sent += self._commands.send(data[sent:])
        except (OSError, MemoryError) as exc:  # perhaps it was told a part of it
            raise self._refused(exc) from exc
        tree.note_handed_over()
        return tree

    def start_and_make(
        self,
        argv: Sequence[str],
        *,
        exports: Mapping[str, str],
        cwd: str,
        home: RootedPath | None = None,
        patience: float | None,
        to_make: ToMake,
        leftover_timeout: float = 0.0,
    ) -> Tree | None:
        """As `start`, but the shim makes the job's files; and it does not block. `None`: it is too large for that."""
        log = to_make.directory.below(to_make.log)
        number, data = self._message(argv, exports, cwd, home, patience, log, to_make, leftover_timeout)
        if len(data) > _SMALL:
            return None
        tree = self.tree = Tree(self, number)
        try:
            if self._commands.send(data) < len(data):
                raise OSError(errno.EAGAIN, "it has not read what it was told")
        except (OSError, MemoryError) as exc:
            raise self._refused(exc) from exc
        tree.note_handed_over()
        return tree

    def _message(
        self,
        argv: Sequence[str],
        exports: Mapping[str, str],
        cwd: str,
        home: RootedPath | None,
        patience: float | None,
        log: RootedPath | None,
        to_make: ToMake | None,
        leftover_timeout: float,
    ) -> tuple[int, bytes]:
        number = next(self._supervisor.numbers)
        made = None
        if to_make is not None:
            names = map(os.fsencode, (to_make.log, to_make.environment_file))
            made = (self.place(to_make.directory), *names, to_make.dump)
        return number, far.frame(
            far.JOB,
            number,
            leftover_timeout,
            [os.fsencode(word) for word in argv],
            {os.fsencode(name): os.fsencode(value) for name, value in exports.items()},
            os.fsencode(cwd),
            None if home is None else self.place(home),
            patience,
            None if log is None else self.place(log),
            made,
        )

    def place(self, path: RootedPath) -> tuple[int, bytes]:
        """Return a path as its process knows it: which root, and what is below that."""
        if path.root.number < self._supervisor.roots:
            return path.root.number, os.fsencode(path.relative)
        return SLASH_NUMBER, os.fsencode(path.real[1:] or ".")  # a root opened after the supervisor was started

    def _refused(self, error: Exception) -> OSError:
        self.tree = None
        self.abandon()
        return OSError(errno.EAGAIN, f"its shim takes no jobs: {error}")

    def give_back(self) -> None:
        """Say that it was taken, and not used."""
        self._supervisor.give_back(self)

    def send(self, *message: Any) -> None:
        """Send a command, which is small. If the shim has gone, the supervisor says so."""
        with suppress(OSError):
            self._commands.send(far.frame(*message))

    def abandon(self) -> None:
        """Let it end, and whatever it runs, at once: it gets no more jobs."""
        self.dead = True
        hang_up(self._commands)  # it ends by that

    def close(self) -> None:
        """Let it end, and whatever it runs. Idempotent."""
        hang_up(self._commands)
