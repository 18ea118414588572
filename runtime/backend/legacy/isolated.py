"""Launchers in a process and session of their own, for classes with which no process should be shared.

Some hold the interpreter's lock for seconds, and with it the event loop; some call `os._exit`, or crash; some start
children that must not get the terminal's Ctrl-C, or change the directory of the process; some want the main thread of
their process. All that stays over there.

How
---
The adapter, its threads and its seam are as ever. What differs is the launcher: here it is a `FarLauncher`, whose
methods ask the process (`isolated_program`) and wait. A thread that waits on a socket holds nothing. Each thread has a
line of its own, and behind it a thread of the process: what hangs over there hangs one line. Requests are numbered, and
an answer that has the number of another request is dropped. Answers are JSON: nothing of a launcher is unpickled here.

When the process dies
---------------------
Whoever waits for an answer, or asks next, sees the death by a pidfd (see `ExitWatch`), even while a process that it has
forked keeps its sockets open: a failure with `gone`. All launchers are gone, so each job of the process is lost, once;
the adapter sees to that. What is left of the process's group is killed, as it is when the process has ended because the
block did. The next launcher that is built starts another process.

A process that answers nobody at all, since one of its threads never gives up the interpreter's lock, is killed when
the first call is given up; then the same follows, and the reason says which calls were in progress.
"""

from __future__ import annotations

import atexit
import copyreg
import functools
import io
import itertools
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import trio

from runtime.backend.legacy.duck_typing import class_name, describe
from runtime.backend.legacy.failures import FailedCallError, Failure
from runtime.backend.legacy.isolated_program import PING
from runtime.backend.legacy.launcher import ErrorMessage, LauncherError
from runtime.backend.legacy.launcher_calls import BUILD, KILL, LAUNCH, POLL
from runtime.interpreter import environment, start_helper
from runtime.job import JobStatus
from runtime.job.shorten import shorten, some_of
from runtime.process.exits import ExitWatch

START_TIMEOUT: Final = 60.0
"""Seconds that importing the class may take. Arbitrary."""

PROBE_TIMEOUT: Final = 5.0
"""Seconds without an answer to a ping, after a call was given up, after which the process is killed. Arbitrary."""

END_TIMEOUT: Final = 2.0
"""Seconds that the process may take to end when it is told to; it takes a millisecond."""

LONGEST_ANSWER: Final = 1 << 22
"""Bytes of an answer. One has a few texts of bounded length: more than this is none."""

_BOOT: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runtime.backend.legacy.isolated_program import main; main(*map(int, sys.argv[2:]))"
)

_lingering: Final[list[Process]] = []
"""Processes in which calls hang that were abandoned. As threads of our own would, they last as long as we do."""


class FarLauncher:
    """Stands for a launcher of the process. Its methods block, and raise what the launcher raises, or its like."""

    fail_msg: Any = None
    job_runtime: float | None = None
    simulated_time: float | None = None

    def __init__(self, process: Process, key: int, job_id: str) -> None:
        self.process = process
        self._key = key
        self._job_id = job_id

    def __del__(self) -> None:
        self.process.forgotten.append(self._key)

    def ask(self, what: str, payload: bytes | None = None) -> Any:
        """Have one thing done."""
        return self.process.ask(what, self._key, self._job_id, payload)

    def launch(self) -> None:
        """Launch."""
        self.ask(LAUNCH.name)

    def poll(self) -> JobStatus:
        """Poll, and keep what belongs to the answer."""
        status, message, line, context, self.job_runtime, self.simulated_time = self.ask(POLL.name)
        if message is not None:
            self.fail_msg = ErrorMessage(message, line, context)
        return JobStatus[status]

    def kill(self) -> None:
        """Kill."""
        self.ask(KILL.name)


