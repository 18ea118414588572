"""`LauncherProcess`: a process and session of their own for launchers that must not share ours; and `LauncherProxy`.

Some hold the interpreter's lock for seconds, and with it the event loop; some call `os._exit`, or crash; some start
children that must not get the terminal's Ctrl-C, or change the directory of the process; some need the main thread. In
a process of their own none of this affects the run.

How
---
The adapter and its threads are the same. Only the launcher differs: here it is a `LauncherProxy`, whose methods send a
request to the process (`isolated_program`) and wait. A thread that waits on a socket does not hold the interpreter's
lock. Each thread has a connection of its own, served by one thread of the process: a call that hangs there blocks one
connection. Requests are numbered, and an answer with the number of another request is dropped. Answers are JSON:
nothing that a launcher returns is unpickled here.

When the process dies
---------------------
A thread that waits for an answer, or sends the next request, sees the death by a pidfd (see `ExitWatch`), even if a
child that the process has forked keeps its sockets open: the call fails with `dead_process` set. All its launchers are
gone, so each of its jobs is lost, once; the adapter does that. What is left of the process's group is killed, as it is
when the process ends because the backend closes. The next launcher is built in a new process: see `isolation`.

A process that answers no request, since one of its threads never releases the interpreter's lock, is killed after the
first call is abandoned. Then the same follows, and the reason names the calls that were in progress.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import socket
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import Any, Final

import trio

from runtime.backend.legacy.failures import FailedCallError, Failure
from runtime.backend.legacy.isolated_program import PING
from runtime.backend.legacy.launcher import ErrorMessage, LauncherError
from runtime.backend.legacy.launcher_calls import KILL, LAUNCH, POLL
from runtime.helper.exits import ExitWatch
from runtime.helper.interpreter import environment
from runtime.helper.process import Channel, HelperProcess, deadline_in, hang_up
from runtime.job import JobStatus
from runtime.job.shorten import shorten, some_of
from runtime.signal_names import signal_name

START_TIMEOUT: Final = 60.0
"""Seconds that importing the class may take. Arbitrary: ten times as long would hide a hanging import, with a tenth
large packages on a slow file server could not be imported."""

PROBE_TIMEOUT: Final = 5.0
"""Seconds without an answer to a ping after which the process is killed; sent when a call is abandoned. Arbitrary:
ten times as long would delay all launches, a tenth would kill a process that holds the lock for a second."""

END_TIMEOUT: Final = 2.0
"""Seconds that the process may take to end when its control socket is closed; usual is a millisecond. Arbitrary: ten
times as long would delay the end of a run, a tenth would kill it on a busy machine before it has flushed its output."""

EXIT_TIMEOUT: Final = 1.0
"""Seconds that a process which no longer answers may take to exit by itself: its exit code tells more than a SIGKILL.
Arbitrary: ten times as long would delay all launches, a tenth would hide the code on a busy machine."""

LONGEST_ANSWER: Final = 1 << 22
"""Most bytes of an answer. An answer has a few texts of bounded length, so more than this is not an answer."""

_BOOT: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runtime.backend.legacy.isolated_program import main; main(*map(int, sys.argv[2:]))"
)


class LauncherProxy:
    """A proxy of a launcher in the process. Its methods block, and raise `FailedCallError` if the launcher's do."""

    fail_msg: ErrorMessage | None = None
    job_runtime: float | None = None
    simulated_time: float | None = None

    def __init__(self, process: LauncherProcess, key: int, job_id: str) -> None:
        self.process = process
        self._key = key
        self._job_id = job_id

    def __del__(self) -> None:
        self.process.forgotten.append(self._key)

    def ask(self, what: str, payload: bytes | None = None) -> Any:
        """Make the call `what` of the launcher, and return its value."""
        return self.process.ask(what, self._key, self._job_id, payload)

    def launch(self) -> None:
        """Launch."""
        self.ask(LAUNCH.name)

    def poll(self) -> JobStatus:
        """Poll, and keep the message and the times that come with the status."""
        status, message, line, context, self.job_runtime, self.simulated_time = self.ask(POLL.name)
        if message is not None:
            self.fail_msg = ErrorMessage(message, line, context)
        return JobStatus[status]

    def kill(self) -> None:
        """Kill."""
        self.ask(KILL.name)


