"""`ThreadWorkers`: launcher threads that are OS threads, in wall time.

Why not `trio.to_thread`
------------------------
`trio.to_thread` would pay a hop, a limiter and a cached worker for each batch, does not let us choose the thread (some
launchers are bound to theirs), and makes the end of a run wait for a call that hangs. So a launcher thread owns an OS
thread, which takes work from a queue and reports with `run_sync_soon`. It is a daemon: an abandoned call may never
return, and must not hold up the end of the interpreter.

How another thread takes over from a stalled call
-------------------------------------------------
The loop decides that the call in progress has passed its deadline; at the same time the thread may finish that call and
begin the next. Only one of them may be right, and a lock per call costs too much. Each side writes first and reads
second:

- the thread ends a call by writing ``now = None``, and then reads `retired`; if that is set, it begins no other call;
- the loop writes ``retired = True``, and then reads `now`; if that still is the call, the call is stalled.

The side that reads second sees what the other has written. If the loop still finds the call, the thread will see that
it is retired when the call returns. If the thread has finished the call, the loop sees that and goes on waiting; the
batch just ends a little early.

The loop decides everything else. A thread whose stalled call returns only reports, as after any batch. The report then
counts the answer, or, if the call was abandoned, gives the thread the step's `undo` as its last work. Only if the event
loop has ended does the thread decide: nothing can read the answer then, and it calls `undo` itself.

When a thread is interrupted
----------------------------
A launcher can raise an exception in any thread (`PyThreadState_SetAsyncExc`). Within a call it is that call's failure.
At a line of ours nothing may be lost: no call, no report, not the thread. So a call and a piece of work go from an
iterator straight into a variable, where CPython raises nothing. And the batch itself records how far it has come, so
that calling `work` again continues it.

When a launcher forks, or exits the process
-------------------------------------------
A forked child has only this thread, and returns into it. It is ended: see `forks`. A call of `os._exit` raises in these
threads: see `runtime.exit_calls`.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, thread_time
from typing import Any, Final, Generic

import outcome
import trio

from runtime.backend.legacy.call_batches import BATCH_TIME, C, Call, LauncherThread, LauncherWorkers, StalledCall
from runtime.backend.legacy.failures import Failure, failure_of
from runtime.backend.legacy.forks import end_fork
from runtime.backend.legacy.process_state import process_state
from runtime.backend.legacy.watchdog import MIN_HELD, LongCall, watchdog
from runtime.exit_calls import raise_in, restore_if_unused

logger: Final = logging.getLogger("runtime.backend.legacy")

QUICKEST_FORK: Final = 10e-6
"""Seconds: a call that was shorter has not forked. Measured: Python's `os.fork` takes at least 170 µs, a plain `fork`
of a small process about 50."""

JOIN_TIMEOUT: Final = 0.1
"""Seconds to wait for a retired thread, which has at most just begun a call. Arbitrary: ten times as long would delay
the end of a run when that call hangs, with a tenth a busy machine would leave healthy threads behind."""


class ThreadWorkers(LauncherWorkers):
    """Makes launcher threads that are OS threads."""

    def __init__(self) -> None:
        self.held: set[_Batch[Any]] = set()
        """Batches whose call is stalled or abandoned: each holds its thread."""
        self.leaving: list[_Worker] = []
        """Threads that were told to end, and may not have ended."""
        self._threads: list[_LauncherThread] = []

    def launcher_thread(self, name: str) -> LauncherThread:
        """Make a launcher thread, whose OS threads are called ``<name>.1``, ``<name>.2``, …."""
        thread = _LauncherThread(self, name)
        self._threads.append(thread)
        return thread

    @property
    def hung(self) -> int:
        """How many threads are held by stalled or abandoned calls."""
        return len(self.held)

    def abandoned(self) -> list[Call]:
        """Return the abandoned calls that have not returned."""
        return [now[0] for batch in self.held if batch.is_abandoned and (now := batch.now) is not None]

    def close(self) -> None:
        """End all threads except those that are held."""
        workers = [thread.worker for thread in self._threads if thread.worker is not None]
        for worker in workers:
            worker.dismiss()
        for worker in [*workers, *self.leaving]:
            worker.thread.join()  # it is idle, so this takes microseconds
        for batch in self.held:
            batch.join()
        watchdog.leave(self)
        restore_if_unused()


class _Worker:
    """An OS thread that does the work it is given, in order, until it is dismissed."""

    def __init__(self, name: str) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._work: Callable[[], None] | None = None
        """The work in progress; it stays here until it is done, so that an interruption cannot lose it."""
        self._interruption: BaseException | None = None
        self._is_over = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()
        raise_in(self.thread)  # before the first call that could use `os._exit`

    def give(self, work: Callable[[], None]) -> None:
        self._inbox.put(work)

    def dismiss(self) -> None:
        self._inbox.put(None)

    def _run(self) -> None:
        while not self._is_over:
            with suppress(BaseException):  # a second interruption, while `_go_on` handles the first
                self._go_on()

    def _go_on(self) -> None:
        while not self._is_over:
            try:
                self._work_off()
            except BaseException as exc:  # noqa: BLE001 - only an interruption gets here: work raises nothing
                self._interruption = exc

    def _work_off(self) -> None:
        if self._interruption is not None:
            logger.warning("%s was interrupted from outside: %r", self.thread.name, self._interruption)
            self._interruption = None
        if self._work is not None:
            self._work()
            self._work = None
        inbox = self._inbox
        # There must be no line between `get` and the assignment: an interruption there would lose the work.
        for self._work in iter(inbox.get, None):
            self._work()
            self._work = None  # noqa: PLW2901 - it may refer to a launcher, and the next work may come much later
        self._is_over = True


class _Batch(StalledCall, Generic[C]):
    """One batch in a thread: the state that the thread and the loop share."""

    def __init__(self, workers: ThreadWorkers, worker: _Worker, calls: deque[C]) -> None:
        self._workers = workers
        self._worker = worker
        self._calls = calls
        self._token = trio.lowlevel.current_trio_token()
        self._home = os.getpid()
        self._has_begun = self._has_left = False
        self._ended = trio.Event()
        self.done: list[C] = []
        self.now: tuple[C, float] | None = None
        """The call in progress, and its start on the monotonic clock."""
        self.retired = False
        """Whether the thread begins no more calls."""
        self.given_up: Call | None = None
        """The call that is not waited for any longer."""
        self.is_abandoned = False
        self._is_cancelled = False
        self.in_time = 0
        """How many calls had returned when one stalled: those are never undone."""

    # ------------------------------------------------------------------ in the thread

    def work(self) -> None:
        """Make the calls, and report. If this was interrupted, calling it again does the rest."""
        if not self._has_begun:
            self._has_begun = True
            self._make_calls()
        self._settle()
        if not self._has_left:
            self._has_left = True
            process_state.leave(self, self._workers.owner, self.done)
        try:
            self._token.run_sync_soon(self._report)
        except trio.RunFinishedError:  # the event loop has ended: nothing reads the answer
            if not self._is_cancelled:
                self._undo()
                self._worker.dismiss()

    def _make_calls(self) -> None:
        calls, done, owner, home = self._calls, self.done, self._workers.owner, self._home
        process_state.enter(self)
        spent = thread_time()
        began = monotonic()
        end = began + BATCH_TIME
        call: C | None = None
        try:
            for call in iter(calls.popleft, None):
                try:
                    del call.ticket  # `Call.begin`, inlined: this runs for each poll of each job
                except AttributeError:
                    continue
                self.now = (call, began)
                call.perform()
                start, began = began, monotonic()
                # `getpid` is a system call: most polls are too short to need it.
                if began - start > QUICKEST_FORK and os.getpid() != home:
                    end_fork(call, owner)
                self.now = None  # before `retired` is read: see the module's docstring
                done.append(call)
                if process_state.checks_every_call:
                    process_state.check(self, owner, call)
                if began >= end:
                    if began >= start + MIN_HELD:
                        long = LongCall(owner, call.step.name, call.subject, start, began, thread_time() - spent)
                        watchdog.report(long)
                    break
                if self.retired:
                    break
        except BaseException as exc:
            if call is not None and call.is_pending:  # interrupted between taking it and beginning it
                calls.appendleft(call)
            if exc.__class__ is not IndexError:  # `popleft` of an empty queue
                raise

    def _settle(self) -> None:
        """Finish a call that an exception from outside interrupted before or after the launcher's own code."""
        now = self.now
        if now is not None:
            if not now[0].has_returned:
                now[0].failure = Failure("the call was interrupted by an exception from outside")
            self.now = None
            self.done.append(now[0])

    def _undo(self) -> None:
        """Undo calls whose results were never read: the abandoned one, or all of a batch whose run was cancelled."""
        while self.in_time < len(self.done):
            call = self.done[self.in_time]
            self.in_time += 1
            if call.step.undo is not None:
                result = outcome.capture(call.step.undo, call)
                if isinstance(result, outcome.Error):
                    why = failure_of(result.error).why
                    logger.warning("%s returned after it was abandoned, and undoing it failed: %s", call, why)
                if os.getpid() != self._home:
                    end_fork(call, self._workers.owner)

    # ------------------------------------------------------------------ in the loop

    def _report(self) -> None:
        self._ended.set()
        if self not in self._workers.held:
            return  # no call of it stalled, and `run` goes on
        self._workers.held.discard(self)
        if self._is_cancelled:
            return  # `cancel` has given the thread its last work
        if self.is_abandoned:
            self._worker.give(self._undo)
        else:
            self._workers.leaving = [worker for worker in self._workers.leaving if worker.thread.is_alive()]
            self._workers.leaving.append(self._worker)
        self._worker.dismiss()  # another thread has taken over

    def time_left(self, deadline: float) -> float:
        """Return the seconds until the call in progress, unless it returns before that, counts as stalled."""
        now = self.now
        if now is None:
            return deadline
        return 0.0 if now[0] is self.given_up else max(0.0, now[1] + deadline - monotonic())

    def retire_if_stalled(self, deadline: float) -> bool:
        """Retire the thread if the call in progress has stalled; return whether it has."""
        now = self.now
        if now is None or (now[0] is not self.given_up and monotonic() < now[1] + deadline):
            return False
        # The order closes the race with the thread: write `retired`, count what has returned, and only then read `now`.
        # If `now` is unchanged, `done` cannot grow before the call returns, and the thread begins no other call.
        self.retired = True
        in_time = len(self.done)
        if self.now is not now:
            return False
        self.call = now[0]
        self.in_time = in_time
        self._workers.held.add(self)
        process_state.ignore(self)
        return True

    def cancel(self) -> None:
        """Retire the thread, as its run was cancelled: all calls are undone, the one in progress when it returns."""
        self.retired = True
        self._worker.give(self._undo)
        self._worker.dismiss()
        if not self._ended.is_set():
            self.is_abandoned = self._is_cancelled = True
            self._workers.held.add(self)
            process_state.ignore(self)

    def join(self) -> None:
        """Wait for the end of a thread whose run was cancelled, unless it is in a call."""
        if self._is_cancelled and self.now is None:
            self._worker.thread.join(JOIN_TIMEOUT)

    def has_returned(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> None:
        await self._ended.wait()

    def abandon(self) -> None:
        self.is_abandoned = True


class _LauncherThread(LauncherThread):
    """Has one OS thread at a time, and a new one after a stalled call."""

    def __init__(self, workers: ThreadWorkers, name: str) -> None:
        self._workers = workers
        self._name = name
        self._number = itertools.count(1)
        self.worker: _Worker | None = None
        self._batch: _Batch[Any] | None = None
        """The batch in progress."""
        self._waiting = trio.CancelScope()

    async def run(self, calls: deque[C], deadline: float) -> tuple[list[C], StalledCall | None]:
        worker = self.worker
        if worker is None:
            worker = self.worker = _Worker(f"{self._name}.{next(self._number)}")
        batch = self._batch = _Batch(self._workers, worker, calls)
        watchdog.begin(self._workers, batch)
        worker.give(batch.work)
        try:
            while not batch.has_returned():
                # Each call has the whole deadline, so after waking up the remaining time is computed anew.
                with trio.move_on_after(batch.time_left(deadline)) as self._waiting:
                    await batch.wait()
                if not batch.has_returned() and batch.retire_if_stalled(deadline):
                    self.worker = None
                    return batch.done[: batch.in_time], batch
        except BaseException:
            self.worker = None
            batch.cancel()
            raise
        finally:
            self._batch = None
            watchdog.end(batch)
        return batch.done, None

    def abandon(self, call: Call) -> None:
        if self._batch is not None:
            self._batch.given_up = call
            self._waiting.cancel()