class _Wire:
    """A socket to the process. Whoever waits at it sees the death of the process, too, and then gets an `EOFError`."""

    def __init__(self, ours: socket.socket, watch: ExitWatch) -> None:
        self._socket = ours
        self._watch = watch
        self._unread = b""
        ours.setblocking(False)

    def send(self, message: bytes, deadline: float) -> None:
        left = memoryview(message)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def receive(self, deadline: float) -> Any:
        """Return one answer, which is a line of JSON."""
        while b"\n" not in self._unread:
            if len(self._unread) > LONGEST_ANSWER:
                raise EOFError
            self._wait(select.POLLIN, deadline)
            try:
                more = self._socket.recv(1 << 16)
            except BlockingIOError:
                continue
            if not more:
                raise EOFError
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return json.loads(line)
        except RecursionError as exc:
            msg = "an answer is nested too deeply"
            raise ValueError(msg) from exc

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a process that we forked may keep it open
        self._socket.close()

    def _wait(self, events: int, deadline: float) -> None:
        if not self._watch.wait_ready(self._socket.fileno(), events, deadline):
            raise EOFError


class _Line:
    """A thread's own connection to the process."""

    # It is closed by hand, never left to the garbage collector: that takes its parts apart in any order.

    def __init__(self, process: Process) -> None:
        self._lock = threading.Lock()
        self._is_closed = False
        self._numbers = itertools.count(1)
        ours, theirs = socket.socketpair()
        self._wire = _Wire(ours, process.watch)
        with theirs:
            try:
                process.hand_over(theirs)
            except BaseException:
                self._close()
                raise

    def ask(self, message: tuple[Any, ...], timeout: float = float("inf")) -> list[Any]:
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._is_closed:
                raise EOFError
            try:
                number = next(self._numbers)
                self._wire.send(pickle.dumps((number, *message)), deadline)
                while True:
                    answer = _checked_answer(self._wire.receive(deadline))
                    if answer[0] == number:
                        return answer[1:]
            except BaseException:
                self._close()  # the two sides no longer agree on whose turn it is
                raise

    def close(self) -> None:
        """Close it, unless somebody waits for an answer: he will see the end of it."""
        if self._lock.acquire(blocking=False):
            self._close()
            self._lock.release()

    def _close(self) -> None:
        self._is_closed = True
        self._wire.close()

    __del__ = close  # of a thread that has ended


