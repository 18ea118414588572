"""The process in which isolated launchers live. `isolated` starts it, and says what it is for.

It receives the class once, over the control socket. Over the same socket it receives a *connection* for each thread
that calls launchers: one end of a socket pair, for which it starts a thread that serves the requests one by one. So a
call that hangs here blocks one connection. The calls are made in the main thread, where launchers find what they would
find in a program of their own; while a call hangs there, in the connection's thread (see `main_thread`). Dropped
launchers are released in the main thread, too: they may expect their `__del__` to run there, and it may take any time.

An answer has the number of its request. Bytes that are not a request end their connection, and no other. After each
call this process compares its process id: a child of a launcher that returns from a call is ended (see `forks`).

This process ends when the control socket is closed, or the process at its other end dies, whatever its threads do. If a
thread holds the interpreter's lock, no other thread can notice that; but when the lifeline socket is closed, the
kernel sends a signal (SIGIO), which ends a process that has no handler for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import queue
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.duck_typing import describe
from runtime.backend.legacy.failures import failure_of
from runtime.backend.legacy.forks import end_fork
from runtime.backend.legacy.launcher import AnyLauncher, View
from runtime.backend.legacy.launcher_calls import BUILD, KILL, LAUNCH, POLL, PolledEnd
from runtime.backend.legacy.main_thread import LONG_WAIT, SHORT_WAIT, MainThread, needs_main_thread
from runtime.backend.legacy.process_state import process_state
from runtime.helper.exits import ExitWatch
from runtime.helper.wire import EndOfStream, Frames, frame
from runtime.job import JobStatus
from runtime.job.shorten import shorten
from runtime.process.default_signals import restore_default_signals, survive_signals_to_all

PING: Final = "ping"
"""The request that probes whether the process answers at all."""

LONGEST_REQUEST: Final = 1 << 28
"""Most bytes of a request. Arbitrary: far more than a job has; the length in a frame of text would be twice as much."""

_REPEATABLE: Final = frozenset({POLL.name, KILL.name})
"""Calls that can be repeated if they have failed because they need the main thread."""


_Request = tuple[int, str, int, str, bytes | None, list[int]]
"""Its number, the call, the launcher's number, the job's id, the pickled job, and the numbers of dropped launchers."""


class _LauncherRef:
    """A launcher, referred to by its number."""

    def __init__(self, key: int, job_id: str, payload: bytes | None = None) -> None:
        self.key = key
        self.payload = payload
        self._job_id = job_id

    def __repr__(self) -> str:
        return f"job {self._job_id!r}"


class _Program:
    """The launchers of this process, and the calls of them."""

    def __init__(self, launcher_cls: type, view: View | None) -> None:
        self._cls = launcher_cls
        self._view = view
        self._pid = os.getpid()
        self._launchers: dict[int, AnyLauncher] = {}
        self._forgotten = queue.SimpleQueue[list[int]]()
        self._steps = {
            step.name: Step(step.name, function)
            for step, function in (
                (BUILD, self._build),
                (LAUNCH, lambda call: self._launchers[call.subject.key].launch()),
                (POLL, self._poll),
                (KILL, lambda call: self._launchers[call.subject.key].kill()),
            )
        }
        self._drop = Step("__del__()", self._drop_launcher)
        self.main_thread = MainThread(self._perform)

    def serve(self, connection: socket.socket) -> None:
        """Serve the requests of a connection until it ends."""
        with connection, suppress(EndOfStream, OSError):  # then no thread waits for an answer any more
            for number, name, key, job_id, payload, forgotten in self._requests(Frames(connection, LONGEST_REQUEST)):
                if forgotten:
                    self._forgotten.put(forgotten)
                result = ("", False, None) if name == PING else self._do(name, _LauncherRef(key, job_id, payload))
                connection.sendall(frame(json.dumps((number, *result)).encode()))

    def _requests(self, frames: Frames) -> Iterator[_Request]:
        """Yield the requests of a connection. Returns at bytes that are no request: one line on stderr says so.

        Raises:
            EndOfStream: at its end.
            OSError: if the connection is broken.
        """
        try:
            while True:
                for request in frames.receive():
                    yield self._checked(request)
        except (EndOfStream, OSError):
            raise
        except Exception as exc:  # noqa: BLE001 - bytes that are no pickle raise anything
            # A process that is not ours has sent them, and may have sent a part of a frame, too.
            why = f"its process cannot read a request, and closes the connection: {describe(exc)!a}"
            with suppress(OSError):
                os.write(2, f"{self._cls.__qualname__}: {why}\n".encode(errors="replace"))

    def _checked(self, request: bytes) -> _Request:
        number, name, key, job_id, payload, forgotten = pickle.loads(request)
        if not isinstance(number, int) or (name != PING and name not in self._steps):
            raise ValueError(shorten(f"request {number!r} for {name!r}", 100))
        return number, name, key, job_id, payload, forgotten

    def forget(self) -> None:
        """Drop launchers whose proxies were dropped, for ever."""
        while True:
            for key in self._forgotten.get():
                call = Call(self._drop, _LauncherRef(key, "that has ended"))
                if not self.main_thread.do(call, LONG_WAIT):
                    self._perform(call)

    def _do(self, name: str, ref: _LauncherRef) -> tuple[str, bool, object]:
        """Make a call; return why it failed or an empty string, whether the launcher is busy, and the value."""
        step = self._steps[name]
        call = Call(step, ref)
        if not self.main_thread.do(call, SHORT_WAIT if name in _REPEATABLE else LONG_WAIT):
            self._perform(call)
            if name in _REPEATABLE and needs_main_thread(call.failure):
                again = Call(step, ref)
                call = again if self.main_thread.do(again, LONG_WAIT) else call
        if call.failure is not None:
            return call.failure.why, call.failure.is_busy, None
        return "", False, call.value if name == POLL.name else None

    def _perform(self, call: Call) -> None:
        process_state.enter(call)
        call.perform()
        # Before anything else: a forked child must neither answer nor serve the next request.
        if os.getpid() != self._pid:
            end_fork(call, self._cls.__qualname__)
        process_state.leave(call, self._cls.__qualname__, [call])

    def _drop_launcher(self, call: Call) -> None:
        self._launchers.pop(call.subject.key, None)

    def _build(self, call: Call) -> None:
        ref: _LauncherRef = call.subject
        job = pickle.loads(ref.payload or b"")
        self._launchers[ref.key] = self._cls(job if self._view is None else self._view(job))

    def _poll(self, call: Call) -> tuple[object, ...]:
        """Poll, and return the status, the reason and the times as plain values."""
        answer = POLL.function(_PollTarget(self._launchers[call.subject.key]))
        if isinstance(answer, JobStatus):
            return (answer.name, None, None, (), None, None)
        assert isinstance(answer, PolledEnd)  # for mypy
        reason, usage = answer.reason, answer.usage
        line = reason.lines[0] if reason is not None and reason.lines else None
        return (
            answer.status.name,
            None if reason is None else reason.message,
            line,
            () if reason is None or reason.context is None else tuple(reason.context),
            None if usage is None else usage.job_runtime,
            None if usage is None else usage.simulated_time,
        )


class _PollTarget:
    """The part of an `Entry` that a poll uses."""

    def __init__(self, launcher: AnyLauncher) -> None:
        self.launcher = launcher


def main(parent: int, control_fd: int, lifeline_fd: int) -> None:
    """Run until the parent closes the control socket, or dies.

    Args:
        parent: the id of the process at the other end of both sockets.
        control_fd: the control socket.
        lifeline_fd: the socket whose end the kernel reports with a signal.
    """
    restore_default_signals()
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, os.O_ASYNC)
    control = socket.socket(fileno=control_fd)
    survive_signals_to_all()
    frames = Frames(control)
    try:
        program = _Program(*pickle.loads(_greeting(frames)))
    except BaseException as exc:  # noqa: BLE001 - foreign code is imported here; the parent reports it
        _answer(control, failure_of(exc).why)
        os._exit(1)
    _answer(control, "")
    threading.Thread(target=program.forget, daemon=True).start()
    threading.Thread(target=_accept_connections, args=[program, frames, control, parent], daemon=True).start()
    program.main_thread.run()


def _greeting(frames: Frames) -> bytes:
    while True:
        for greeting in frames.receive():  # the parent sends nothing more before the answer
            return greeting


def _answer(control: socket.socket, error: str) -> None:
    control.sendall(frame(json.dumps(error).encode()))


def _accept_connections(program: _Program, frames: Frames, control: socket.socket, parent: int) -> None:
    """Start a thread for each connection, and end this process when the parent ends."""
    watch = ExitWatch(parent, lambda: os.getppid() != parent)
    try:
        while watch.wait_ready(control.fileno(), select.POLLIN):
            frames.receive()
            while frames.fds:
                connection = socket.socket(fileno=frames.fds.pop(0))
                threading.Thread(target=program.serve, args=[connection], daemon=True).start()
    except EndOfStream:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
    finally:
        os._exit(0)  # `sys.exit` would wait for launchers' threads and for calls that hang
