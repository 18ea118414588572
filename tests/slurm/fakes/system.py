"""`FakeSystem`: the fake. A thread serves the programs and watches the jobs' processes; a test controls it."""

from __future__ import annotations

import contextlib
import itertools
import marshal
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

import attrs
import trio

from tests.slurm.fakes import client
from tests.slurm.fakes.controller import Controller, Settings
from tests.slurm.fakes.dialect import Dialect
from tests.slurm.fakes.faults import Act, Answer, Edit, Hang, Only, Orders, Say, Stop
from tests.slurm.fakes.jobs import Job
from tests.slurm.fakes.nodes import ProcessNodes

MARK: Final = "FAKE_SLURM"
"""The environment variable that jobs carry; its value is the directory of their fake."""
TIMEOUT: Final = 20.0
"""Seconds after which `wait` gives up. Arbitrary."""


@attrs.define(eq=False)
class Call:
    """One call of a program."""

    program: str
    arguments: tuple[str, ...]
    at: float
    """When it came, on the monotonic clock in seconds."""
    answer: Answer | None = None
    """The answer that it got; `None` before that."""
    ended: float | None = None
    """When the program was told to exit, or was gone."""
    abandoned: bool = False
    """Whether the program was gone before it had an answer, as when it was killed."""


@attrs.define(eq=False)
class _Connection:
    socket: socket.socket
    data: bytes = b""
    request: tuple[str, list[str], str, dict[str, str]] | None = None
    call: Call | None = None