class Process:
    """One life of the process. Everything here may block, so it is done in threads, but for `close`."""

    def __init__(self, owner: str, greeting: bytes) -> None:
        self.is_buried = False
        """Whether the adapter has seen its end."""
        self.forgotten: deque[int] = deque()
        """The numbers of launchers that nobody needs any more."""
        self._owner = owner
        self._doing: dict[int, str] = {}
        """What each thread waits for, by the thread."""
        self._epitaph = ""
        self._lock = threading.Lock()
        self._mine = threading.local()
        """The line of this thread."""
        self._lines = weakref.WeakSet[_Line]()
        self._control, theirs = socket.socketpair()
        self._life, their_life = socket.socketpair()
        """Closed with this process, whatever ends it; that of the launchers ends by a signal then, whatever it does."""
        with theirs, their_life:
            fds = theirs.fileno(), their_life.fileno()
            try:
                mode = f"utf8={sys.flags.utf8_mode}"  # a text is the same bytes there as here
                self.popen = start_helper(
                    ["-X", mode, "-c", _BOOT, json.dumps(sys.path), *map(str, fds), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    block_signals=False,  # programs that its launchers start would inherit the mask
                    pass_fds=fds,
                    env=environment(),
                    start_new_session=True,
                )
            except BaseException:
                self._close_sockets()
                raise
        self.watch = ExitWatch(self.popen.pid, functools.partial(_has_exited, self.popen))
        """Tells threads of the end."""
        deadline = time.monotonic() + START_TIMEOUT
        try:
            wire = _Wire(self._control, self.watch)
            wire.send(greeting, deadline)
            trouble = wire.receive(deadline)
        except (OSError, EOFError, ValueError):
            trouble = f"its process {self._end()} at its start, or took more than {START_TIMEOUT:g} s"
        if trouble:
            self._end()
            self._close_sockets()
            msg = f"{owner} cannot be isolated: {trouble}"
            raise LauncherError(msg)
        self._control.setblocking(True)

    def ask(self, what: str, key: int, job_id: str, payload: bytes | None) -> Any:
        """Have one thing done, on the line of this thread.

        Raises:
            FailedCallError: if it failed over there, or there is no process any more.
        """
        me = threading.get_ident()
        self._doing[me] = f"{what} of job {job_id!r}"
        try:
            if not hasattr(self._mine, "line"):
                self._mine.line = _Line(self)
                self._lines.add(self._mine.line)
            why, busy, value = self._mine.line.ask((what, key, job_id, payload, self._take_forgotten()))
        except (OSError, EOFError, ValueError) as exc:
            raise FailedCallError(Failure(self._gone(), gone=self)) from exc
        finally:
            del self._doing[me]
        if why:
            raise FailedCallError(Failure(why, busy))
        return value

    def hand_over(self, theirs: socket.socket) -> None:
        """Give the process the other end of a line."""
        socket.send_fds(self._control, [b"."], [theirs.fileno()])

    def probe(self) -> str:
        """Kill it, if it does not answer; return what there is to say of it then, or nothing."""
        try:
            line = _Line(self)
            line.ask((PING, 0, "", None, ()), PROBE_TIMEOUT)
            line.close()
        except TimeoutError:
            self.popen.kill()
            return self._gone(f"answered nobody for {PROBE_TIMEOUT:g} s, as a call holds its interpreter's lock, and")
        except (EOFError, OSError, ValueError):
            pass  # it has ended, as whoever asks next will see
        return ""

    def is_busy(self) -> bool:
        """Whether a call is in progress."""
        return bool(self._doing)

    def has_ended(self) -> bool:
        """Whether it has; does not block."""
        return bool(self._epitaph) or self.watch.has_exited()

    def bury(self) -> None:
        """Let go of all that belongs to it. It has ended, or been killed."""
        self.hang_up()
        self._gone()

    def hang_up(self) -> None:
        """Close all lines but those over which an answer may come."""
        for line in list(self._lines):
            line.close()

    async def close(self) -> None:
        """End it, and what is left of its group. No call may be in progress."""
        self.hang_up()
        self._hang_up_control()
        with trio.move_on_after(END_TIMEOUT, shield=True):
            await self.watch.wait_exited()
        self._kill_group()
        with trio.move_on_after(END_TIMEOUT, shield=True):
            await self.watch.wait_exited()
        if self.has_ended():
            self.popen.wait()
        self._close_sockets()

    def linger(self) -> None:
        """Let it live on, for what hangs in it; it ends with this process."""
        for ended in [process for process in _lingering if process.has_ended()]:
            ended.bury()
            _lingering.remove(ended)
        _lingering.append(self)
        self.hang_up()
        threading.Thread(target=self.probe, daemon=True).start()

    def _hang_up_control(self) -> None:
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # a process that we forked may keep it open

    def _close_sockets(self) -> None:
        self._hang_up_control()
        self._control.close()
        with suppress(OSError):
            self._life.shutdown(socket.SHUT_RDWR)
        self._life.close()

    def _take_forgotten(self) -> list[int]:
        keys = []
        with suppress(IndexError):
            while True:
                keys.append(self.forgotten.popleft())
        return keys

    def _gone(self, how: str = "") -> str:
        with self._lock:
            if not self._epitaph:
                during = some_of(sorted(self._doing.values()), 3)
                how = f"{how} {self._end()}".strip()
                self._epitaph = f"the process of {self._owner} {how}" + (f", during {during}" if during else "")
                self._close_sockets()
            return self._epitaph

    def _end(self) -> str:
        """See to its end, and return what that was."""
        for _ in range(100):
            if self.has_ended():
                break
            time.sleep(0.01)  # it has closed its sockets, and is about to end
        self._kill_group()
        code = self.popen.wait()
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"

    def _kill_group(self) -> None:
        if self.popen.returncode is None:  # until it is reaped its number is its own, and so is that of its group
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)


