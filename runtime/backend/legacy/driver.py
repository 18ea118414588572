"""`AdapterDriver`: launches, polls and kills the launchers of one block.

One launcher thread for all calls but kills
-------------------------------------------
Launchers block, hang and raise; they share class state, and some are bound to one thread. So the adapter builds,
launches and polls all of them in one launcher thread, one call at a time. Each submission has a queue of calls, and so
has the poller. The queues share the thread batch by batch (see `call_batches`), in FIFO order: neither a thousand
launches nor a thousand polls starve the other.

Kills do not wait for that thread. A pool of at most `kill_threads` threads takes them from one queue: a kill that takes
two seconds occupies one of these threads, and the others go on.

A launcher never has two calls in progress
------------------------------------------
An entry has at most one `call`. A kill takes back a call that has not begun, and proceeds at once. If the call is in
progress, the kill waits until it returns, for at most `kill_timeout`. Then the job is lost, and the call is abandoned.

What happens to a call that does not return
-------------------------------------------
=============  ==========================  =======================================================================
call           stalled after               abandoned, and its job lost, after
=============  ==========================  =======================================================================
constructor    (never)                     `launch_timeout`
`launch()`     (never)                     `launch_timeout`; an interactive launch: never
`poll()`       `stall_timeout`             `poll_timeout`
`kill()`       (never)                     `kill_timeout`, counted from the start of the call, which includes a last
                                           `poll()`
`__del__()`    `stall_timeout`             at once; no job is lost
any            `kill_timeout` after a kill of the job (abandoned at once)
=============  ==========================  =======================================================================

A stalled call keeps its thread, and another thread takes over the queue; its answer still counts. The answer of an
abandoned call does not: if an abandoned `launch()` or `poll()` returns, its thread calls `kill()`. At most `MAX_HUNG`
threads may be held by stalled and abandoned calls; beyond that the adapter is broken.

Isolated launchers live in another process (see `isolated`). When that process dies, every job with a launcher in it is
lost, and the next launcher is built in a new process. The process is restarted at most `MAX_RESTARTS` times.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs
import trio

from runtime.backend.contract.control import Control, End
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import DONE, LAUNCHED, LAUNCHING, LiveJob
from runtime.backend.legacy.call_batches import Call, LauncherThread, LauncherWorkers, StalledCall
from runtime.backend.legacy.duck_typing import limits_of_job
from runtime.backend.legacy.isolated import Isolation, LauncherProcess, LauncherProxy
from runtime.backend.legacy.launcher_calls import BUILD, DROP, KILL, LAUNCH, POLL, Dropping, Ended, Entry, renew_calls
from runtime.backend.legacy.main_thread import hint_of
from runtime.backend.legacy.poller import Poller
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobPaths, JobSpec

MAX_HUNG: Final = 256
"""Threads that stalled and abandoned calls may hold; with more, the adapter is broken. Arbitrary: ten times as many can
exceed a user's limit on threads, with a tenth one slow file server would break a run that could go on."""

MAX_RESTARTS: Final = 5
"""How often the process of isolated launchers is restarted while the backend is open. Arbitrary: ten times as often
would lose many jobs to a class that always crashes, without a restart the first crash would end the run."""

FIRST_TICK: Final = 1.0
"""Seconds that the first tick of polls waits for launches in progress. Arbitrary: ten times as long would delay the
first results of slow launchers, with a tenth a busy machine would poll before all slots are filled."""

LAST_DROPS_TIMEOUT: Final = 1.0
"""Seconds that closing the backend waits for `__del__` of the last launchers. Arbitrary: ten times as long would delay
the end of a run behind one bad `__del__`, with a tenth healthy ones would run on in a daemon thread."""


