"""Who holds the interpreter's lock? Names a launcher whose call let nothing else in this process run.

Some calls hold the lock for as long as they last: a regular expression gone wild, an extension module that never lets
go of it. Threads are no help then: the event loop stands still like all else, and while it lasts nobody can do anything
about it. But it can be noticed afterwards, and the launcher named, so that its owner gives it ``isolated=True``.

How it is noticed
-----------------
While calls are in progress, a thread sleeps for `BEAT` seconds again and again. If it comes back late, somebody was in
its way: the machine, which had no processor for it, or a holder of the lock. The two can be told apart. Who waits for
the lock asks for it once in each switch interval (5 ms), and the kernel counts a voluntary switch each time; who waits
for a processor makes none. So the number of switches says how long it was waiting for the lock.

Who was it? A call that lasted all that time, and whose own thread used the processor for most of it; or, if the whole
process slept, any call of that time. If the process was busy and no call's thread was, it was the program around us,
and nothing is said.

It costs a beat per `BEAT` while calls are in progress, nothing without, and two clock readings per slice. A call that
holds the lock for ever is never named: nothing of this process runs again. Linux only, where switches are counted for
each thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from typing import Any, Final

import attrs

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not on Linux
    getrusage = None  # type: ignore[assignment]  # a module that is not there

logger: Final = logging.getLogger("runtime.backend.legacy")

BEAT: Final = 0.05
"""Seconds between two looks. Twenty a second cost nothing to speak of."""

HELD: Final = 0.2
"""Seconds for which a call must hold the lock to be worth a word. Forty switch intervals: no machine is that busy."""

SHARE: Final = 0.25
"""The part of a time that must be accounted for by what is said to have filled it. On a busy machine it is not all."""

KEPT: Final = 64
"""Gaps that are remembered. A call is looked at one beat after its end, so the last few would do."""


@attrs.frozen
class Gap:
    """A time in which nobody but the holder of the lock could run. In seconds of `time.monotonic`."""

    start: float
    end: float
    is_asleep: bool
    """Whether the whole process used the processor for less than half of it."""
    calls: int
    """How many threads were in calls of launchers."""


@attrs.frozen
class LongCall:
    """A call that took at least `HELD` seconds."""

    owner: str
    """The class of the launcher."""
    step: str
    """What it is called in messages."""
    subject: object
    start: float
    end: float
    spent: float
    """Seconds of processor that its thread used."""

    def held(self, gaps: deque[Gap]) -> tuple[float, bool]:
        """Return for how long it held the lock, in seconds, and whether others may have done it."""
        mine = [gap for gap in gaps if gap.start < self.end and self.start < gap.end]
        held = sum(min(gap.end, self.end) - max(gap.start, self.start) for gap in mine)
        if self.spent >= SHARE * held:
            return held, False
        asleep = [gap for gap in mine if gap.is_asleep]
        held = sum(min(gap.end, self.end) - max(gap.start, self.start) for gap in asleep)
        return held, any(gap.calls > 1 for gap in asleep)


class Watchdog:
    """Watches this process, while calls are in progress. There is one, since there is one lock."""

    def __init__(self) -> None:
        self._users: set[object] = set()
        """Who may have calls; without any, there is no thread here, either."""
        self._busy: set[object] = set()
        """A thing for each thread that is in calls."""
        self._told: deque[LongCall] = deque()
        self._gaps: deque[Gap] = deque(maxlen=KEPT)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._is_asleep = False
        self._warned: set[str] = set()

    def begin(self, user: object, busy: Any) -> None:
        """Watch from now on, as `user` has calls in progress. Does not block."""
        self._busy.add(busy)
        if user not in self._users:
            self._enter(user)
        if self._is_asleep:
            self._bell.set()

    def end(self, busy: Any) -> None:
        """Say that these calls are over, or hang. Does not block."""
        self._busy.discard(busy)

    def tell(self, call: LongCall) -> None:
        """Have a look at a call that took long. From its thread, before `end`."""
        self._told.append(call)

    def leave(self, user: object) -> None:
        """Say that nothing more comes from `user`. Ends the thread with the last one, which takes microseconds."""
        with self._lock:
            self._users.discard(user)
            if self._users or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._bell.set()
        thread.join()

    def _enter(self, user: object) -> None:
        with self._lock:
            self._users.add(user)
            if self._thread is None and getrusage is not None:
                self._thread = threading.Thread(target=self._run, name="runtime.watchdog", daemon=True)
                self._thread.start()

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            self._bell.clear()
            if self._thread is not me:
                break
            if not self._busy:
                self._is_asleep = True
                if not self._busy:  # whoever comes from now on rings
                    self._bell.wait()
                self._is_asleep = False
            self._beat()
        self._look()

    def _beat(self) -> None:
        began, switches, spent = time.monotonic(), getrusage(RUSAGE_THREAD).ru_nvcsw, time.process_time()
        self._bell.wait(BEAT)
        due, now = began + BEAT, time.monotonic()
        waited = (getrusage(RUSAGE_THREAD).ru_nvcsw - switches) * sys.getswitchinterval()
        if now - due >= HELD and waited >= SHARE * (now - due):
            is_asleep = time.process_time() - spent < 2 * SHARE * (now - due)
            self._gaps.append(Gap(due, now, is_asleep, len(self._busy)))
        self._look()

    def _look(self) -> None:
        while self._told:
            long = self._told.popleft()
            held, is_shared = long.held(self._gaps)
            if held >= HELD:
                self._warn(long, held, ", unless it was another call at that time" if is_shared else "")

    def _warn(self, long: LongCall, held: float, unless: str) -> None:
        # A launcher that does it once does it for each job: one warning for each kind of call says it all.
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