class Isolation:
    """Where isolated launchers of one adapter come from.

    Args:
        launcher_cls: the class; another process must be able to import it by its name.
        view: from a job to what the launcher is built with, over there; `None` for the job itself.

    Raises:
        ValueError: if the class cannot be imported by its name.
    """

    def __init__(self, launcher_cls: type, view: Callable[[Any], Any] | None) -> None:
        module, name = launcher_cls.__module__, launcher_cls.__qualname__
        if module == "__main__" or "<locals>" in name:
            where = "a function" if "<locals>" in name else "the program that was started"
            msg = (
                f"LegacyLauncherAdapter: isolated is True, and {name} is defined in {where}, from where no other "
                "process can import it; wanted: a class at the top level of a module"
            )
            raise ValueError(msg)
        self._cls = launcher_cls
        self._view = view
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._is_closed = False
        self._probing: threading.Thread | None = None

    def make(self, job: Any) -> FarLauncher:
        """Build a launcher. Blocks.

        Raises:
            LauncherError: if the job does not pickle, or the process cannot be started.
        """
        try:
            payload = _pickled(job)
        except Exception as exc:  # pickling runs foreign code
            msg = f"job {job.id!r} does not pickle, as the job of an isolated launcher must: {describe(exc)}"
            raise LauncherError(msg) from exc
        if self._probing is not None:
            self._probing.join()  # what may have to be killed gets no more launchers; `PROBE_TIMEOUT` bounds it
        launcher = FarLauncher(self._alive(), next(self._numbers), job.id)
        launcher.ask(BUILD.name, payload)
        return launcher

    def suspect(self, found_dead: Callable[[Process, str], object]) -> None:
        """Look whether the process answers at all; if not, kill it and call `found_dead`, in the loop. Does not block.

        Args:
            found_dead: is given the process, and what there is to say of its end.
        """
        if self._process is not None and (self._probing is None or not self._probing.is_alive()):
            token = trio.lowlevel.current_trio_token()
            self._probing = threading.Thread(target=_probe, args=[self._process, token, found_dead], daemon=True)
            self._probing.start()

    def bury(self, process: Process) -> None:
        """Start another one when it is needed. Does not block."""
        process.is_buried = True
        process.hang_up()
        if self._process is process:
            self._process = None

    async def close(self) -> None:
        """End the process, or leave it to what hangs in it."""
        self._is_closed = True
        process, self._process = self._process, None
        if process is None:
            return
        if process.is_busy():
            process.linger()
        else:
            await process.close()

    def _alive(self) -> Process:
        name = class_name(self._cls)
        with self._lock:
            if self._is_closed:
                msg = f"{name} is isolated, and its process has ended with its backend"
                raise LauncherError(msg)
            if self._process is None or self._process.has_ended():  # which those who wait for it will see
                try:
                    greeting = _pickled((self._cls, self._view))
                except Exception as exc:  # pickling runs foreign code
                    msg = f"{name} cannot be isolated: it, or its view, does not pickle: {describe(exc)}"
                    raise LauncherError(msg) from exc
                self._process = Process(name, greeting)
            return self._process


def _probe(process: Process, token: trio.lowlevel.TrioToken, found_dead: Callable[[Process, str], object]) -> None:
    text = process.probe()
    if text:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(found_dead, process, text)


class _Pickler(pickle.Pickler):
    """Knows one thing more than the standard one, which every `JobSpec` has: a read-only mapping."""

    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda proxy: (_read_only, (dict(proxy),))}


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _pickled(value: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(value)
    return stream.getvalue()


def _checked_answer(answer: object) -> list[Any]:
    if isinstance(answer, list) and len(answer) == 4 and isinstance(answer[0], int):  # noqa: PLR2004 - see `ask`
        return answer
    msg = f"no answer: {shorten(repr(answer), 100)}"
    raise ValueError(msg)


def _has_exited(popen: subprocess.Popen[bytes]) -> bool:
    if popen.returncode is not None:
        return True
    try:
        # It is left a zombie, so that its number is nobody else's until its group was killed.
        return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@atexit.register
def _end_lingering() -> None:
    for process in _lingering:
        process.popen.kill()
        process.bury()
