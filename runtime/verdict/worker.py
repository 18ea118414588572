"""`Workers`: Python's `re` in processes that are killed when a pattern takes too long. Blocks: for threads.

A thread cannot be stopped, and `re` holds the interpreter's lock while it searches; so a pattern like ``(a+)+$`` must
not run in this process. A worker is started when one is needed, kept for the next log, and ended by `Workers.close` or
by the end of this process, whose pipe it reads. Its limit is processor time, kept by the kernel; time on the wall is
the second net, for a worker that is stopped or does not get to run.
"""

from __future__ import annotations

import marshal
import os
import re
import select
import signal
import subprocess
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import suppress
from typing import Any, Final

from runtime.interpreter import library_path, program, start_helper
from runtime.verdict import worker_program
from runtime.verdict.decide import signal_name
from runtime.verdict.engine import Hit

_MAX_IDLE: Final = 2
"""Workers that are kept. Arbitrary; each has about 10 MB."""

_PATIENCE: Final = 60.0
"""Seconds of silence, beyond ten times the budget, after which a worker is taken for dead. Arbitrary."""

_PIPE: Final = 1 << 16


class JudgingError(Exception):
    """A log could not be judged, through no fault of the log."""


class _SilenceError(Exception):
    """A worker is gone, or says nothing."""


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self) -> None:
        self._process = start_helper(
            ["-I", "-S", program(worker_program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=library_path(),
            start_new_session=True,  # the terminal's signals are not for it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self.limit = _PATIENCE
        """Seconds that it may be silent."""
        self.silent = False
        """Whether it was silent for longer."""

    def send(self, message: tuple[Any, ...]) -> None:
        text = marshal.dumps(message)
        left = memoryview(len(text).to_bytes(4, "little") + text)
        while left:
            self._wait(self._to, select.POLLOUT)
            try:
                left = left[os.write(self._to, left[: 16 * _PIPE]) :]
            except BlockingIOError:
                continue
            except OSError as exc:  # it has ended
                raise _SilenceError from exc

    def receive(self) -> Any:
        return marshal.loads(self._read(int.from_bytes(self._read(4), "little")))

    def _read(self, size: int) -> bytes:
        text = bytearray()
        while len(text) < size:
            self._wait(self._from, select.POLLIN)
            chunk = os.read(self._from, min(size - len(text), _PIPE))
            if not chunk:
                raise _SilenceError
            text += chunk
        return bytes(text)

    def _wait(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        if not poll.poll(self.limit * 1000):
            self.silent = True
            raise _SilenceError

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it; whoever waits for its answer gets none."""
        self._process.kill()

    def end(self) -> int:
        """See that it has ended, by itself or not, close the pipes, and return how it ended, as `subprocess` does."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)  # it has closed its pipe, so it is about to end
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code


class Workers:
    """A small pool of workers. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    def take(self) -> _Worker:
        """Return a worker for the caller alone.

        Raises:
            JudgingError: if the pool is closed.
            OSError: if no process can be started.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and not worker.is_alive():
            worker.end()
            worker = None
        worker = worker or _Worker()
        with self._lock:
            if not self._closed:
                self._busy.add(worker)
                return worker
        worker.kill()
        worker.end()
        msg = "judging was called off"
        raise JudgingError(msg)

    def give_back(self, worker: _Worker) -> None:
        """Take back a worker that waits for a request."""
        with self._lock:
            self._busy.discard(worker)
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(worker)
                return
        worker.kill()
        worker.end()

    def end(self, worker: _Worker) -> int:
        """End a worker that does not answer; return how it ended."""
        with self._lock:
            self._busy.discard(worker)
        return worker.end()

    def close(self) -> None:
        """End all workers; who waits for one gets an error."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._busy:
                worker.kill()
        for worker in idle:
            worker.kill()
            worker.end()


class WorkerEngine:
    """Python's `re` in a worker, which is taken when the first block comes.

    Args:
        patterns: what to look for.
        workers: where workers come from.
        budget: seconds of processor time for all blocks together.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> None:
        self._patterns = [pattern.pattern for pattern in patterns]
        self._workers = workers
        self._budget = budget
        self._worker: _Worker | None = None

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Generator[Hit, None, None]:
        """See `Engine.scan`.

        Raises:
            JudgingError: if the budget is spent, or the worker ended for another reason.
        """
        numbers = [*first, *last]
        if not numbers:
            return
        done = 0
        try:
            worker = self._begin()
            worker.send((block, tuple(first), tuple(last)))
            for number in numbers:
                line, value, unit = worker.receive()
                done += 1
                if line >= 0:
                    yield Hit(number, line, value, unit)
        except _SilenceError:
            self._fail(self._patterns[numbers[done]].decode("ascii"))
        finally:
            if done < len(numbers) and self._worker is not None:  # it still has something to say, and nobody listens
                self._worker.kill()
                self._workers.end(self._worker)
                self._worker = None

    def close(self) -> None:
        """Give the worker back; no block may follow."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            worker.send((None, [], 0.0))  # no limit while it is idle
        except _SilenceError:
            self._workers.end(worker)
        else:
            self._workers.give_back(worker)

    def _begin(self) -> _Worker:
        if self._worker is None:
            self._worker = self._workers.take()
            self._worker.limit = _PATIENCE + 10 * self._budget
            self._worker.send((None, self._patterns, self._budget))
        return self._worker

    def _fail(self, pattern: str) -> None:
        worker, self._worker = self._worker, None
        assert worker is not None
        code = self._workers.end(worker)
        if worker.silent or code == -signal.SIGPROF:
            msg = f"judging exceeded its budget of {self._budget:.3g} s, pattern {pattern!r}"
        elif code == 0 and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # which is what `subprocess` says then
            msg = f"the process that was judging ended, nobody knows how, as SIGCHLD is ignored, pattern {pattern!r}"
        else:
            how = signal_name(-code) if code < 0 else f"exit code {code}"
            msg = f"the process that was judging ended with {how}, pattern {pattern!r}"
        raise JudgingError(msg)
