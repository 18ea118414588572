"""`Workers`: a pool of processes that run Python's `re`, and are killed when a pattern takes too long.

A thread cannot be stopped, and `re` holds the interpreter's lock while it searches; so a pattern like ``(a+)+$`` must
not run in this process. A worker is started when one is needed, and kept for the next log. `Workers.close` ends it, and
so does the end of this process, which closes the socket that the worker reads. The kernel limits its processor time. A
timeout on the wall clock covers a worker that was stopped or does not get to run. Everything here blocks: for threads.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial
from typing import Final, TypeVar

from runtime.helper import program
from runtime.helper.interpreter import loader_path
from runtime.helper.process import HelperProcess, deadline_in
from runtime.helper.wire import decode, encode
from runtime.signal_names import signal_name
from runtime.verdict import worker_program
from runtime.verdict.engine import Hit
from runtime.verdict.lines import Block

T = TypeVar("T")

_MAX_IDLE: Final = 2
"""Idle workers that are kept. Arbitrary: each takes about 10 MB; with none, a log would wait for an interpreter to
start."""

_ANSWER_TIMEOUT: Final = 60.0
"""Seconds without an answer, beyond ten times the budget, after which a worker is killed. Arbitrary: ten times less,
and a busy machine would fail good jobs; ten times more, and a stopped worker would hold a thread for long."""

_END_TIMEOUT: Final = 0.5
"""Seconds that a worker may take to end by itself: if the kernel has ended it for its budget, its status says so.
Arbitrary: ten times less, and a busy machine hides that; ten times more, and one that was stopped holds a thread."""


class JudgingError(Exception):
    """A log could not be judged within its limits, or the process that judged it ended."""


class _NoAnswerError(Exception):
    """A worker has ended, or does not answer."""


class _WorkerProcess:
    """A worker, and how long it may take."""

    def __init__(self) -> None:
        self.helper: Final = HelperProcess(program.words(worker_program), env=loader_path())
        self.timeout = _ANSWER_TIMEOUT
        """Seconds that it may take to read a request, and for each answer."""
        self.timed_out: bool = False
        """Whether it has taken longer."""

    def send(self, *request: object) -> None:
        """Send a request; raise `_NoAnswerError` if the worker does not read it."""
        self._wait_for(partial(self.helper.channel.send, encode(*request)))

    def receive(self) -> worker_program.Answer:
        """Return the next answer; raise `_NoAnswerError` if none comes."""
        line, value, unit = decode(self._wait_for(self.helper.channel.receive))
        return line, value, unit

    def end(self) -> int:
        """Wait until it has ended, kill it if need be; return its exit status as `subprocess` does."""
        code = self.helper.end(_END_TIMEOUT)
        self.helper.close()
        return code

    def kill(self) -> None:
        """Kill it, and wait until it has ended."""
        self.helper.kill()
        self.end()

    def _wait_for(self, call: Callable[[float], T]) -> T:
        try:
            return call(deadline_in(self.timeout))
        except TimeoutError as exc:
            self.timed_out = True
            raise _NoAnswerError from exc
        except (EOFError, OSError) as exc:  # it has ended
            raise _NoAnswerError from exc


class Workers:
    """A pool of workers. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_WorkerProcess] = []
        self._busy: set[_WorkerProcess] = set()
        self._closed = False

    def take(self) -> _WorkerProcess:
        """Return a worker that no other caller has until `give_back` or `end`.

        Raises:
            JudgingError: if the pool is closed.
            OSError: if no process can be started.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.helper.has_exited():  # it was killed while idle, for memory, say
            worker.end()
            worker = None
        worker = worker or _WorkerProcess()  # not under the lock: starting a process takes milliseconds
        with self._lock:
            if not self._closed:
                self._busy.add(worker)
                return worker
        # `close` ran while the process was being started, and does not know of it.
        worker.kill()
        raise JudgingError("judging was cancelled: the pool of workers is closed")

    def give_back(self, worker: _WorkerProcess) -> None:
        """Return an idle worker to the pool."""
        with self._lock:
            self._busy.discard(worker)
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(worker)
                return
        worker.kill()

    def end(self, worker: _WorkerProcess) -> int:
        """End a worker that does not answer; return its exit status as `subprocess` does."""
        with self._lock:
            self._busy.discard(worker)
        return worker.end()

    def close(self) -> None:
        """End all workers. A thread that waits for an answer gets `JudgingError`, and so does a later `take`."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._busy:  # killed only: the thread that has it waits for its end
                worker.helper.kill()
        for worker in idle:
            worker.kill()


class WorkerEngine:
    """Python's `re` in a worker, which is taken from the pool at the first block.

    Args:
        patterns: what to look for.
        workers: the pool of worker processes.
        budget: seconds of processor time for all blocks together.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> None:
        self._patterns = [pattern.pattern for pattern in patterns]
        self._workers = workers
        self._budget = budget
        self._worker: _WorkerProcess | None = None

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Generator[Hit, None, None]:
        """See `Engine.scan`.

        Raises:
            JudgingError: if the budget is spent, or the worker ended for another reason.
        """
        numbers = [*first, *last]
        if not numbers:
            return
        done = 0  # answers come in the order of `numbers`, so this tells which pattern is being searched
        try:
            worker = self._begin()
            worker.send(block.lines, tuple(first), tuple(last))
            for number in numbers:
                line, value, unit = worker.receive()
                done += 1
                if line >= 0:
                    yield Hit(number, line, value, unit)
        except _NoAnswerError:
            self._fail(self._patterns[numbers[done]].decode("ascii"))
        finally:
            # The caller has closed this generator. The answers that are left would be read as those of the next block.
            if done < len(numbers) and self._worker is not None:
                self._worker.helper.kill()
                self._workers.end(self._worker)
                self._worker = None

    def close(self) -> None:
        """Return the worker to the pool. `scan` must not be called after it."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            worker.send(None, [], 0.0)  # disarms the timer: the next log has a budget of its own
        except _NoAnswerError:
            self._workers.end(worker)
        else:
            self._workers.give_back(worker)

    def _begin(self) -> _WorkerProcess:
        if self._worker is None:
            self._worker = self._workers.take()
            self._worker.timeout = _ANSWER_TIMEOUT + 10 * self._budget
            self._worker.send(None, self._patterns, self._budget)
        return self._worker

    def _fail(self, pattern: str) -> None:
        worker, self._worker = self._worker, None
        assert worker is not None
        code = self._workers.end(worker)
        if worker.timed_out or code == -signal.SIGPROF:
            msg = f"judging exceeded its budget of {self._budget:.3g} s, pattern {pattern!r}"
        elif code == 0 and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # then `subprocess` reports 0 always
            msg = f"the judging process ended with an unknown status, because SIGCHLD is ignored, pattern {pattern!r}"
        else:
            how = signal_name(-code) if code < 0 else f"exit code {code}"
            msg = f"the judging process ended with {how}, pattern {pattern!r}"
        raise JudgingError(msg)
