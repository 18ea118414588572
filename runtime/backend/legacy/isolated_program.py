"""The process in which isolated launchers live. `isolated` starts it, and says why there is one.

It is told the class once, over the control socket, and gets a *line* there for each thread that calls launchers: a
socket pair of which it keeps one end, and a thread of its own that reads what comes over it, call by call. So what
hangs here hangs one line. The calls are made in the main thread, where launchers find what they would find in a program
of their own; while one hangs there, in the line's thread (see `main_thread`). Launchers that nobody needs any more are
dropped in the main thread, too: their `__del__` is theirs, and may take as long as it likes.

An answer has the number of its request; bytes that are no request end their line, and no other. After each call this
process looks whether it still is itself: a child of a launcher that comes back from a call is ended (see `forks`).

When the control socket ends, or the process at its other end, so does this one, whatever its threads do. If one of them
holds the interpreter's lock, nobody here sees that; but of another socket the kernel sends a signal (SIGIO) when it is
closed, which ends a process that has not asked for anything else.
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
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Final

from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.duck_typing import describe
from runtime.backend.legacy.failures import failure_of
from runtime.backend.legacy.forks import end_fork
from runtime.backend.legacy.launcher_calls import BUILD, KILL, LAUNCH, POLL, Ended
from runtime.backend.legacy.main_thread import LONG, SHORT, MainThread, wants_main_thread
from runtime.backend.legacy.process_state import surroundings
from runtime.job import JobStatus
from runtime.job.shorten import shorten
from runtime.process.default_signals import survive_signals_to_all, take_signals_as_usual
from runtime.process.exits import ExitWatch

PING: Final = "ping"
"""What is asked of a process that may be stuck."""

MOST_FDS: Final = 8
"""Descriptors taken in at once; one comes with each message."""

_AGAIN: Final = frozenset({POLL.name, KILL.name})
"""What can be done again if it has failed for want of the main thread."""


class _Held:
    """A launcher, by its number."""

    def __init__(self, key: int, job_id: str, payload: bytes | None = None) -> None:
        self.key = key
        self.payload = payload
        self._job_id = job_id

    def __repr__(self) -> str:
        return f"job {self._job_id!r}"


class _Program:
    """The launchers of this process, and how they are called."""

    def __init__(self, launcher_cls: Any, view: Callable[[Any], Any] | None) -> None:
        self._cls = launcher_cls
        self._view = view
        self._pid = os.getpid()
        self._launchers: dict[int, Any] = {}
        self._forgotten = queue.SimpleQueue[list[int]]()
        self._steps = {
            step.name: Step(step.name, function)
            for step, function in (
                (BUILD, self._build),
                (LAUNCH, lambda held: self._launchers[held.key].launch()),
                (POLL, self._poll),
                (KILL, lambda held: self._launchers[held.key].kill()),
            )
        }
        self._drop = Step("__del__()", self._let_go)
        self.main_thread = MainThread(self._perform)

    def serve(self, line: socket.socket) -> None:
        """Do what comes over `line`, until it ends."""
        with line, line.makefile("rb") as requests:
            while True:
                try:
                    number, name, key, job_id, payload, forgotten = self._read(requests)
                    if forgotten:
                        self._forgotten.put(forgotten)
                    answer = ("", False, None) if name == PING else self._do(name, _Held(key, job_id, payload))
                    line.sendall(json.dumps((number, *answer)).encode() + b"\n")
                except (EOFError, OSError):
                    return  # nobody waits for it any more

    def _read(self, requests: BinaryIO) -> tuple[int, str, int, str, bytes | None, list[int]]:
        """Return the next request.

        Raises:
            EOFError: if there is none; of bytes that are none, one line tells.
            OSError: if the line is broken.
        """
        try:
            number, name, key, job_id, payload, forgotten = pickle.load(requests)
            if not isinstance(number, int) or (name != PING and name not in self._steps):
                msg = shorten(f"request {number!r} for {name!r}", 100)
                raise ValueError(msg)
        except (EOFError, OSError):
            raise
        except Exception as exc:  # bytes that are no pickle raise anything
            # Nobody knows where the next request would begin.
            why = f"its process cannot read a request, and closes the connection: {describe(exc)!a}"
            with suppress(OSError):
                os.write(2, f"{self._cls.__qualname__}: {why}\n".encode(errors="replace"))
            raise EOFError from exc
        return number, name, key, job_id, payload, forgotten

    def forget(self) -> None:
        """Let launchers go that nobody needs any more, for ever."""
        while True:
            for key in self._forgotten.get():
                call = Call(self._drop, _Held(key, "that has ended"))
                if not self.main_thread.do(call, LONG):
                    self._perform(call)

    def _do(self, name: str, held: _Held) -> tuple[str, bool, Any]:
        """Return why it failed, if it did; whether it is busy; and its value."""
        step = self._steps[name]
        call = Call(step, held)
        if not self.main_thread.do(call, SHORT if name in _AGAIN else LONG):
            self._perform(call)
            if name in _AGAIN and wants_main_thread(call.failure):
                again = Call(step, held)
                call = again if self.main_thread.do(again, LONG) else call
        if call.failure is not None:
            return call.failure.why, call.failure.is_busy, None
        return "", False, call.value if name == POLL.name else None

    def _perform(self, call: Call) -> None:
        surroundings.enter(call)
        call.perform()
        if os.getpid() != self._pid:
            end_fork(call, self._cls.__qualname__)
        surroundings.leave(call, self._cls.__qualname__, [call])

    def _let_go(self, held: _Held) -> None:
        self._launchers.pop(held.key, None)

    def _build(self, held: _Held) -> None:
        job = pickle.loads(held.payload or b"")
        self._launchers[held.key] = self._cls(job if self._view is None else self._view(job))

    def _poll(self, held: _Held) -> tuple[Any, ...]:
        """Poll, and return what there is to know, as plain values."""
        said = POLL.function(_Entry(self._launchers[held.key]))
        if isinstance(said, JobStatus):
            return (said.name, None, None, (), None, None)
        assert isinstance(said, Ended)  # for mypy
        reason, usage = said.reason, said.usage
        line = reason.lines[0] if reason is not None and reason.lines else None
        return (
            said.status.name,
            None if reason is None else reason.message,
            line,
            () if reason is None or reason.context is None else tuple(reason.context),
            None if usage is None else usage.job_runtime,
            None if usage is None else usage.simulated_time,
        )


class _Entry:
    """As much of an `Entry` as a poll needs."""

    def __init__(self, launcher: Any) -> None:
        self.launcher = launcher


def main(control_fd: int, life_fd: int, parent: int) -> None:
    """Run until the other side closes the control socket, or is no more.

    Args:
        control_fd: the control socket.
        life_fd: the socket whose end is told by a signal.
        parent: the process at the other end of both.
    """
    take_signals_as_usual()
    fcntl.fcntl(life_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life_fd, fcntl.F_SETFL, os.O_ASYNC)
    control = socket.socket(fileno=control_fd)
    survive_signals_to_all()
    try:
        with control.makefile("rb") as greeting:  # nothing comes behind it before it is answered
            program = _Program(*pickle.load(greeting))
    except BaseException as exc:  # noqa: BLE001 - foreign code is imported here; the other side tells it
        _answer(control, failure_of(exc).why)
        os._exit(1)
    _answer(control, "")
    threading.Thread(target=program.forget, daemon=True).start()
    threading.Thread(target=_take_lines, args=[program, control, parent], daemon=True).start()
    program.main_thread.run()


def _answer(control: socket.socket, trouble: str) -> None:
    control.sendall(json.dumps(trouble).encode() + b"\n")


def _take_lines(program: _Program, control: socket.socket, parent: int) -> None:
    """Start a thread for each line, and end this process with the other side."""
    watch = ExitWatch(parent, lambda: os.getppid() != parent)
    try:
        while watch.wait_ready(control.fileno(), select.POLLIN):
            message, fds, _flags, _address = socket.recv_fds(control, 1, MOST_FDS)
            if not message:
                break
            for fd in fds:
                threading.Thread(target=program.serve, args=[socket.socket(fileno=fd)], daemon=True).start()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
    finally:
        os._exit(0)  # whatever threads launchers have made, and whatever calls hang
