"""`Shim`, a helper process that runs one contained job at a time, and the `Tree` that it runs: the runtime's side.

A shim is taken from its pool (`shim_pool`) and gets a job by `start_and_make`, or by `start` in a thread if the job's
files exist already. It is idle again when it has reported the end of the job's tree. The task of its supervisor reads
the answers, which come here by `Shim.note_answer`.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

from runtime.errors import BUSY_ERRORS
from runtime.helper.process import hang_up
from runtime.helper.wire import pack
from runtime.process.child import Exit
from runtime.process.guard.messages import (
    FORCE,
    JOB,
    NOT_MADE,
    NOT_STARTED,
    PAUSE,
    STARTED,
    STOP,
    STUCK,
    UNPAUSE,
)
from runtime.process.guard.procfs import children, read_entries, with_descendants
from runtime.process.guard.signals import signal_process
from runtime.process.trees import NotMadeError, StopSteps, TreeEnd
from runtime.roots import SLASH_NUMBER, RootedPath

if TYPE_CHECKING:
    from runtime.process.identity import Identity
    from runtime.process.shim_pool import ShimPool  # a shim belongs to its pool

T = TypeVar("T")

_SEND_TIMEOUT: Final = 10.0
"""Seconds that an idle shim may take to read a job. Arbitrary: ten times shorter, and jobs are refused on a loaded
machine; ten times longer, and a shim that is stopped holds up a thread for as long."""

_ENCODING: Final = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
"""How `os.fsencode` encodes text, which would be a Python call for each."""

_SMALL: Final = 1 << 16
"""Bytes of a job that are sent without waiting: the buffer of an empty socket is larger."""


@attrs.frozen
class ToMake:
    """The files that a shim makes before it starts a job: the usual case, in which none of them exists."""

    directory: RootedPath
    log: str
    """The name of a file in it, for the job's output."""
    environment_file: str
    """The name of a file in it, for the dump of the environment."""
    dump: bytes | None
    """The content of that file; `None` for the dump that the supervisor was given, and what the job is told about
    itself."""


