"""`LegacyLauncherAdapter`: old blocking launchers behind the contract of a backend.

One lane for everything but kills
---------------------------------
Launchers block, hang and raise, share class state, and may be bound to a thread. So they are built, launched and polled
in one lane (a thread, see `slices`), one call at a time. Each submission has a queue of calls, and so has the poller;
they take the lane in turns, a slice each, so that neither a thousand launches nor a thousand polls starve the other.

Kills do not wait for that lane. They have lanes of their own, as many as `kill_threads`, which draw from one queue: a
kill that takes two seconds holds one of them, and the rest go on.

One object never has two calls at once
--------------------------------------
An entry has at most one `call`. A kill takes back a call that has not begun, and goes ahead at once. If the call is in
progress, the kill waits until it returns, for at most `kill_timeout`; then the job is lost, and the call abandoned.

What becomes of a call that does not return
-------------------------------------------
=============  ==========================  =======================================================================
call           set aside after             abandoned, and its job lost, after
=============  ==========================  =======================================================================
constructor    (never)                     `launch_timeout`
`launch()`     (never)                     `launch_timeout`; an interactive one: never
`poll()`       `patience`                  `poll_timeout`
`kill()`       (never)                     `kill_timeout`; it counts from the begin of the call, and a last `poll()`
                                           is part of it
`__del__()`    `patience`                  at once, and nobody is lost
any            `kill_timeout` after somebody asked for the job's end (abandoned at once)
=============  ==========================  =======================================================================

An abandoned `launch()` or `poll()` that returns after all is followed by `kill()`, in its own thread. Threads that are
held by calls that were set aside or abandoned are bounded by `MAX_HUNG`; past it the adapter is broken.

Isolated launchers live in another process (see `isolated`). When that dies, each job that has a launcher there is lost,
and the next one that is built has a new process, up to `MAX_RESTARTS` times.
"""

from __future__ import annotations

import functools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

import attrs
import trio

from runtime.backend.backend import RuntimeBackend, check_limit
from runtime.backend.base import End
from runtime.backend.legacy.call_batches import Call, Late, LauncherThread, Seam
from runtime.backend.legacy.duck_typing import INTERACTIVE, class_name, limit_of, limits_of_job, name_of, reading_class
from runtime.backend.legacy.isolated import FarLauncher, Isolation, Process
from runtime.backend.legacy.job_view import view_for
from runtime.backend.legacy.launcher_calls import BUILD, DROP, KILL, LAUNCH, POLL, Dropping, Ended, Entry, again
from runtime.backend.legacy.launcher_threads import ThreadSeam
from runtime.backend.legacy.main_thread import hint_of
from runtime.backend.legacy.poller import Poller
from runtime.backend.live import DONE, LAUNCHED, LAUNCHING, LiveJob
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobHandle, JobSpec
from runtime.job.numbers import brief

MAX_HUNG: Final = 256
"""Threads held by calls that do not return, past which the adapter is broken. Arbitrary."""

MAX_RESTARTS: Final = 5
"""How often the process of isolated launchers is started again in a block. Arbitrary."""

FIRST_TICK: Final = 1.0
"""Seconds for which the first tick of polls waits for launches that are in progress. Arbitrary: ten times as long would
keep the first results of slow launchers back, with a tenth a busy machine would poll before all slots are filled."""

LAST_DROPS_TIMEOUT: Final = 1.0
"""Seconds that the end of a block waits for the `__del__` of its last launchers. Arbitrary: then their thread goes on
without us, as it does after a call that hangs."""

DEFAULT_POLL_FREQ: Final = 1.0
"""Seconds between ticks where a class has no `poll_freq`; as in DVSim."""


@attrs.frozen
class _Patience:
    """How long a call of each kind may take, in seconds; `math.inf` for no limit."""

    launch: float
    poll: float
    """After which a poll is set aside."""
    poll_total: float
    """After which it is abandoned."""
    kill: float