class _Connection:
    """A thread's own connection to the process."""

    # Closed explicitly, not by the garbage collector, which finalizes its parts in any order.

    def __init__(self, process: LauncherProcess) -> None:
        self._lock = threading.Lock()
        self._is_closed = False
        self._numbers = itertools.count(1)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours, process.watch, LONGEST_ANSWER)
        with theirs:
            try:
                process.send_descriptor(theirs)
            except BaseException:
                self._close()
                raise

    def ask(self, message: tuple[object, ...], timeout: float = float("inf")) -> list[Any]:
        deadline = deadline_in(timeout)
        with self._lock:
            if self._is_closed:
                raise EOFError
            try:
                number = next(self._numbers)
                self._channel.send(pickle.dumps((number, *message)), deadline)
                while True:
                    answer = _checked_answer(_from_json(self._channel.receive(deadline)))
                    if answer[0] == number:  # so that a stray answer is not taken for this one
                        return answer[1:]
            except BaseException:
                self._close()  # the request may be half sent, or its answer half read
                raise

    def close(self) -> None:
        """Close it, unless a thread waits for an answer: that sees the end of the process itself."""
        if self._lock.acquire(blocking=False):
            self._close()
            self._lock.release()

    def _close(self) -> None:
        self._is_closed = True
        self._channel.close()

    __del__ = close  # runs when the thread that owns it has ended


class _Connections:
    """The connections to one process."""

    def __init__(self) -> None:
        self._local = threading.local()
        """`connection`: that of the current thread."""
        self._all = weakref.WeakSet[_Connection]()

    def of_this_thread(self, process: LauncherProcess) -> _Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = _Connection(process)
            self._all.add(self._local.connection)
        connection: _Connection = self._local.connection
        return connection

    def close_idle(self) -> None:
        for connection in list(self._all):
            connection.close()