class Tree:
    """A `ProcessTree` of a root and all its descendants, whatever sessions they open."""

    # Defaults of the class, because most of them stay as they are for most trees. Events are made when a task waits.
    _known = False
    """Whether it was reported that the root was started, or could not be."""
    _started: trio.Event | None = None
    _ended: trio.Event | None = None
    _announce: Callable[[TreeEnd], object] | None = None
    _error: Exception | None = None
    _handed_over = False
    _paused = False
    _kill_due = math.inf
    """When the SIGTERM timeout of its stop is over, in seconds of trio's clock."""
    _killed = False
    """Whether `kill_if_due` has killed it."""
    pid: int | None = None
    """The pid of the root after it was started."""
    end: TreeEnd | None = None
    """How it ended, when no process of it is left or it was abandoned."""

    def __init__(self, shim: Shim, number: int) -> None:
        self._shim = shim
        self.number: Final = number
        """Its number among the trees of its shim."""

    def __repr__(self) -> str:
        state = "starting" if self.pid is None else "running" if self.end is None else "ended"
        return f"<Tree {self.pid or ''} {state}>"

    async def wait_started(self) -> None:
        """Wait until the root was started.

        Raises:
            OSError: if it cannot be started; with an `errno` in `BUSY_ERRORS` it may work later.
            ValueError: if an argument or variable cannot be passed to a program, as one with a NUL byte.
            NotMadeError: if the shim could not make the job's files; it is idle.
        """
        if not self._known:  # no checkpoint otherwise, here and below: it would be a pass of the event loop per job
            self._started = trio.Event()
            await self._started.wait()
        if self._error is not None:
            raise self._error

    async def wait_ended(self) -> TreeEnd:
        """Wait until no process of it is left, or it was abandoned."""
        if self.end is None:
            self._ended = trio.Event()
            await self._ended.wait()
        assert self.end is not None
        return self.end

    def announce_end(
        self, channel: trio.MemorySendChannel[tuple[T, TreeEnd]], item: T, _otherwise: Callable[[], object]
    ) -> None:
        """Send `item` and the end when it has ended, on a channel of unlimited size: no task is ever needed."""
        if self.end is None:
            self._announce = lambda end: channel.send_nowait((item, end))
        else:
            channel.send_nowait((item, self.end))

    def ancestor(self) -> int | None:
        """Return the pid of its shim."""
        return self._shim.pid

    async def wait_gone(self) -> None:
        """Return at once: the shim does the rest."""

    def has_ended(self) -> bool:
        """Whether it is known to have ended."""
        return self.end is not None

    def stop(self, steps: StopSteps) -> None:
        """Begin the stop sequence. Does nothing if the root has exited by itself."""
        what, seconds = (None, None) if steps.soft is None else (steps.soft.what, steps.soft.seconds)
        soft = what if what is None or isinstance(what, int) else self._shim.wire_path(what)
        self._shim.send(STOP, self.number, soft, seconds, steps.term_timeout, steps.kill_timeout)
        gentle = (math.inf if each is None else each for _, each in steps.gentle)
        self._kill_due = trio.current_time() + sum(gentle)

    def kill(self) -> None:
        """Skip the rest of the stop sequence: SIGKILL now."""
        self._shim.send(FORCE, self.number)
        self._kill_due = -math.inf

    def kill_if_due(self) -> None:
        """Kill what can be found of it, if its SIGTERM timeout is over: for a job that stops its shim again and again.

        The shim kills the rest as soon as it is no longer stopped.
        """
        is_due = self.end is None and not self._paused and self._kill_due < trio.current_time()
        if is_due and self._shim.pid is not None:
            self._killed = True
            # No pid found here can have been reused: the shim reaps nothing while it is stopped.
            for process in list(with_descendants(read_entries(children(self._shim.pid)))):
                signal_process(process, signal.SIGKILL)

    def pause(self) -> None:
        """Stop all its processes, and the timeouts of its stop sequence."""
        self._paused = True
        if self._handed_over:  # otherwise `note_handed_over` does it
            self._shim.send(PAUSE, self.number)

    def unpause(self, _seconds: float) -> None:
        """Continue them. The shim knows for how long it was paused."""
        self._paused = False
        if self._handed_over:
            self._shim.send(UNPAUSE, self.number)

    def note_handed_over(self) -> None:
        """The job was sent completely: other commands may follow."""
        self._handed_over = True
        if self._paused:  # since the hand-over began
            self.pause()

    def postpone(self, seconds: float) -> None:
        """Do nothing: the shim measures the time."""

    def destroy(self) -> None:
        """End it at once, with its shim, which may not have started it yet. Does not wait for that."""
        self._shim.abandon()

    def close(self) -> None:
        """Abandon it; the processes that are left are killed. Idempotent."""
        if self.end is None:
            self.kill()

    def note_started(self, pid: int) -> None:
        """The shim has started the root."""
        self.pid = pid
        self._note_known()

    def note_not_started(self, error: Exception) -> None:
        """The shim could not start the root."""
        self._error = error
        self._note_known()

    def note_end(self, end: TreeEnd) -> None:
        """It has ended, as the shim reports, or with the shim. Only the first end counts."""
        if self.end is None:
            if self._killed and end.exit.signal == signal.SIGKILL:  # the shim was stopped, and has not read of the stop
                end = attrs.evolve(end, stopped=True)
            self.end = end
            self._note_known()  # whether it was started may never be known
            if self._ended is not None:
                self._ended.set()
            if self._announce is not None:
                self._announce(end)

    def _note_known(self) -> None:
        self._known = True
        if self._started is not None:
            self._started.set()