@attrs.frozen
class CallDeadlines:
    """Limits for a call of each kind, in seconds; `math.inf` for no limit."""

    launch: float
    """For the constructor and `launch()`: the call is abandoned."""
    stall: float
    """For `poll()` and `__del__()`: the call counts as stalled."""
    poll: float
    """For `poll()`: the call is abandoned."""
    kill: float
    """For `kill()`: the call is abandoned."""


@attrs.frozen
class LauncherOptions:
    """How an adapter calls its launchers; `math.inf` for no limit."""

    owner: str
    """The name of the launchers' class, for messages."""
    make: Callable[[Any], Any]
    """Builds a launcher from a job's specification."""
    paths_of: Callable[[Any], JobPaths | None]
    """Returns where the files of a specification's job are. Must not raise."""
    deadlines: CallDeadlines
    kill_threads: float
    """How many launchers are killed concurrently."""
    poll_error_limit: float
    """How many polls of a job may fail in a row before the job is killed."""
    poll_interval: float
    """Seconds between two ticks."""
    max_polls: float
    """How many jobs are polled per tick."""


class AdapterDriver(Driver):
    """Runs the launchers of one block.

    Args:
        control: records what happens to the jobs.
        options: how launchers are called.
        workers: makes the launcher threads.
        isolation: builds launchers in another process; `None` if `options.make` builds them here.
    """

    # The usual limit would count the time in the queue, too; `kill_timeout` bounds each kill from its start.
    kill_deadline = None

    def __init__(
        self, control: Control, options: LauncherOptions, workers: LauncherWorkers, isolation: Isolation | None
    ) -> None:
        super().__init__(control)
        self._owner = workers.owner = options.owner
        self._make = options.make if isolation is None else isolation.make
        self._paths_of = options.paths_of
        self._call_deadlines = options.deadlines
        self._kill_threads = options.kill_threads
        self._poll_error_limit = options.poll_error_limit
        self._workers = workers
        self._isolation = isolation
        self._launcher_thread = workers.launcher_thread(control.name)
        # FIFO, so that the queues of submissions, of the poller and of drops alternate batch by batch.
        self._thread_lock = trio.StrictFIFOLock()
        self._poller = Poller(options.poll_interval, options.max_polls, self._poll, _to_poll, self._wait_launched)
        self._deaths = 0
        """How often the process of isolated launchers has died."""
        self._kept: dict[str, Entry] = {}
        """Launchers that raised `LauncherBusyError`, by job id: a retry of the job reuses its launcher."""
        self._kills: deque[Call] = deque()
        self._open_kills = 0
        """How many kills are queued or in progress."""
        self._kill_tasks = 0
        """How many tasks make kills, each with a launcher thread."""
        self._idle_kill_threads: list[LauncherThread] = []
        self._launches = 0
        """How many submissions are being launched."""
        self._all_launched = trio.Event()
        """Set, and replaced, when the last launching submission has finished."""
        self._drops: deque[Any] = deque()
        """Launchers to drop, each with its last reference."""
        self._is_dropping = False
        """Whether a task has them dropped."""

    # ------------------------------------------------------------------ driver methods

    async def serve(self) -> None:
        """Poll the launchers."""
        await self._poller.run()

    async def teardown(self) -> None:
        """Drop all launchers, and end the threads and the process."""
        self._is_dropping = True  # `_drop_launcher` must not start a task any more
        for entry in [*self._kept.values(), *self._poller.take_waiting(), *(call.subject for call in self._kills)]:
            self._drop_launcher(entry)
        self._kept.clear()
        self._kills.clear()
        with trio.move_on_after(LAST_DROPS_TIMEOUT):
            await self._drop_all()
        if self._drops:  # a daemon thread, so that a `__del__` that hangs does not delay the end of the program
            threading.Thread(
                target=_drop_all, args=[self._drops], name=f"{self.control.name}.drops", daemon=True
            ).start()
        self._workers.close()
        if self._isolation is not None:
            await self._isolation.close()

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Build all launchers of `jobs`, then launch them."""
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
            while self._launches:  # another submission may have begun when this wakes up
                await self._all_launched.wait()

    async def _launch_all(self, jobs: Sequence[LiveJob]) -> None:
        entries = [self._enter(job) for job in self.control.begin_all(jobs)]
        interactive = len(entries) == 1 and _is_interactive(entries[0].job)  # an interactive job is submitted alone
        deadline = math.inf if interactive else self._call_deadlines.launch
        await self._run(deque([entry for entry in entries if entry.launcher is None]), deadline, self._built)
        ready = deque([entry for entry in entries if entry.job.stage is LAUNCHING])
        renew_calls(ready, LAUNCH)
        await self._run(ready, deadline, self._launch_returned)

    def take_back(self, job: LiveJob) -> bool:
        """Take back the call of the launcher of `job` unless it has begun."""
        call = job.data.call
        # The ticket decides between this kill and the thread that may begin the call now: see `call_batches`.
        if call is None or call.take_back():
            self._drop_launcher(job.data)
            return True
        self._wait_for(job, call)
        return False

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Queue the kills of `jobs`; those whose launcher is in a call wait for that."""
        for job in jobs:
            call = job.data.call
            if call is None or call.take_back():
                self._kill_now(job.data)
            else:
                self._wait_for(job, call)

    def limits(self, spec: Any) -> tuple[float | None, float | None]:
        """Return the limits of a job, which may be a foreign one."""
        if spec.__class__ is JobSpec:
            return spec.timeout, spec.queue_timeout
        return limits_of_job(spec)

    def forget(self, job_id: str) -> None:
        """Drop the launcher that is kept for a busy job."""
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self._drop_launcher(kept)

    def notes(self) -> list[str]:
        """Name the calls that are still in progress."""
        held = [f"{call.step.name} of {call.subject!r}" for call in self._workers.abandoned()]
        some = ", ".join(held[:10]) + (" and others" if len(held) > 10 else "")  # noqa: PLR2004 - enough
        note = f"backend {self.control.name!r}: {len(held)} abandoned threads are still in {some}"
        return [note] if held else []

    # ------------------------------------------------------------------ the launcher thread

    async def _run(self, calls: deque[Any], deadline: float, settle: Callable[[list[Any]], None]) -> None:
        """Make `calls` in the launcher thread, batch by batch, alternating with other queues; `settle` each batch."""
        try:
            while calls:
                async with self._thread_lock:
                    done, stalled = await self._launcher_thread.run(calls, deadline)
                settle(done)
                if stalled is not None:
                    self._handle_stalled(stalled)
        except trio.Cancelled:
            for entry in calls:
                self._drop_launcher(entry)
            raise

    def _enter(self, job: LiveJob) -> Entry:
        entry = job.data = Entry(job, self._make)  # its first call builds the launcher
        kept = self._kept.pop(job.id, None) if self._kept else None
        if kept is not None:
            # Another job may have the same id: only the same specification gets the same launcher.
            if kept.job.spec is job.spec and not _has_died(kept.launcher):
                entry.launcher = kept.launcher
            else:
                self._drop_launcher(kept)
        return entry

    def _built(self, entries: list[Entry]) -> None:
        for entry in entries:
            entry.call = None
            job = entry.job
            if entry.failure is not None:
                if not self._lost_with_process(entry):
                    self._not_launched(entry)
            elif job.stop is not None or job.stage is DONE:  # killed, or lost, while the constructor ran
                if job.stage is not DONE:
                    self.control.finish_stopped(job)
                self._drop_launcher(entry)

    def _launch_returned(self, entries: list[Entry]) -> None:
        launched: list[Entry] = []
        for entry in entries:
            entry.call = None
            entry.job.paths = self._paths_of(entry.job.spec)
            if entry.failure is None:
                launched.append(entry)
            elif not self._lost_with_process(entry):
                self._not_launched(entry)
        self.control.started_all([entry.job for entry in launched])  # also starts the kill of jobs that are to end
        for entry in launched:
            if entry.job.stage is DONE:
                self._kill_now(entry)  # the job was lost while `launch()` was in progress, and runs now
        self._poller.feed(_to_poll(launched))

    def _not_launched(self, entry: Entry) -> None:
        job = entry.job
        is_busy = entry.failure is not None and entry.failure.is_busy
        if is_busy and job.stage is not DONE and job.stop is None and entry.launcher is not None:
            self._kept[job.id] = entry
        else:
            self._drop_launcher(entry)
        if job.stage is DONE:
            return
        if is_busy:
            self.control.refuse(job, self._raised(entry))
        else:
            self.control.fail(job, FailureKind.LAUNCH_ERROR, self._raised(entry))

    # ------------------------------------------------------------------ polls

    async def _poll(self, entries: deque[Entry]) -> list[Entry]:
        """Poll `entries`; return those to poll again. Called by the poller."""
        alive: list[Entry] = []
        renew_calls(entries, POLL)
        await self._run(entries, self._call_deadlines.stall, lambda done: self._polled(done, alive))
        return alive

    def _polled(self, entries: list[Entry], alive: list[Entry]) -> None:
        self.control.finish_all(self._ends_of(entries, alive))

    def _ends_of(self, entries: list[Entry], alive: list[Entry]) -> Iterator[End]:
        """Handle the answers of polls: yield the ends, and add the entries to poll again to `alive`.

        The list is empty afterwards: each entry is released before the next one is handled. See `make_handles` for why.
        """
        entries.reverse()
        while entries:
            entry = entries.pop()
            entry.call = entry.stalled = None
            job = entry.job
            answer: Any = entry.value
            if answer.__class__ is Ended:
                self._drop_launcher(entry)
                if job.stage is not DONE:
                    # Job and entry refer to each other: without this only the cyclic collector would free them.
                    job.data = None
                    yield job, answer.status, answer.reason, answer.usage
            elif entry.failure is not None and self._lost_with_process(entry):
                pass
            elif job.stop is not None or job.stage is DONE:
                self._kill_now(entry)  # a kill has waited for this call
            elif entry.failure is not None:
                self._poll_failed(entry, alive)
            else:
                entry.failures = 0
                if answer is not job.status:
                    self.control.progress(job, answer)
                alive.append(entry)

    def _poll_failed(self, entry: Entry, alive: list[Entry]) -> None:
        entry.failures += 1
        if entry.failures < self._poll_error_limit:
            alive.append(entry)
        else:
            entry.polling_failed = True  # before the kill is queued: it makes no last poll then
            times = f"{entry.failures} times in a row, the last time " if entry.failures > 1 else ""
            self.control.stop([entry.job], FailureKind.LAUNCHER_ERROR, self._raised(entry, times))

    # ------------------------------------------------------------------ kills

    def _kill_now(self, entry: Entry) -> None:
        """Queue the kill of a launcher that has no other call, and start a task for it if the pool allows."""
        entry.call = call = Call(KILL, entry)
        self._kills.append(call)
        self._open_kills += 1
        self._spawn_killer()

    def _spawn_killer(self) -> None:
        # Never more tasks than kills: `_open_kills` also counts those in progress, each of which occupies a task.
        if self._kills and self._kill_tasks < min(self._kill_threads, self._open_kills):
            self._kill_tasks += 1
            self.control.start_task(self._run_kills)

    async def _run_kills(self) -> None:
        number = self._kill_tasks
        if self._idle_kill_threads:
            thread = self._idle_kill_threads.pop()
        else:
            thread = self._workers.launcher_thread(f"{self.control.name}.kill.{number}")
        try:
            while self._kills and self._workers.hung <= MAX_HUNG:  # beyond that `_check_hung` breaks the backend
                # Each task starts the next one: to start 64 threads in one step would hold up the event loop.
                self._spawn_killer()
                done, stalled = await thread.run(self._kills, self._call_deadlines.kill)
                self._killed(done)
                if stalled is not None:
                    self._abandon_call(stalled)
        finally:
            self._kill_tasks -= 1
            self._idle_kill_threads.append(thread)

    def _killed(self, calls: list[Call]) -> None:
        for call in calls:
            entry: Entry = call.subject
            entry.call = None
            self._drop_launcher(entry)
            self._open_kills -= 1
            job = entry.job  # it may have been lost while it was being killed
            end: Any = None if call.failure is not None else call.value
            if job.stage is DONE or self._lost_with_process(call):
                continue
            if end is not None:
                self.control.finish(job, end.status, end.reason, end.usage)
            elif call.failure is not None:
                self._lose(job, self._raised(call))
            else:
                self.control.finish_stopped(job)

    def _wait_for(self, job: LiveJob, call: Call) -> None:
        """Let the kill of `job` wait for a call in progress; after `kill_timeout` the job is lost."""
        if self._call_deadlines.kill < math.inf:
            at = trio.current_time() + self._call_deadlines.kill
            self.control.deadlines.add(at, job, lambda job: self._wait_timed_out(job, call))

    def _wait_timed_out(self, job: LiveJob, call: Call) -> None:
        entry: Entry = job.data
        if entry.call is not call or (entry.stalled is not None and entry.stalled.has_returned()):
            return  # it has returned, and `_ends_of` or `_launch_returned` makes the kill
        limit = self._call_deadlines.kill
        self._lose(job, f"{self._named(call)} did not return within {limit:g} s, and could not be killed")
        call.is_abandoned = True
        if entry.stalled is not None:
            entry.stalled.abandon()
            self._check_hung()
        else:
            # The launcher thread still waits for this call: it must look at `is_abandoned` now, not at the deadline.
            self._launcher_thread.recheck()

    # ------------------------------------------------------------------ dropping launchers

    def _drop_launcher(self, entry: Entry) -> None:
        """Drop the reference to a launcher in the launcher thread: the last one runs the launcher's `__del__`."""
        if isinstance(entry.launcher, LauncherProxy):
            entry.launcher = None  # the proxy is our own class, and its `__del__` does not block
        elif entry.launcher is not None:
            # Only as an argument: a variable here could hold the last reference, if the thread is quicker.
            self._drops.append(entry.take_launcher())
            if not self._is_dropping:
                self._is_dropping = True
                self.control.start_task(self._run_drops)

    async def _run_drops(self) -> None:
        try:
            await self._drop_all()
        finally:
            self._is_dropping = False

    async def _drop_all(self) -> None:
        while self._drops:
            call = deque([Call(DROP, Dropping(self._drops))])
            async with self._thread_lock:
                _, stalled = await self._launcher_thread.run(call, self._call_deadlines.stall)
            if stalled is not None:
                self._handle_stalled(stalled)

    # ------------------------------------------------------------------ stalled and abandoned calls

    def _handle_stalled(self, stalled: StalledCall) -> None:
        call = stalled.call
        if call.step is DROP:  # `__del__` has no answer, and no job depends on it
            stalled.abandon()
            self._check_hung()
        elif call.step is POLL and not call.is_abandoned and self._call_deadlines.stall < self._call_deadlines.poll:
            call.subject.stalled = stalled
            self.control.start_task(self._wait_stalled, stalled)
            self._check_hung()
        else:
            self._abandon_call(stalled)

    async def _wait_stalled(self, stalled: StalledCall) -> None:
        try:
            with trio.move_on_after(self._call_deadlines.poll - self._call_deadlines.stall):
                await stalled.wait()
        except trio.Cancelled:
            stalled.abandon()  # the backend is closing: nothing reads the answer any more
            raise
        if stalled.call.is_abandoned:
            return  # `_wait_timed_out` has lost the job meanwhile
        # Read only now: a call that returned just as the limit passed has its answer counted.
        if stalled.has_returned():
            alive: list[Entry] = []
            self._polled([stalled.call.subject], alive)
            self._poller.feed(alive)
        else:
            self._abandon_call(stalled)

    def _abandon_call(self, stalled: StalledCall) -> None:
        """Abandon a call; its job is lost."""
        call = stalled.call
        if call.step is KILL:
            self._open_kills -= 1
            self._lose(call.subject.job, f"{self._named(call)} did not return within {self._call_deadlines.kill:g} s")
        elif call.step is POLL:
            text = f"{self._named(call)} timed out after {self._call_deadlines.poll:g} s, state unknown"
            self._lose(call.subject.job, text)
        else:
            self._lose(call.subject.job, f"launch timed out after {self._call_deadlines.launch:g} s, state unknown")
        stalled.abandon()
        self._check_hung()
        if self._isolation is not None:
            self._isolation.suspect(self._process_died)

    # ------------------------------------------------------------------ the process of isolated launchers

    def _lost_with_process(self, call: Call) -> bool:
        """Return whether `call` failed because the process of its launcher has died; lose all jobs of that process."""
        failure = call.failure
        if failure is None or failure.dead_process is None:
            return False
        self._lose(call.subject.job, failure.why)
        self._process_died(failure.dead_process, failure.why)
        return True

    def _process_died(self, process: LauncherProcess, text: str) -> None:
        """Lose all jobs whose launchers were in `process`. Does nothing the second time."""
        if self._isolation is None or process.is_discarded:
            return
        self._isolation.discard(process)
        self._deaths += 1
        self._kept = {name: entry for name, entry in self._kept.items() if entry.launcher.process is not process}
        for job in self.control.live_jobs():
            entry: Entry | None = job.data
            if entry is not None and isinstance(entry.launcher, LauncherProxy) and entry.launcher.process is process:
                # A queued kill stays queued, as `_open_kills` counts it; it fails like any call of a dead process.
                if entry.call is not None and entry.call.step is not KILL:
                    entry.call.take_back()
                self._lose(job, text)
        if self._deaths > MAX_RESTARTS:
            msg = f"backend {self.control.name!r}: {text}; it was restarted {MAX_RESTARTS} times, which is the limit"
            self.control.break_backend(BackendBrokenError(msg))

    def _check_hung(self) -> None:
        if self._workers.hung > MAX_HUNG:
            msg = (
                f"backend {self.control.name!r}: {self._workers.hung} calls of {self._owner} do not return, "
                f"and each holds a thread; at most {MAX_HUNG} may"
            )
            self.control.break_backend(BackendBrokenError(msg))

    def _lose(self, job: LiveJob, text: str) -> None:
        if job.stage is not DONE:
            why_stopped = "" if job.stop is None else f"; it was being stopped because: {job.stop.reason.message}"
            self.control.fail(job, FailureKind.LOST, f"{text}{why_stopped}")

    def _raised(self, call: Call, times: str = "") -> str:
        """Return the message for a call that failed."""
        why = "" if call.failure is None else call.failure.why
        hint = "" if self._isolation is not None else hint_of(call.failure)
        return f"{self._named(call)} raised {times}{why}{hint}"

    def _named(self, call: Call) -> str:
        return f"{self._owner}()" if call.step is BUILD else f"{self._owner}.{call.step.name}"


def _is_interactive(job: LiveJob) -> bool:
    return bool(getattr(job.spec, "interactive", False))


def _to_poll(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.call is None and entry.job.stop is None and entry.job.stage is LAUNCHED]


def _drop_all(launchers: deque[Any]) -> None:
    while launchers:
        Dropping(launchers).drop()


def _has_died(launcher: Any) -> bool:
    return isinstance(launcher, LauncherProxy) and launcher.process.has_ended()
