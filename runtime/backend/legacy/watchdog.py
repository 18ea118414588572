"""`Watchdog`: names a launcher whose call held the interpreter's lock, so that nothing else in this process ran.

Some calls hold the lock as long as they last: a catastrophic regular expression, an extension module that never
releases it. Threads do not help then: the event loop stands still with everything else. It can only be noticed
afterwards, and the launcher be named, so that its owner uses ``isolated=True``.

How it is noticed
-----------------
While calls are in progress, a thread sleeps for `CHECK_INTERVAL` again and again. If it wakes up late, either the
machine had no processor for it, or another thread held the lock. The two can be distinguished: a thread that waits for
the lock requests it once per switch interval (5 ms), and the kernel counts a voluntary context switch each time; a
thread that waits for a processor makes none. So the number of switches tells how long it waited for the lock.

The culprit is a call that lasted all that time, and whose own thread used the processor for most of it; or, if the
whole process slept, any call of that time. If the process was busy but no call's thread was, the embedding program
held the lock, and nothing is logged.

The cost is one check per `CHECK_INTERVAL` while calls are in progress, nothing otherwise, and two clock readings per
batch. A call that holds the lock for ever is never named, since nothing in this process runs again. Linux only, where
context switches are counted per thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from typing import Final

import attrs

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # other systems than Linux lack RUSAGE_THREAD
    getrusage = None  # type: ignore[assignment]  # a module that is not there

logger: Final = logging.getLogger("runtime.backend.legacy")

CHECK_INTERVAL: Final = 0.05
"""Seconds between two checks. Not measured: a tenth would wake up ten times as often, ten times as long
would miss calls of `MIN_HELD`."""

MIN_HELD: Final = 0.2
"""Seconds for which a call must hold the lock to be named. Arbitrary: forty switch intervals. A tenth would name calls
on a busy machine that hold nothing, ten times as long would miss what makes a status display freeze."""

SHARE: Final = 0.25
"""The fraction of a time that its suspected cause must account for. Arbitrary: not 1, as on a busy machine the rest
goes to other processes; a tenth of it would accuse calls that happened to run."""

MAX_GAPS: Final = 64
"""How many gaps are kept. A call is judged one check after its end, so the last few are enough."""


@attrs.frozen
class Gap:
    """A period in which only the holder of the lock could run. In seconds of `time.monotonic`."""

    start: float
    end: float
    is_asleep: bool
    """Whether the whole process used the processor for less than half of the period."""
    calls: int
    """How many threads were in launchers' calls."""


@attrs.frozen
class LongCall:
    """A call that took at least `MIN_HELD`."""

    owner: str
    """The name of the launcher's class."""
    step: str
    """The name of the step in messages."""
    subject: object
    start: float
    end: float
    spent: float
    """Seconds of processor time that its thread used."""

    def held(self, gaps: deque[Gap]) -> tuple[float, bool]:
        """Return the seconds for which it held the lock, and whether another call may have held it instead."""
        mine = [gap for gap in gaps if gap.start < self.end and self.start < gap.end]
        held = sum(min(gap.end, self.end) - max(gap.start, self.start) for gap in mine)
        if self.spent >= SHARE * held:
            return held, False
        asleep = [gap for gap in mine if gap.is_asleep]
        held = sum(min(gap.end, self.end) - max(gap.start, self.start) for gap in asleep)
        return held, any(gap.calls > 1 for gap in asleep)


class Watchdog:
    """Watches this process while calls are in progress. A singleton, as a process has one lock."""

    def __init__(self) -> None:
        self._users: set[object] = set()
        """Those that may make calls; while there are none, the watchdog has no thread."""
        self._busy: set[object] = set()
        """One object for each thread that is in calls."""
        self._reported: deque[LongCall] = deque()
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_asleep = False
        self._warned: set[str] = set()

    def begin(self, user: object, busy: object) -> None:
        """Note that a thread of `user` begins calls. Does not block."""
        # The order closes the race with `_run`, which writes `_is_asleep` and then reads `_busy`.
        self._busy.add(busy)
        if user not in self._users:
            self._add_user(user)
        if self._is_asleep:
            self._wake.set()

    def end(self, busy: object) -> None:
        """Note that these calls have returned, or stalled. Does not block."""
        self._busy.discard(busy)

    def report(self, call: LongCall) -> None:
        """Report a long call to be judged. Called in its thread, before `end`."""
        self._reported.append(call)

    def leave(self, user: object) -> None:
        """Note that `user` makes no more calls. The last one ends the watchdog's thread, which takes microseconds."""
        with self._lock:
            self._users.discard(user)
            if self._users or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._wake.set()
        thread.join()

    def _add_user(self, user: object) -> None:
        with self._lock:
            self._users.add(user)
            if self._thread is None and getrusage is not None:
                self._thread = threading.Thread(target=self._run, name="runtime.watchdog", daemon=True)
                self._thread.start()

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            self._wake.clear()  # before `_thread` is read: a `leave` after this line sets it again
            if self._thread is not me:
                break
            if not self._busy:
                self._is_asleep = True
                # Read `_busy` again: a `begin` before the line above did not set `_wake`; those after it do.
                if not self._busy:
                    self._wake.wait()
                self._is_asleep = False
            self._check_once()
        self._judge_reported()  # calls that were reported since the last check

    def _check_once(self) -> None:
        began, switches, spent = time.monotonic(), getrusage(RUSAGE_THREAD).ru_nvcsw, time.process_time()
        self._wake.wait(CHECK_INTERVAL)
        due, now = began + CHECK_INTERVAL, time.monotonic()
        # One voluntary context switch per switch interval is what a thread makes that waits for the lock.
        waited = (getrusage(RUSAGE_THREAD).ru_nvcsw - switches) * sys.getswitchinterval()
        if now - due >= MIN_HELD and waited >= SHARE * (now - due):
            is_asleep = time.process_time() - spent < 2 * SHARE * (now - due)
            self._gaps.append(Gap(due, now, is_asleep, len(self._busy)))
        self._judge_reported()

    def _judge_reported(self) -> None:
        while self._reported:
            long = self._reported.popleft()
            held, is_shared = long.held(self._gaps)
            if held >= MIN_HELD:
                self._warn(long, held, ", unless it was another call at that time" if is_shared else "")

    def _warn(self, long: LongCall, held: float, unless: str) -> None:
        # A launcher that does it once does it for each job: one warning per kind of call is enough.
        what = f"{long.owner}.{long.step}"
        level = logging.DEBUG if what in self._warned else logging.WARNING
        self._warned.add(what)
        logger.log(
            level,
            "%s of %r held the interpreter's lock for %.1f s, in which nothing else in this process could run%s; "
            "isolated=True gives such launchers a process of their own",
            *(what, long.subject, held, unless),
        )


watchdog: Final = Watchdog()