class Shim:
    """The handle of a process that runs one tree after the other."""

    def __init__(self, pool: ShimPool, number: int, commands: socket.socket) -> None:
        self._pool = pool
        self._commands = commands
        self._trees = itertools.count(1)
        """The numbers of its trees: an answer may be about one that has ended."""
        self.number: Final = number
        self.pid: int | None = None
        """`None` until it was forked."""
        self.tree: Tree | None = None
        self.dead: bool = False
        """Whether it gets no more jobs, because its end was noticed, or begun."""
        self.is_proven: bool = False
        """Whether it has started a tree before."""

    def __repr__(self) -> str:
        return f"<Shim {self.number} pid {self.pid} {self.tree!r}>"

    def start(
        self,
        argv: Sequence[str],
        *,
        exports: Mapping[str, str],
        identity: Identity | None = None,
        cwd: str,
        home: RootedPath | None = None,
        output: int,
        kill_timeout: float | None,
        log: RootedPath | None = None,
        leftover_timeout: float = 0.0,
        inherited: Sequence[int] = (),
        cgroup: tuple[bytes, bytes] | None = None,
    ) -> Tree:
        """Hand a job over; return its tree. For threads: blocks until the shim has read it, `_SEND_TIMEOUT` s at most.

        Args:
            argv: the program, looked up in the ``PATH`` of its environment, and its arguments.
            identity: what the job is told about itself; `None` for nothing.
            exports: variables that are added to the environment of the supervisor.
            cwd: the absolute path of the directory that it starts in.
            home: that directory below a root; `None` to follow the path `cwd` wherever it leads.
            output: the descriptor that becomes its standard output and its standard error.
            kill_timeout: seconds that processes which outlive the root may take to die; `None` for no limit.
            log: its log, which is returned with its end if it is short.
            leftover_timeout: seconds that processes which outlive the root have to exit by themselves, before they are
                named and killed; 0 to kill them at once.
            inherited: the descriptors that it has beside its output, from `FIRST_INHERITED` on; two at most.
            cgroup: how a process enters the cgroup that it begins in, and leaves it; `None` for that of its shim.

        Raises:
            OSError: if it cannot be handed over; then this shim is abandoned.
            ValueError: if an argument or variable cannot be passed to a program.
        """
        number, data = self._message(
            argv, exports, identity, cwd, home, kill_timeout, log, None, leftover_timeout, cgroup
        )
        tree = self.tree = Tree(self, number)
        try:
            sent = socket.send_fds(self._commands, [data], [output, *inherited])
            until = time.monotonic() + _SEND_TIMEOUT
            while sent < len(data):
                ready = select.poll()
                ready.register(self._commands, select.POLLOUT)
                if not ready.poll(max(0, until - time.monotonic()) * 1000):
                    raise TimeoutError
                with suppress(BlockingIOError):
                    sent += self._commands.send(data[sent:])
        except (OSError, MemoryError) as exc:  # it may have read a part of the job
            raise self._refused(exc) from exc
        tree.note_handed_over()
        return tree

    def start_and_make(
        self,
        argv: Sequence[str],
        *,
        exports: Mapping[str, str],
        identity: Identity | None = None,
        cwd: str,
        home: RootedPath | None = None,
        kill_timeout: float | None,
        to_make: ToMake,
        leftover_timeout: float = 0.0,
    ) -> Tree | None:
        """As `start`, but the shim makes the job's files, and this does not block. `None` if the job is too large."""
        number, data = self._message(argv, exports, identity, cwd, home, kill_timeout, None, to_make, leftover_timeout)
        if len(data) > _SMALL:
            return None
        tree = self.tree = Tree(self, number)
        try:
            if self._commands.send(data) < len(data):
                raise OSError(errno.EAGAIN, "it has not read its last command")
        except (OSError, MemoryError) as exc:
            raise self._refused(exc) from exc
        tree.note_handed_over()
        return tree

    def _message(
        self,
        argv: Sequence[str],
        exports: Mapping[str, str],
        identity: Identity | None,
        cwd: str,
        home: RootedPath | None,
        kill_timeout: float | None,
        log: RootedPath | None,
        to_make: ToMake | None,
        leftover_timeout: float,
        cgroup: tuple[bytes, bytes] | None = None,
    ) -> tuple[int, bytes]:
        number = next(self._trees)
        directory = None if home is None else self.wire_path(home)
        log_path = None if log is None else self.wire_path(log)
        made = None
        if to_make is not None:
            made_in = (
                directory if directory is not None and to_make.directory is home else self.wire_path(to_make.directory)
            )
            name = to_make.log.encode(*_ENCODING)
            log_path = made_in[0], b"%b/%b" % (made_in[1], name)
            made = made_in, name, to_make.environment_file.encode(*_ENCODING), to_make.dump
        return number, pack(
            JOB,
            number,
            leftover_timeout,
            [word.encode(*_ENCODING) for word in argv],
            identity,
            {os.fsencode(name): os.fsencode(value) for name, value in exports.items()} if exports else {},
            cwd.encode(*_ENCODING),
            directory,
            kill_timeout,
            log_path,
            made,
            cgroup,
        )

    def wire_path(self, path: RootedPath) -> tuple[int, bytes]:
        """Return a path as the shim process knows it: the number of a root, and a path below it."""
        if path.root.number < self._pool.roots:
            return path.root.number, path.relative.encode(*_ENCODING)
        return SLASH_NUMBER, os.fsencode(path.real[1:] or ".")  # its root was opened after the supervisor was started

    def _refused(self, error: Exception) -> OSError:
        self.tree = None
        self.abandon()
        return OSError(errno.EAGAIN, f"its shim accepts no jobs: {error}")

    def give_back(self) -> None:
        """Return it to its pool: it was taken, and not used."""
        self._pool.give_back(self)

    def send(self, *message: object) -> None:
        """Send a small command. If the shim has ended, its supervisor reports that."""
        with suppress(OSError):
            self._commands.send(pack(*message))

    def abandon(self) -> None:
        """End it and its job at once; it gets no more jobs."""
        self.dead = True
        hang_up(self._commands)  # it ends when it sees that

    def close(self) -> None:
        """End it and its job. Idempotent."""
        hang_up(self._commands)

    # ------------------------------------------------------------------ answers

    def note_answer(self, kind: str, number: int, *rest: Any) -> None:
        """Handle an answer of the shim about its tree of this number."""
        tree = self.tree
        if tree is None or tree.number != number:
            return
        if kind == STARTED:
            self._pool.note_start(self, None)
            tree.note_started(rest[0])
        elif kind == STUCK:
            tree.note_end(TreeEnd(stopped=True, left=rest[0]))
        else:
            self.tree = None
            if kind == NOT_MADE:
                tree.note_not_started(NotMadeError())
            elif kind == NOT_STARTED:
                self._note_not_started(tree, *rest)
            else:
                self._note_ended(tree, *rest)

    def _note_not_started(self, tree: Tree, number: int | None, about: bytes, text: str) -> None:
        self._pool.note_start(self, number)
        if number in BUSY_ERRORS:
            self.close()  # at a limit of processes an idle shim would take the place of a job
        else:
            self.give_back()
        if number is None:
            tree.note_not_started(ValueError(text))
        else:
            tree.note_not_started(OSError(number, text, os.fsdecode(about)) if about else OSError(number, text))

    def _note_ended(
        self,
        tree: Tree,
        status: int,
        cpu: float,
        peak: int | None,
        stopped: bool,
        broken: str | None,
        leaving: bool,
        log: bytes | None,
        left_behind: Sequence[str],
    ) -> None:
        if not leaving:
            self.give_back()
        code = os.waitstatus_to_exitcode(status)
        how = Exit(code if code >= 0 else None, -code if code < 0 else None, os.WCOREDUMP(status), cpu, peak)
        tree.note_end(TreeEnd(how, stopped, broken=broken, log=log, left_behind=tuple(left_behind)))

    def note_dead(self, end: TreeEnd) -> None:
        """It has ended, and its tree with it, in this way."""
        self.dead = True
        self.close()
        if self.tree is not None:
            self.tree.note_end(end)
            self.tree = None
