"""The process in which isolated launchers live. `isolated` starts it, and says why there is one.

It is told the class once, over the control socket, and gets a *line* there for each thread that calls launchers: a
socket pair of which it keeps one end, and a thread of its own that does what comes over it, call by call. So a call
here has a thread here and a thread there, each with nothing else to do, and what is true of the other side's threads
(one call at a time in the lane, kills side by side, another thread after one that hangs) is true of these.

When the control socket ends, so does the process, whatever its threads do. If one of them holds the interpreter's lock,
nobody here sees that end; but of another socket the kernel sends a signal (SIGIO) when it is closed, which ends a
process that has not asked for anything else.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from runtime.backends.legacy.shape import describe, is_busy
from runtime.backends.legacy.slices import Call, Step
from runtime.backends.legacy.steps import BUILD, KILL, LAUNCH, POLL, Ended
from runtime.backends.legacy.surroundings import surroundings
from runtime.job import JobStatus
from runtime.process.usual_signals import take_signals_as_usual

PING: Final = "ping"
"""What is asked of a process that may be stuck."""

MOST_FDS: Final = 8
"""Descriptors taken in at once; one comes with each message."""


class _Held:
    """A launcher, by its number."""

    def __init__(self, key: int, job_id: str, payload: bytes | None) -> None:
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
        self._launchers: dict[int, Any] = {}
        self._steps = {
            step.name: Step(step.name, function)
            for step, function in (
                (BUILD, self._build),
                (LAUNCH, lambda held: self._launchers[held.key].launch()),
                (POLL, self._poll),
                (KILL, lambda held: self._launchers[held.key].kill()),
            )
        } | {PING: Step(PING, lambda _held: None)}

    def serve(self, line: socket.socket) -> None:
        """Do what comes over `line`, until it ends."""
        with line, line.makefile("rwb") as stream:
            while True:
                try:
                    name, key, job_id, payload, forgotten = pickle.load(stream)
                except (EOFError, OSError):
                    return
                for old in forgotten:
                    self._launchers.pop(old, None)
                answer = self._do(Call(self._steps[name], _Held(key, job_id, payload)))
                try:
                    stream.write(pickle.dumps(answer))
                    stream.flush()
                except OSError:
                    return  # nobody waits for it any more

    def _do(self, call: Call) -> tuple[str, bool, Any]:
        """Return why it failed, if it did; whether it is busy; and its value."""
        surroundings.enter(call)
        call.perform()
        surroundings.leave(call, self._cls.__qualname__, [call])
        if call.error is not None:
            return call.why, is_busy(call.error), None
        return "", False, call.value

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


def main(control_fd: int, life_fd: int) -> None:
    """Run until the other side closes the control socket, or is no more."""
    take_signals_as_usual()
    fcntl.fcntl(life_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life_fd, fcntl.F_SETFL, os.O_ASYNC)
    control = socket.socket(fileno=control_fd)
    try:
        with control.makefile("rb") as greeting:  # nothing comes behind it before it is answered
            program = _Program(*pickle.load(greeting))
    except BaseException as exc:  # noqa: BLE001 - foreign code is imported here; the other side tells it
        control.sendall(pickle.dumps(describe(exc)))
        os._exit(1)
    control.sendall(pickle.dumps(""))
    while True:
        message, fds, _flags, _address = socket.recv_fds(control, 1, MOST_FDS)
        if not message:
            break
        for fd in fds:
            threading.Thread(target=program.serve, args=[socket.socket(fileno=fd)], daemon=True).start()
    sys.stdout.flush()
    os._exit(0)  # whatever threads launchers have made, and whatever calls hang