class LauncherProcess:
    """One incarnation of the process. All methods may block and are called in threads, unless they say otherwise."""

    def __init__(self, owner: str, greeting: bytes) -> None:
        self.forgotten: deque[int] = deque()
        """The numbers of launchers whose proxies were dropped; sent with the next request."""
        self._owner = owner
        self._doing: dict[int, str] = {}
        """The call that each thread waits for, by thread id."""
        self._exit_reason = ""
        """How the process has ended, and during which calls; empty while it runs."""
        self._lock = threading.Lock()
        self._connections = _Connections()
        self._lifeline, their_lifeline = socket.socketpair()
        """Closed when our process ends, for whatever reason: the kernel then ends the other process with SIGIO."""
        with their_lifeline:
            try:
                mode = f"utf8={sys.flags.utf8_mode}"  # texts must have the same encoding in both processes
                self._helper = HelperProcess(
                    ["-X", mode, "-c", _BOOT, json.dumps(sys.path), str(os.getpid())],
                    env=environment(),
                    fds=[their_lifeline.fileno()],
                    output=None,
                    errors=None,
                    block_signals=False,  # programs that its launchers start would inherit the mask
                    longest=LONGEST_ANSWER,
                )
            except BaseException:
                self._lifeline.close()
                raise
        channel, deadline = self._helper.channel, deadline_in(START_TIMEOUT)
        try:
            channel.send(greeting, deadline)
            error = _from_json(channel.receive(deadline))
        except (OSError, EOFError, ValueError):
            error = f"its process {self._end_process()} while starting, or took more than {START_TIMEOUT:g} s"
        if error:
            self._end_process()
            self._close_sockets()
            raise LauncherError(f"{owner} cannot be isolated: {error}")

    @property
    def watch(self) -> ExitWatch:
        """Wakes the threads that wait for the process when it ends."""
        return self._helper.watch

    def ask(self, what: str, key: int, job_id: str, payload: bytes | None) -> Any:
        """Make the call `what` of a launcher, on the connection of this thread.

        Raises:
            FailedCallError: if the call failed in the process, or the process has ended.
        """
        me = threading.get_ident()
        self._doing[me] = f"{what} of job {job_id!r}"
        try:
            connection = self._connections.of_this_thread(self)
            why, busy, value = connection.ask((what, key, job_id, payload, self._take_forgotten()))
        except (OSError, EOFError, ValueError) as exc:
            raise FailedCallError(Failure(self._died(), dead_process=self)) from exc
        finally:
            del self._doing[me]
        if why:
            raise FailedCallError(Failure(why, busy))
        return value

    def send_descriptor(self, theirs: socket.socket) -> None:
        """Send the process the other end of a connection."""
        self._helper.channel.send_descriptor(theirs.fileno())

    def probe(self) -> str:
        """Kill the process if it does not answer; return its exit reason then, else an empty string."""
        try:
            connection = _Connection(self)
            connection.ask((PING, 0, "", None, ()), PROBE_TIMEOUT)
            connection.close()
        except TimeoutError:
            self._helper.kill()
            how = f"answered no request for {PROBE_TIMEOUT:g} s, as a call holds its interpreter's lock, and"
            return self._died(how)
        except (EOFError, OSError, ValueError):
            pass  # it has ended, as the next request will find
        return ""

    def is_busy(self) -> bool:
        """Return whether a call is in progress. Does not block."""
        return bool(self._doing)

    def has_ended(self) -> bool:
        """Return whether the process has ended. Does not block."""
        return bool(self._exit_reason) or self._helper.has_exited()

    def close_idle_connections(self) -> None:
        """Close all connections on which no thread waits for an answer."""
        self._connections.close_idle()

    async def close(self) -> None:
        """End it, and what is left of its group. No call may be in progress.

        A cancelled scope does not interrupt it; it takes at most twice `END_TIMEOUT`.
        """
        self.close_idle_connections()
        self._helper.channel.close()  # the process exits when it sees that
        with trio.move_on_after(END_TIMEOUT, shield=True):
            await self.watch.wait_exited()
        self._helper.kill()  # children that launchers have left; and the process itself, if it has not exited
        with trio.move_on_after(END_TIMEOUT, shield=True):
            await self.watch.wait_exited()
        if self.has_ended():
            self._helper.reap()
        else:
            self._helper.leave()
        self._close_sockets()

    def linger(self) -> None:
        """Leave it running for the calls that hang in it; it ends with our process."""
        # Like an abandoned thread, it lasts as long as our process.
        self._helper.leave(self._end_at_once)
        self.close_idle_connections()
        threading.Thread(target=self.probe, daemon=True).start()

    def _close_sockets(self) -> None:
        self._helper.channel.close()  # not the watch: other threads may still wait for it
        hang_up(self._lifeline)

    def _end_at_once(self) -> None:
        self._helper.kill()
        self.close_idle_connections()
        self._died()

    def _take_forgotten(self) -> list[int]:
        keys = []
        with suppress(IndexError):
            while True:
                keys.append(self.forgotten.popleft())
        return keys

    def _died(self, how: str = "") -> str:
        with self._lock:  # several threads see the death: the first one decides what all of them report
            if not self._exit_reason:
                during = some_of(sorted(self._doing.values()), 3)
                how = f"{how} {self._end_process()}".strip()
                self._exit_reason = f"the process of {self._owner} {how}" + (f", during {during}" if during else "")
                self._close_sockets()
            return self._exit_reason

    def _end_process(self) -> str:
        """Make sure that it has ended, and return how."""
        code = self._helper.end(EXIT_TIMEOUT)
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal_name(-code)}"


def _from_json(text: bytes) -> object:
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("an answer is nested too deeply") from exc


def _checked_answer(answer: object) -> list[Any]:
    if isinstance(answer, list) and len(answer) == 4 and isinstance(answer[0], int):  # noqa: PLR2004 - see `ask`
        return answer
    raise ValueError(f"the answer is {shorten(repr(answer), 100)}; expected a list of a number and three values")
