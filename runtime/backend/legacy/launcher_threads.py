"""The real seam: a lane is a thread, and a slice ends by the wall clock.

Why threads of our own
----------------------
`trio.to_thread` would pay a hop, a limiter and a cached worker for each slice, gives no say in which thread runs it
(some launchers are bound to theirs), and makes the end of a run wait for a call that hangs. So a lane has a thread,
a daemon, which takes work from a queue and reports with `run_sync_soon`. A daemon, because an abandoned call may never
return, and must not hold up the end of the interpreter.

Taking over from a thread that hangs
------------------------------------
The loop decides that the call in progress has taken too long; the thread finishes it in that very moment and would
begin the next. Both cannot be right, and a lock per call is too dear. Each side writes first and reads second:

- the thread ends a call by writing ``now = None``, and then reads `retired`; if that is set it begins no other call;
- the loop writes ``retired = True``, and then reads `now`; if that still shows the call, the call is set aside.

Whoever reads second sees what the other wrote. So if the loop finds the call still there, the thread will see that it
is retired when the call returns; and if the thread went on, the loop sees that the call is over, and waits on: the
slice is a little shorter than it might have been.

Everything else is decided in the loop. A thread whose call returns late only reports, as after any slice; the report
finds that the call was set aside (its answer counts) or abandoned (the loop hands the thread the step's `undo`, as its
last work). Only when the loop itself has ended does the thread decide: then nobody waits, and it does the `undo`.

When a thread is interrupted
----------------------------
A launcher can raise an exception in any thread (`PyThreadState_SetAsyncExc`). In a call it is that call's failure. At a
line of ours nothing may be lost: no call, no report, not the thread. So a call and a piece of work come out of an
iterator straight into a variable, where CPython raises nothing; and how far a turn has come is kept in the turn, so
that `work` is called again, and goes on.

When a launcher forks, or ends the process
------------------------------------------
The child has this thread alone, and comes back into it. It is ended: see `forks`. A call of `os._exit` raises in these
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
from typing import Final

import outcome
import trio

from runtime.backend.legacy.call_batches import SLICE, Call, Late, LauncherThread, Seam
from runtime.backend.legacy.failures import Failure, failure_of
from runtime.backend.legacy.forks import end_fork
from runtime.backend.legacy.process_state import surroundings
from runtime.backend.legacy.watchdog import HELD, LongCall, watchdog
from runtime.exit_calls import raise_in, restore_if_unused

logger: Final = logging.getLogger("runtime.backend.legacy")

QUICKEST_FORK: Final = 10e-6
"""Seconds; what is over sooner has not forked. Measured: Python's `os.fork` takes 170 µs at least, and a plain one of a
small process some 50."""

FAREWELL: Final = 0.1
"""Seconds to wait for a thread that has been told to end. It has at most begun a call in that very moment."""


class ThreadSeam(Seam):
    """LauncherThreads that are threads."""

    def __init__(self) -> None:
        self.late: set[_Turn] = set()
        self.leaving: list[_Worker] = []
        """Threads with nothing left to do."""
        self._lanes: list[_LauncherThread] = []

    def lane(self, name: str) -> LauncherThread:
        """Make a lane, whose threads are called ``<name>.1``, ``<name>.2``, …."""
        lane = _LauncherThread(self, name)
        self._lanes.append(lane)
        return lane

    @property
    def hung(self) -> int:
        """How many threads are held."""
        return len(self.late)

    def abandoned(self) -> list[Call]:
        """Return the abandoned calls that have not returned."""
        return [now[0] for turn in self.late if turn.is_abandoned and (now := turn.now) is not None]

    def close(self) -> None:
        """End all threads but those that are held."""
        workers = [lane.worker for lane in self._lanes if lane.worker is not None]
        for worker in workers:
            worker.dismiss()
        for worker in [*workers, *self.leaving]:
            worker.thread.join()  # it waits for work, so this takes microseconds
        for turn in self.late:
            turn.see_off()
        watchdog.leave(self)
        restore_if_unused()


class _Worker:
    """A thread that does what it is given, in order, until it is dismissed."""

    def __init__(self, name: str) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._work: Callable[[], None] | None = None
        """What it is doing, until that is done."""
        self._interruption: BaseException | None = None
        self._is_over = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()
        raise_in(self.thread)  # before it has any work

    def give(self, work: Callable[[], None]) -> None:
        self._inbox.put(work)

    def dismiss(self) -> None:
        self._inbox.put(None)

    def _run(self) -> None:
        while not self._is_over:
            with suppress(BaseException):  # two interruptions, a line apart
                self._go_on()

    def _go_on(self) -> None:
        while not self._is_over:
            try:
                self._work_off()
            except BaseException as exc:  # noqa: BLE001 - nothing of ours raises here
                self._interruption = exc

    def _work_off(self) -> None:
        if self._interruption is not None:
            logger.warning("%s was interrupted from outside: %r", self.thread.name, self._interruption)
            self._interruption = None
        if self._work is not None:
            self._work()
            self._work = None
        inbox = self._inbox
        for self._work in iter(inbox.get, None):  # see the module's docstring
            self._work()
            self._work = None  # noqa: PLW2901 - it may hold a launcher, and the next work may be long in coming
        self._is_over = True


class _Turn(Late):
    """One slice in a thread: all that the thread and the loop share about it."""

    def __init__(self, seam: ThreadSeam, worker: _Worker, calls: deque[Call]) -> None:
        self._seam = seam
        self._worker = worker
        self._calls = calls
        self._token = trio.lowlevel.current_trio_token()
        self._home = os.getpid()
        self._has_begun = self._has_left = False
        self._ended = trio.Event()
        self.done: list[Call] = []
        self.now: tuple[Call, float] | None = None
        """The call in progress, and since when, by the wall clock."""
        self.retired = False
        """Whether the thread begins no more calls."""
        self.is_abandoned = False
        self._is_forsaken = False
        self.in_time = 0
        """How many calls had returned when one was set aside."""

    # ------------------------------------------------------------------ in the thread

    def work(self) -> None:
        """Do the slice, and report. If it was interrupted, the rest of that."""
        if not self._has_begun:
            self._has_begun = True
            self._slice()
        self._settle()
        if not self._has_left:
            self._has_left = True
            surroundings.leave(self, self._seam.owner, self.done)
        try:
            self._token.run_sync_soon(self._report)
        except trio.RunFinishedError:
            if not self._is_forsaken:
                self._undo()
                self._worker.dismiss()

    def _slice(self) -> None:
        calls, done, owner, home = self._calls, self.done, self._seam.owner, self._home
        surroundings.enter(self)
        spent = thread_time()
        began = monotonic()
        end = began + SLICE
        call: Call | None = None
        try:
            for call in iter(calls.popleft, None):
                try:
                    del call._ticket  # as `Call.begin` does, without the call: this is done for each poll of each job
                except AttributeError:
                    continue
                self.now = (call, began)
                call.perform()
                start, began = began, monotonic()
                if began - start > QUICKEST_FORK and os.getpid() != home:  # a system call, which most polls do without
                    end_fork(call, owner)
                self.now = None
                done.append(call)
                if surroundings.is_close:
                    surroundings.look(self, owner, call)
                if began >= end:
                    if began >= start + HELD:
                        long = LongCall(owner, call.step.name, call.subject, start, began, thread_time() - spent)
                        watchdog.tell(long)
                    break
                if self.retired:
                    break
        except BaseException as exc:
            if call is not None and call.is_pending:
                calls.appendleft(call)
            if exc.__class__ is not IndexError:  # the queue is empty
                raise

    def _settle(self) -> None:
        """End a call that was interrupted outside of the launcher."""
        now = self.now
        if now is not None:
            if not now[0].has_returned:
                now[0].failure = Failure("the call was interrupted by an exception from outside")
            self.now = None
            self.done.append(now[0])

    def _undo(self) -> None:
        """Undo what nobody knows of: the call that returned too late, or all of a slice whose run was cancelled."""
        while self.in_time < len(self.done):
            call = self.done[self.in_time]
            self.in_time += 1
            if call.step.undo is not None:
                result = outcome.capture(call.step.undo, call)
                if isinstance(result, outcome.Error):
                    logger.warning(
                        "%s came back too late, and undoing it failed: %s", call, failure_of(result.error).why
                    )
                if os.getpid() != self._home:
                    end_fork(call, self._seam.owner)

    # ------------------------------------------------------------------ in the loop

    def _report(self) -> None:
        self._ended.set()
        if self not in self._seam.late:
            return
        self._seam.late.discard(self)
        if self._is_forsaken:
            return
        if self.is_abandoned:
            self._worker.give(self._undo)
        else:
            self._seam.leaving = [worker for worker in self._seam.leaving if worker.thread.is_alive()]
            self._seam.leaving.append(self._worker)
        self._worker.dismiss()  # another thread has its place

    def time_left(self, deadline: float) -> float:
        """Return how long to wait before the call in progress, if it is still that one then, is set aside."""
        now = self.now
        if now is None:
            return deadline
        return 0.0 if now[0].given_up else max(0.0, now[1] + deadline - monotonic())

    def set_aside(self, deadline: float) -> bool:
        """Take the lane from the thread if the call in progress has taken too long. The order matters: see above."""
        now = self.now
        if now is None or (not now[0].given_up and monotonic() < now[1] + deadline):
            return False
        self.retired = True
        in_time = len(self.done)
        if self.now is not now:
            return False
        self.call = now[0]
        self.in_time = in_time
        self._seam.late.add(self)
        surroundings.excuse(self)
        return True

    def forsake(self) -> None:
        """Let the thread go: nobody will hear of this slice. What it did is undone, and so is what it is doing."""
        self.retired = True
        self._worker.give(self._undo)
        self._worker.dismiss()
        if not self._ended.is_set():
            self.is_abandoned = self._is_forsaken = True
            self._seam.late.add(self)
            surroundings.excuse(self)

    def see_off(self) -> None:
        """Wait for the end of a thread that was forsaken, unless it is in a call."""
        if self._is_forsaken and self.now is None:
            self._worker.thread.join(FAREWELL)

    def has_returned(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> None:
        await self._ended.wait()

    def abandon(self) -> None:
        self.is_abandoned = True


class _LauncherThread(LauncherThread):
    """One thread at a time."""

    def __init__(self, seam: ThreadSeam, name: str) -> None:
        self._seam = seam
        self._name = name
        self._number = itertools.count(1)
        self.worker: _Worker | None = None
        self._waiting = trio.CancelScope()

    async def run(self, calls: deque[Call], deadline: float) -> tuple[list[Call], Late | None]:
        worker = self.worker
        if worker is None:
            worker = self.worker = _Worker(f"{self._name}.{next(self._number)}")
        turn = _Turn(self._seam, worker, calls)
        watchdog.begin(self._seam, turn)
        worker.give(turn.work)
        try:
            while not turn.has_returned():
                with trio.move_on_after(turn.time_left(deadline)) as self._waiting:
                    await turn.wait()
                if not turn.has_returned() and turn.set_aside(deadline):
                    self.worker = None
                    return turn.done[: turn.in_time], turn
        except BaseException:
            self.worker = None
            turn.forsake()
            raise
        finally:
            watchdog.end(turn)
        return turn.done, None

    def hurry(self) -> None:
        self._waiting.cancel()