class LegacyLauncherAdapter(RuntimeBackend):
    """Runs any class with `launch()`, `poll()` and `kill()`, built as ``launcher_cls(job)``, unmodified.

    For all limits, `None` means the default, and 0 no limit.

    Args:
        launcher_cls: the class, one object of which is built for each job.
        name: the backend's name; `None` for the class's `variant`, or its name in lower case without ``launcher``.
        view: from a job to what the launcher is built with; `None` shows a `JobSpec` as DVSim's to launchers that have
            a `prepare_workspace`, and passes all other jobs on untouched.
        poll_interval: seconds between two ticks of polls, 0 for at once; `None` for the class's `poll_freq`.
        max_polls_per_interval: how many jobs are polled in a tick; `None` for the class's `max_poll`.
        max_parallelism: how many jobs may be live; `None` for the class's `max_parallel`.
        kill_threads: how many launchers are killed side by side; 1 for launchers that cannot take it.
        patience: seconds after which a poll no longer holds up the others.
        launch_timeout: seconds that building or launching may take; interactive jobs have no such limit.
        poll_timeout: seconds that a poll may take.
        kill_timeout: seconds that a kill may take, and that it waits for another call of the same launcher.
        poll_error_limit: how many polls of a job may fail in a row before it is killed.
        isolated: whether the launchers live in a process and session of their own: for classes that hold the
            interpreter's lock, crash, want the main thread (for `signal.alarm`, say), or whose children must not get
            the terminal's Ctrl-C. The class, the view and all jobs must pickle, and no job can be interactive.
        drain_timeout: as in `RuntimeBackend`.

    Raises:
        TypeError: if `launcher_cls` is no class with these three methods.
        ValueError: for a limit, here or in the class, that is none; for a class that another process cannot import.
    """

    kill_deadline = None  # `kill_timeout` bounds each kill from the moment it begins, however many wait
    seam_factory: ClassVar[Callable[[], Seam]] = ThreadSeam
    """Where calls are done; tests have one with virtual time."""

    def __init__(
        self,
        launcher_cls: Callable[[Any], Any],
        *,
        name: str | None = None,
        view: Callable[[Any], Any] | None = None,
        poll_interval: float | None = None,
        max_polls_per_interval: int | None = None,
        max_parallelism: int | None = None,
        kill_threads: int | None = 64,
        patience: float | None = 1,
        launch_timeout: float | None = 120,
        poll_timeout: float | None = 120,
        kill_timeout: float | None = 30,
        poll_error_limit: int | None = 3,
        isolated: bool = False,
        **options: Any,
    ) -> None:
        with reading_class(launcher_cls):
            cls = _checked_class(launcher_cls)
            variant, self._cls_name = name_of(cls), class_name(cls)
            at_once = _whole(limit_of(cls, "max_parallel", "max_parallelism", max_parallelism))
            is_interactive = bool(getattr(cls, "supports_interactive", variant in INTERACTIVE))
            if poll_interval is None and not hasattr(cls, "poll_freq"):
                poll_interval = DEFAULT_POLL_FREQ
            interval = limit_of(cls, "poll_freq", "poll_interval", poll_interval, whole=False)
            at_most = _whole(limit_of(cls, "max_poll", "max_polls_per_interval", max_polls_per_interval))
            view = view_for(cls) if view is None else view
            isolation = Isolation(cls, view) if _flag("isolated", isolated) else None
        super().__init__(name=variant if name is None else name, max_parallelism=at_once or 0, **options)
        self.launcher_cls = cls
        self.supports_interactive = is_interactive
        self.poll_interval: float = interval or 0.0
        """Seconds between two ticks."""
        self.max_polls_per_interval = at_most
        """How many jobs are polled in a tick; `None` for all."""
        self._kill_threads = _limit("kill_threads", kill_threads, 64, whole=True)
        self._poll_error_limit = _limit("poll_error_limit", poll_error_limit, 3, whole=True)
        poll_total = _limit("poll_timeout", poll_timeout, 120)
        self._patience = _Patience(
            launch=_limit("launch_timeout", launch_timeout, 120),
            poll=min(_limit("patience", patience, 1), poll_total),
            poll_total=poll_total,
            kill=_limit("kill_timeout", kill_timeout, 30),
        )
        self._make: Callable[[Any], Any] = cls if view is None else functools.partial(_make, cls, view)
        self._isolation: Isolation | None = isolation
        if isolation is not None:
            self._make = isolation.make
            self.supports_interactive = False  # over there is no terminal
        self._deaths = 0
        """How often the process of isolated launchers has died."""
        self._kept: dict[str, Entry] = {}
        """Busy launchers, by the ids of their jobs."""
        self._kills: deque[Call] = deque()
        self._open_kills = 0
        """Kills that wait or are in progress."""
        self._killers = 0
        """Tasks that do kills, each with a lane."""
        self._idle_lanes: list[LauncherThread] = []
        self._launches = 0
        """Submissions that are being launched."""
        self._all_launched = trio.Event()
        """Set, and replaced, when there are none any more."""
        self._drops: deque[Any] = deque()
        """Launchers that nobody needs any more."""
        self._is_dropping = False
        """Whether somebody sees to that."""
        # These live as long as the block.
        self._seam: Seam
        self._lane: LauncherThread
        self._turns: trio.StrictFIFOLock
        self._poller: Poller

    # ------------------------------------------------------------------ the contract

    async def _setup(self) -> None:
        self._seam = type(self).seam_factory()
        self._seam.owner = self._cls_name
        self._lane = self._seam.lane(self.name)
        self._turns = trio.StrictFIFOLock()
        most = self.max_polls_per_interval or math.inf
        self._poller = Poller(self.poll_interval, most, self._poll, _to_poll, self._wait_launched)

    async def _serve(self) -> None:
        await self._poller.run()

    async def _teardown(self) -> None:
        self._is_dropping = True
        for entry in [*self._kept.values(), *self._poller.rest(), *(call.subject for call in self._kills)]:
            self._let_go(entry)
        self._kept.clear()
        self._kills.clear()
        with trio.move_on_after(LAST_DROPS_TIMEOUT):
            await self._drop_all()
        if self._drops:
            threading.Thread(target=_drop_all, args=[self._drops], name=f"{self.name}.drops", daemon=True).start()
        self._seam.close()
        if self._isolation is not None:
            await self._isolation.close()

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        self._launches += 1
        try:
            await self._launch_all(jobs)
        finally:
            self._launches -= 1
            if not self._launches:
                self._all_launched.set()
                self._all_launched = trio.Event()

    async def _wait_launched(self) -> None:
        with trio.move_on_after(FIRST_TICK):
            while self._launches:
                await self._all_launched.wait()

    async def _launch_all(self, jobs: Sequence[LiveJob]) -> None:
        entries = [self._enter(job) for job in self._begin_all(jobs)]
        interactive = len(entries) == 1 and _is_interactive(entries[0].job)  # such a one comes alone
        deadline = math.inf if interactive else self._patience.launch
        await self._run(deque([entry for entry in entries if entry.launcher is None]), deadline, self._built)
        ready = deque([entry for entry in entries if entry.job.stage is LAUNCHING])
        again(ready, LAUNCH)
        await self._run(ready, deadline, self._launch_returned)

    def _take_back(self, job: LiveJob) -> bool:
        call = job.data.call
        if call is None or call.take_back():
            self._let_go(job.data)
            return True
        self._wait_for(job, call)
        return False

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            call = job.data.call
            if call is None or call.take_back():
                self._kill_now(job.data)
            else:
                self._wait_for(job, call)

    def _limits(self, spec: Any) -> tuple[float | None, float | None]:
        if spec.__class__ is JobSpec:
            return spec.timeout, spec.queue_timeout
        return limits_of_job(spec)

    def _target(self, target: JobHandle | str) -> LiveJob | None:
        if isinstance(target, str):
            kept = self._kept.pop(target, None)  # somebody who wants an end to it will not come again
            if kept is not None:
                self._let_go(kept)
        return super()._target(target)

    def _notes(self) -> list[str]:
        held = [f"{call.step.name} of {call.subject!r}" for call in self._seam.abandoned()]
        some = ", ".join(held[:10]) + (" and others" if len(held) > 10 else "")  # noqa: PLR2004 - enough
        note = f"backend {self.name!r}: {len(held)} abandoned threads are still in {some}"
        return [*super()._notes(), *([note] if held else [])]

    # ------------------------------------------------------------------ the lane

    async def _run(self, calls: deque[Any], deadline: float, settle: Callable[[list[Any]], None]) -> None:
        """Do `calls` in the lane, slice by slice, in turns with others, and settle each slice."""
        try:
            while calls:
                async with self._turns:
                    done, late = await self._lane.run(calls, deadline)
                settle(done)
                if late is not None:
                    self._set_aside(late)
        except trio.Cancelled:
            for entry in calls:
                self._let_go(entry)
            raise

    def _enter(self, job: LiveJob) -> Entry:
        entry = job.data = Entry(job, self._make)
        kept = self._kept.pop(job.id, None) if self._kept else None
        if kept is not None:
            if kept.job.spec is job.spec and not _is_gone(kept.launcher):
                entry.launcher = kept.launcher
            else:
                self._let_go(kept)
        return entry

    def _built(self, entries: list[Entry]) -> None:
        for entry in entries:
            entry.call = None
            job = entry.job
            if entry.failure is not None:
                if not self._is_gone(entry):
                    self._not_launched(entry)
            elif job.stop is not None or job.stage is DONE:
                if job.stage is not DONE:
                    self._complete_stopped(job)
                self._let_go(entry)

    def _launch_returned(self, entries: list[Entry]) -> None:
        launched: list[Entry] = []
        for entry in entries:
            entry.call = None
            if entry.failure is None:
                launched.append(entry)
            elif not self._is_gone(entry):
                self._not_launched(entry)
        self._launched_all([entry.job for entry in launched])
        for entry in launched:
            if entry.job.stage is DONE:
                self._kill_now(entry)  # it was given up; and now it runs
        self._poller.feed(_to_poll(launched))

    def _not_launched(self, entry: Entry) -> None:
        job = entry.job
        is_busy = entry.failure is not None and entry.failure.is_busy
        if is_busy and job.stage is not DONE and job.stop is None and entry.launcher is not None:
            self._kept[job.id] = entry
        else:
            self._let_go(entry)
        if job.stage is DONE:
            return
        if is_busy:
            self._refuse(job, self._raised(entry))
        else:
            self._fail(job, FailureKind.LAUNCH_ERROR, self._raised(entry))

    # ------------------------------------------------------------------ polls

    async def _poll(self, entries: deque[Entry]) -> list[Entry]:
        """Poll `entries`; return those to poll again. For the poller."""
        alive: list[Entry] = []
        again(entries, POLL)
        await self._run(entries, self._patience.poll, lambda done: self._polled(done, alive))
        return alive

    def _polled(self, entries: list[Entry], alive: list[Entry]) -> None:
        self._end_all(self._ends_of(entries, alive))

    def _ends_of(self, entries: list[Entry], alive: list[Entry]) -> Iterator[End]:
        """Take note of what polls said: yield the ends, and add to `alive` who is to be polled again.

        The list is empty afterwards: an entry goes when the end of its job is there. See `make_handles` for why.
        """
        entries.reverse()
        while entries:
            entry = entries.pop()
            entry.call = entry.late = None
            job = entry.job
            said: Any = entry.value
            if said.__class__ is Ended:
                self._let_go(entry)
                if job.stage is not DONE:
                    job.data = None  # the two hold each other, and only Python's collector would find that out
                    yield job, said.status, said.reason, said.usage
            elif entry.failure is not None and self._is_gone(entry):
                pass
            elif job.stop is not None or job.stage is DONE:
                self._kill_now(entry)  # it waited for this call
            elif entry.failure is not None:
                self._poll_failed(entry, alive)
            else:
                entry.failures = 0
                if said is not job.status:
                    self._progress(job, said)
                alive.append(entry)

    def _poll_failed(self, entry: Entry, alive: list[Entry]) -> None:
        entry.failures += 1
        if entry.failures < self._poll_error_limit:
            alive.append(entry)
        else:
            entry.polled_out = True
            times = f"{entry.failures} times in a row, the last time " if entry.failures > 1 else ""
            self._stop([entry.job], FailureKind.LAUNCHER_ERROR, self._raised(entry, times))

    # ------------------------------------------------------------------ kills

    def _kill_now(self, entry: Entry) -> None:
        """Queue the kill of a launcher that has no other call, and see that somebody does it."""
        entry.call = call = Call(KILL, entry)
        self._kills.append(call)
        self._open_kills += 1
        self._hire()

    def _hire(self) -> None:
        if self._kills and self._killers < min(self._kill_threads, self._open_kills):
            self._killers += 1
            self._start_task(self._run_kills)

    async def _run_kills(self) -> None:
        number = self._killers
        lane = self._idle_lanes.pop() if self._idle_lanes else self._seam.lane(f"{self.name}.kill.{number}")
        try:
            while self._kills and self._seam.hung <= MAX_HUNG:
                self._hire()  # one at a time, so that no step of the loop starts many threads
                done, late = await lane.run(self._kills, self._patience.kill)
                self._killed(done)
                if late is not None:
                    self._forsake(late)
        finally:
            self._killers -= 1
            self._idle_lanes.append(lane)

    def _killed(self, calls: list[Call]) -> None:
        for call in calls:
            entry: Entry = call.subject
            entry.call = None
            self._let_go(entry)
            self._open_kills -= 1
            job = entry.job
            said: Any = None if call.failure is not None else call.value
            if job.stage is DONE or self._is_gone(call):
                continue
            if said is not None:
                self._complete(job, said.status, said.reason, said.usage)
            elif call.failure is not None:
                self._lose(job, self._raised(call))
            else:
                self._complete_stopped(job)

    def _wait_for(self, job: LiveJob, call: Call) -> None:
        """A kill waits for a call that is in progress; the job is lost if that takes too long."""
        if self._patience.kill < math.inf:
            at = trio.current_time() + self._patience.kill
            self._deadlines.add(at, job, lambda job: self._waited_for(job, call))

    def _waited_for(self, job: LiveJob, call: Call) -> None:
        entry: Entry = job.data
        if entry.call is not call or (entry.late is not None and entry.late.has_returned()):
            return  # it has returned, and the kill goes ahead
        self._lose(job, f"{self._named(call)} did not return within {self._patience.kill:g} s, and could not be killed")
        call.given_up = True
        if entry.late is not None:
            entry.late.abandon()
            self._check_hung()
        else:
            self._lane.hurry()

    # ------------------------------------------------------------------ launchers that nobody needs any more

    def _let_go(self, entry: Entry) -> None:
        """Have a launcher dropped, in a thread, and not by whoever drops the entry: that runs its `__del__`."""
        if isinstance(entry.launcher, FarLauncher):
            entry.launcher = None  # it is ours
        elif entry.launcher is not None:
            # As an argument alone: held by a name here, it might be dropped here, if the thread is quicker.
            self._drops.append(entry.take_launcher())
            if not self._is_dropping:
                self._is_dropping = True
                self._start_task(self._run_drops)

    async def _run_drops(self) -> None:
        try:
            await self._drop_all()
        finally:
            self._is_dropping = False

    async def _drop_all(self) -> None:
        while self._drops:
            async with self._turns:
                _, late = await self._lane.run(deque([Call(DROP, Dropping(self._drops))]), self._patience.poll)
            if late is not None:
                self._set_aside(late)

    # ------------------------------------------------------------------ calls that do not return

    def _set_aside(self, late: Late) -> None:
        call = late.call
        if call.step is DROP:
            late.abandon()
            self._check_hung()
        elif call.step is POLL and not call.given_up and self._patience.poll < self._patience.poll_total:
            call.subject.late = late
            self._start_task(self._wait_late, late)
            self._check_hung()
        else:
            self._forsake(late)

    async def _wait_late(self, late: Late) -> None:
        try:
            with trio.move_on_after(self._patience.poll_total - self._patience.poll):
                await late.wait()
        except trio.Cancelled:
            late.abandon()
            raise
        if late.call.given_up:
            return
        if late.has_returned():
            alive: list[Entry] = []
            self._polled([late.call.subject], alive)
            self._poller.feed(alive)
        else:
            self._forsake(late)

    def _forsake(self, late: Late) -> None:
        """Give up a call, and the job with it."""
        call = late.call
        if call.step is KILL:
            self._open_kills -= 1
            self._lose(call.subject.job, f"{self._named(call)} did not return within {self._patience.kill:g} s")
        elif call.step is POLL:
            text = f"{self._named(call)} timed out after {self._patience.poll_total:g} s, state unknown"
            self._lose(call.subject.job, text)
        else:
            self._lose(call.subject.job, f"launch timed out after {self._patience.launch:g} s, state unknown")
        late.abandon()
        self._check_hung()
        if self._isolation is not None:
            self._isolation.suspect(self._bury)

    # ------------------------------------------------------------------ the process of isolated launchers

    def _is_gone(self, call: Call) -> bool:
        """Whether `call` failed because the process of its launcher has died; then all jobs in there are lost."""
        failure = call.failure
        if failure is None or failure.gone is None:
            return False
        self._lose(call.subject.job, failure.why)
        self._bury(failure.gone, failure.why)
        return True

    def _bury(self, process: Process, text: str) -> None:
        if self._isolation is None or process.is_buried:
            return
        self._isolation.bury(process)
        self._deaths += 1
        self._kept = {name: entry for name, entry in self._kept.items() if entry.launcher.process is not process}
        for job in self._ledger:
            entry: Entry | None = job.data
            if entry is not None and isinstance(entry.launcher, FarLauncher) and entry.launcher.process is process:
                if entry.call is not None and entry.call.step is not KILL:
                    entry.call.take_back()
                self._lose(job, text)
        if self._deaths > MAX_RESTARTS:
            msg = f"backend {self.name!r}: {text}; it was started again {MAX_RESTARTS} times, and that is enough"
            self._break(BackendBrokenError(msg))

    def _check_hung(self) -> None:
        if self._seam.hung > MAX_HUNG:
            msg = (
                f"backend {self.name!r}: {self._seam.hung} calls of {self._cls_name} do not return, "
                f"and each holds a thread; at most {MAX_HUNG} may"
            )
            self._break(BackendBrokenError(msg))

    def _lose(self, job: LiveJob, text: str) -> None:
        if job.stage is not DONE:
            asked = "" if job.stop is None else f"; it was to end because: {job.stop.reason.message}"
            self._fail(job, FailureKind.LOST, f"{text}{asked}")

    def _raised(self, call: Call, times: str = "") -> str:
        """Return what is said of a call that failed."""
        why = "" if call.failure is None else call.failure.why
        hint = "" if self._isolation is not None else hint_of(call.failure)
        return f"{self._named(call)} raised {times}{why}{hint}"

    def _named(self, call: Call) -> str:
        return f"{self._cls_name}()" if call.step is BUILD else f"{self._cls_name}.{call.step.name}"