class FakeSystem:
    """Replaces a batch system while its block lasts; at the end no process of its jobs is left.

    Args:
        dialect: which system.
        settings: what a site decides; change them at any time.
    """

    def __init__(self, dialect: Dialect, settings: Settings | None = None) -> None:
        self.dialect = dialect
        self.settings = settings or Settings()
        self.calls: list[Call] = []
        self.lock = threading.RLock()
        """Held by the thread while it works, and by a test that reads more than one value."""
        self.directory = Path(tempfile.mkdtemp(prefix="fake-slurm-"))
        self._orders = Orders()
        self._down = False
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
        self._ending = False
        (self.directory / "spool").mkdir()
        self.nodes = ProcessNodes(self.directory / "spool", dialect.environment, self._watch, self._failed)
        self.nodes.environment[MARK] = str(self.directory)
        self.controller = Controller(self.nodes, time.monotonic, self.settings)
        self.commands = dialect.commands(self.controller, time.time() - time.monotonic())
        self._thread = threading.Thread(target=self._serve, name="fake Slurm", daemon=True)

    def __enter__(self) -> Self:
        path = self.directory / "socket"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, lambda: self._woken.recv(64))
        self.bin.mkdir()
        for name in self.dialect.programs:
            words = [sys.executable, "-IS", client.__file__, str(path), name]
            program = self.bin / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            program.chmod(0o755)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self.lock:
            self._ending = True
            self._poke()
        self._thread.join(TIMEOUT)
        while left := self.alive():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for _, process in self._running.values():
            process.wait()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            else:
                os.close(key.fd)
        self._selector.close()
        self._wake.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def bin(self) -> Path:
        """The directory to put first in the `PATH`."""
        return self.directory / "bin"

    # ------------------------------------------------------------------ what a test orders

    def next(self, program: str, *acts: Act) -> None:
        """Use these for the next calls of `program`, one each."""
        with self.lock:
            self._orders.next(program, *acts)

    def always(self, program: str, act: Act | None) -> None:
        """Use this for all calls of `program` without an order of their own; `None` ends that."""
        with self.lock:
            self._orders.always(program, act)

    def stop(self) -> None:
        """Answer no call: the controller's machine is off."""
        with self.lock:
            self._down = True

    def start(self) -> None:
        """Answer calls again."""
        with self.lock:
            self._down = False

    def change(self, function: Callable[[Controller], Any]) -> None:
        """Call ``function(controller)``, and let the controller react."""
        with self.lock:
            function(self.controller)
            self._poke()

    def show(self, state: str | None, *indices: int, reason: str | None = None) -> None:
        """Show this state instead of the true one, for elements with these indices; for all if none is given."""
        with self.lock:
            for job in self.controller.jobs:
                if not indices or job.index in indices:
                    job.shown = state
                    if reason is not None:
                        job.reason = reason

    def fail_node(self, name: str, *, state: str = "NODE_FAIL", kill: bool = True) -> None:
        """See `Controller.fail_node`."""
        self.change(lambda controller: controller.fail_node(name, state=state, kill=kill))

    def preempt(self, *indices: int) -> None:
        """Preempt the elements with these indices."""

        def take(controller: Controller) -> None:
            jobs = [job for job in controller.jobs if job.index in indices and job.is_active]
            controller.take_away(jobs, state="PREEMPTED")

        self.change(take)

    def purge(self) -> None:
        """Forget the jobs that have ended, now."""

        def forget(controller: Controller) -> None:
            controller.jobs = [job for job in controller.jobs if not job.is_done]

        self.change(forget)

    def lose_state(self, *, first_id: int = 1, kill: bool = True) -> None:
        """Forget everything, and number new jobs from `first_id`: a controller that was started with ``-c``."""

        def forget(controller: Controller) -> None:
            for job in controller.jobs if kill else ():
                self.nodes.signal(job, signal.SIGKILL)
            for job in controller.jobs:
                job.process = 0
            controller.jobs = []
            controller.next_id = first_id

        self.change(forget)

    # ------------------------------------------------------------------ what a test asks

    def count(self, program: str) -> int:
        """How often a program was called."""
        return sum(call.program == program for call in self.calls)

    def jobs(self) -> list[Job]:
        """Return all jobs that the controller knows."""
        with self.lock:
            return list(self.controller.jobs)

    def alive(self) -> list[int]:
        """Return the live processes of all jobs, also of those that the controller has forgotten."""
        expected = f"{MARK}={self.directory}".encode()
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if expected in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
        return found

    async def wait(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds, asked a hundred times a second.

        Raises:
            trio.TooSlowError: if it does not hold within `TIMEOUT` seconds.
        """
        with trio.fail_after(TIMEOUT):
            while not condition():  # noqa: ASYNC110 - a condition of processes and another thread
                await trio.sleep(0.01)

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        while True:
            with self.lock:
                if self._ending:
                    return
                due = self.controller.work()
                now = time.monotonic()
                for item in sorted(self._later, key=lambda item: item[:2]):
                    if item[0] <= now:
                        self._later.remove(item)
                        item[2]()
                times = [at for at, _, _ in self._later] + ([] if due is None else [due])
            timeout = max(0.0, min(times) - time.monotonic()) if times else None
            for key, _ in self._selector.select(timeout):
                with self.lock:
                    key.data()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b"x", socket.MSG_DONTWAIT)

    def _accept(self) -> None:
        connection = _Connection(self._listener.accept()[0])
        connection.socket.setblocking(False)
        self._selector.register(connection.socket, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self._close(connection, abandoned=True)
            return
        connection.data += data
        while len(connection.data) >= 4:
            size = 4 + int.from_bytes(connection.data[:4], "big")
            if len(connection.data) < size:
                return
            message, connection.data = marshal.loads(connection.data[4:size]), connection.data[size:]
            self._take(connection, message)

    def _take(self, connection: _Connection, message: Any) -> None:
        if connection.request is not None:
            self._act(connection, message)
            return
        program, arguments, _, _ = connection.request = message
        connection.call = Call(program, tuple(arguments), time.monotonic())
        self.calls.append(connection.call)
        if self.commands.needs_input(program, arguments):
            self._tell(connection, "stdin", b"")
        else:
            self._act(connection, b"")

    def _act(self, connection: _Connection, script: bytes) -> None:
        """Do what was ordered for this call, or otherwise what the program does."""
        assert connection.request is not None
        program, arguments, directory, environment = connection.request

        def run(only: Iterable[int] | None = None) -> Answer:
            return self.commands.run(program, arguments, directory, environment, script, only=only)

        act = self._orders.take(program)
        if act is None and self._down and (answer := self.commands.no_contact(program)) is not None:
            act = Say(answer.out, answer.err, answer.code)
        if isinstance(act, Hang | Stop):
            if act.done:
                run()
            if isinstance(act, Hang) and act.err:
                self._tell(connection, "err", act.err.encode())
            if isinstance(act, Stop):
                self._tell(connection, "stop", int(signal.SIGSTOP))
        elif isinstance(act, Say):
            if act.done:
                run()
            answer = Answer(act.out, act.err, act.code)
            if act.after:
                at = time.monotonic() + act.after
                self._later.append((at, next(self._numbers), lambda: self._answer(connection, answer)))
            else:
                self._answer(connection, answer)
        elif isinstance(act, Edit):
            self._answer(connection, act.change(run()))
        else:
            self._answer(connection, run(act.indices if isinstance(act, Only) else None))

    def _answer(self, connection: _Connection, answer: Answer) -> None:
        if connection.call is not None and connection.call.ended is None:
            connection.call.answer = answer
            out = answer.out if isinstance(answer.out, bytes) else answer.out.encode()
            for what, value in (("err", answer.err.encode()), ("out", out)):
                if value:
                    self._tell(connection, what, value)
            self._tell(connection, "exit", answer.code)
            self._close(connection, abandoned=False)

    def _tell(self, connection: _Connection, what: str, value: int | bytes) -> None:
        data = marshal.dumps((what, value))
        with contextlib.suppress(ConnectionError):
            connection.socket.setblocking(True)  # it is read at once, or its reader has gone
            connection.socket.settimeout(1)
            connection.socket.sendall(len(data).to_bytes(4, "big") + data)
            connection.socket.setblocking(False)

    def _close(self, connection: _Connection, *, abandoned: bool) -> None:
        if connection.call is not None and connection.call.ended is None:
            connection.call.ended, connection.call.abandoned = time.monotonic(), abandoned
        self._selector.unregister(connection.socket)
        connection.socket.close()

    # ------------------------------------------------------------------ processes

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        handle = os.pidfd_open(process.pid)
        self._running[handle] = job, process
        self._selector.register(handle, selectors.EVENT_READ, lambda: self._end(handle))

    def _end(self, handle: int) -> None:
        """End the processes that a script left in its group when it ended, as with ``proctrack/pgid``."""
        self._selector.unregister(handle)
        os.close(handle)
        job, process = self._running.pop(handle)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if job.process == process.pid:  # else it was taken from its node
            self.controller.ended(job, -code if code < 0 else code << 8)

    def _failed(self, job: Job, status: int) -> None:
        self._later.append((time.monotonic(), next(self._numbers), lambda: self.controller.ended(job, status)))