def _checked_class(launcher_cls: Any) -> type:
    missing = [name for name in ("launch", "poll", "kill") if not callable(getattr(launcher_cls, name, None))]
    if not isinstance(launcher_cls, type) or missing:
        lacks = f", which lacks {', '.join(missing)}" if missing else ""
        msg = f"launcher_cls is {launcher_cls!r}{lacks}; wanted: a class with launch(), poll() and kill()"
        raise TypeError(msg)
    return launcher_cls


def _limit(what: str, given: float | None, default: float, *, whole: bool = False) -> float:
    limit = check_limit(f"LegacyLauncherAdapter: {what}", given, default, whole=whole)
    return math.inf if limit is None else limit


def _flag(what: str, given: object) -> bool:
    if not isinstance(given, bool):
        msg = f"LegacyLauncherAdapter: {what} is {brief(given)}; expected: True or False"
        raise ValueError(msg)
    return given


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _make(launcher_cls: type, view: Callable[[Any], Any], spec: Any) -> Any:
    return launcher_cls(view(spec))


def _is_interactive(job: LiveJob) -> bool:
    return bool(getattr(job.spec, "interactive", False))


def _to_poll(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.call is None and entry.job.stop is None and entry.job.stage is LAUNCHED]


def _drop_all(launchers: deque[Any]) -> None:
    while launchers:
        Dropping(launchers).drop()


def _is_gone(launcher: Any) -> bool:
    return isinstance(launcher, FarLauncher) and launcher.process.has_ended()
