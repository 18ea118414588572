"""`AdapterDriver`: decides which launcher is called when, and what its answers mean.

One launcher thread for all calls but kills
-------------------------------------------
Launchers block, hang and raise; they share class state, and some are bound to one thread. So the adapter builds,
launches and polls all of them in one launcher thread, one call at a time. Each submission has a queue of calls, and so
has the poller. The queues share the thread batch by batch (see `call_batches`), in FIFO order: neither a thousand
launches nor a thousand polls starve the other (`shared_thread`).

Kills do not wait for that thread. A pool of at most `kill_threads` threads takes them from one queue: a kill that takes
two seconds occupies one of these threads, and the others go on (`kill_pool`).

A launcher never has two calls in progress
------------------------------------------
The states of a launcher and their moves are in `entry`. A kill takes back a call that has not begun, and proceeds at
once. If the call is in progress, the kill waits until it returns, for at most `kill_timeout`. Then the job is lost, and
the call is abandoned.

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
threads may be held by stalled and abandoned calls; beyond that the adapter is broken (`hung_calls`).

Isolated launchers live in another process (see `isolation`). When that process dies, every job with a launcher in it is
lost, and the next launcher is built in a new process. The process is restarted at most `MAX_RESTARTS` times.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import trio

from runtime.backend.contract.control import Control, JobEnd
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import DONE, LiveJob
from runtime.backend.legacy.call_batches import Call, LauncherWorkers, StalledCall
from runtime.backend.legacy.drops import DROP, Drops
from runtime.backend.legacy.duck_typing import limits_of_job
from runtime.backend.legacy.entry import (
    ABANDONED,
    BUILDING,
    IDLE,
    KEPT,
    KILLING,
    LAUNCHING,
    POLLING,
    STALLED,
    Entry,
    move_all,
    queue_all,
)
from runtime.backend.legacy.hung_calls import HungCalls, StalledPolls
from runtime.backend.legacy.isolated import LauncherProcess, LauncherProxy
from runtime.backend.legacy.isolation import Isolation
from runtime.backend.legacy.kill_pool import KillPool
from runtime.backend.legacy.launcher import AnyLauncher
from runtime.backend.legacy.launcher_calls import BUILD, KILL, KILL_UNPOLLED, LAUNCH, POLL, PolledEnd
from runtime.backend.legacy.main_thread import hint_of
from runtime.backend.legacy.poller import Poller
from runtime.backend.legacy.shared_thread import SharedThread
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobPaths, JobSpec
from runtime.job.protocol import Specification


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
    make: Callable[[Specification], AnyLauncher]
    """Builds a launcher from a job's specification."""
    paths_of: Callable[[Specification], JobPaths | None]
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
    kill_deadline: float | None = None

    def __init__(
        self, control: Control, options: LauncherOptions, workers: LauncherWorkers, isolation: Isolation | None
    ) -> None:
        super().__init__(control)
        workers.owner = options.owner
        limits = options.deadlines
        self._options = options
        self._make: Callable[[Specification], AnyLauncher] = options.make if isolation is None else isolation.make
        self._workers = workers
        self._isolation = isolation
        self._hung = HungCalls(control, workers)
        self._thread = SharedThread(workers.launcher_thread(control.name), self._call_stalled)
        self._kills = KillPool(
            control,
            workers.launcher_thread,
            self._hung,
            most=options.kill_threads,
            deadline=limits.kill,
            returned=self._kills_returned,
            stalled=self._abandon,
        )
        self._drops = Drops(control, self._thread, limits.stall)
        self._stalled = StalledPolls(control, limits.poll - limits.stall, self._stalled_returned, self._abandon)
        self._poller = Poller(options.poll_interval, options.max_polls, self._poll)
        self._kept: dict[str, Entry] = {}
        """Launchers that raised `LauncherBusyError`, by job id: a retry of the job reuses its launcher."""

    async def serve(self) -> None:
        """Poll the launchers."""
        await self._poller.run()

    async def teardown(self) -> None:
        """Drop all launchers, and end the threads and the process."""
        await self._drops.finish([*self._kept.values(), *self._poller.take_waiting(), *self._kills.take_queued()])
        self._kept.clear()
        self._workers.close()
        if self._isolation is not None:
            await self._isolation.close()

    def limits(self, spec: Any) -> tuple[float | None, float | None]:
        """Return the limits of a job, which may be a foreign one."""
        if spec.__class__ is JobSpec:
            return spec.timeout, spec.queue_timeout
        return limits_of_job(spec)

    def notes(self) -> list[str]:
        """Name the calls that are still in progress."""
        return self._hung.notes()

    # ------------------------------------------------------------------ launches

    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        """Build all launchers of `jobs`, then launch them."""
        begun = self.control.begin_all(jobs)
        # The usual case inline, without a call for each job.
        entries = [self._entry_of(job) if self._kept else Entry(job, self._make, BUILD) for job in begun]
        interactive = len(entries) == 1 and entries[0].job.interactive  # an interactive job is submitted alone
        deadline = math.inf if interactive else self._options.deadlines.launch
        with self._poller.launching():
            await self._run(deque([entry for entry in entries if entry.state is BUILDING]), deadline, self._built)
            ready = deque([entry for entry in entries if entry.state is LAUNCHING])
            await self._run(ready, deadline, self._launched)

    def _entry_of(self, job: LiveJob) -> Entry:
        kept = self._kept.pop(job.id, None)
        if kept is not None:
            # Another job may have the same id: only the same specification gets the same launcher.
            if kept.job.spec is job.spec and not _has_died(kept.launcher):
                queue_all([kept], LAUNCH, LAUNCHING)
                kept.job, job.data = job, kept
                return kept
            self._drops.add(kept)
        return Entry(job, self._make, BUILD)

    async def _run(self, entries: deque[Entry], deadline: float, returned: Callable[[list[Entry]], None]) -> None:
        """Make calls in the launcher thread, in turn with other queues, and pass those that have returned on."""
        try:
            await self._thread.run(entries, deadline, returned)
        except trio.Cancelled:
            for entry in entries:
                if entry.is_pending:  # those that were taken back are dropped or killed already
                    self._drops.add(entry)
            raise

    def _built(self, entries: list[Entry]) -> None:
        built: list[Entry] = []
        for entry in entries:
            job = entry.job
            if entry.failure is not None:
                self._not_launched(entry)
            elif job.stop is None and job.stage is not DONE:
                built.append(entry)
            else:  # killed, or lost, while the constructor ran
                self._drops.add(entry)
                if job.stage is not DONE:
                    self.control.finish_stopped(job)
        queue_all(built, LAUNCH, LAUNCHING)  # for `launch`, which makes these calls when all are built

    def _launched(self, entries: list[Entry]) -> None:
        launched: list[Entry] = []
        paths_of = self._options.paths_of
        for entry in entries:
            entry.job.paths = paths_of(entry.job.spec)
            if entry.failure is None:
                launched.append(entry)
            else:
                self._not_launched(entry)
        move_all(launched, IDLE)
        self.control.started_all([entry.job for entry in launched])  # also starts the kill of jobs that are to end
        for entry in launched:
            if entry.job.stage is DONE:
                self._kills.add(entry, KILL)  # the job was lost while `launch()` was in progress, and runs now
        self._poller.feed(launched)

    def _not_launched(self, entry: Entry) -> None:
        """Handle a constructor or a `launch()` that raised."""
        if self._died_with_process(entry):
            return
        job = entry.job
        is_busy = entry.failure is not None and entry.failure.is_busy
        if is_busy and entry.state is LAUNCHING and job.stage is not DONE and job.stop is None:
            entry.move(KEPT)
            self._kept[job.id] = entry
        else:
            self._drops.add(entry)
        if job.stage is DONE:
            return
        if is_busy:
            self.control.refuse(job, self._raised(entry))
        else:
            self.control.fail(job, FailureKind.LAUNCH_ERROR, self._raised(entry))

    def forget(self, job_id: str) -> None:
        """Drop the launcher that is kept for a busy job."""
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self._drops.add(kept)

    # ------------------------------------------------------------------ polls

    async def _poll(self, entries: deque[Entry]) -> list[Entry]:
        """Poll `entries`; return those to poll again. Called by the poller."""
        alive: list[Entry] = []
        queue_all(entries, POLL, POLLING)
        await self._run(entries, self._options.deadlines.stall, lambda done: self._polled(done, alive))
        return alive

    def _stalled_returned(self, entry: Entry) -> None:
        alive: list[Entry] = []
        self._polled([entry], alive)
        self._poller.feed(alive)

    def _polled(self, entries: list[Entry], alive: list[Entry]) -> None:
        self.control.finish_all(self._ends_of(entries, alive))

    def _ends_of(self, entries: list[Entry], alive: list[Entry]) -> Iterator[JobEnd]:
        """Handle the answers of polls: yield the ends, and add the entries to poll again to `alive`.

        The list is empty afterwards: each entry is released before the next one is handled. See `make_handles` for why.
        """
        entries.reverse()
        while entries:
            entry = entries.pop()
            job = entry.job
            answer: Any = entry.value
            if answer.__class__ is PolledEnd:
                self._drops.add(entry)
                if job.stage is not DONE:
                    # Job and entry refer to each other: without this only the cyclic collector would free them.
                    job.data = None
                    yield job, answer.status, answer.reason, answer.usage
            elif entry.failure is not None and self._died_with_process(entry):
                pass
            elif job.stop is not None or job.stage is DONE:
                self._kills.add(entry, KILL)  # a kill has waited for this call
            elif entry.failure is not None:
                entry.move(IDLE)
                self._poll_failed(entry, alive)
            else:
                entry.move(IDLE)
                entry.failures = 0
                if answer is not job.status:
                    self.control.progress(job, answer)
                alive.append(entry)

    def _poll_failed(self, entry: Entry, alive: list[Entry]) -> None:
        entry.failures += 1
        if entry.failures < self._options.poll_error_limit:
            alive.append(entry)
        else:
            times = f"{entry.failures} times in a row, the last time " if entry.failures > 1 else ""
            self.control.stop([entry.job], FailureKind.LAUNCHER_ERROR, self._raised(entry, times))

    # ------------------------------------------------------------------ kills

    def take_back(self, job: LiveJob) -> bool:
        """Take back the constructor or the `launch()` of `job` unless it is in progress."""
        entry: Entry = job.data
        # The ticket decides between this kill and the thread that may begin the call now: see `call_batches`.
        if entry.take_back():
            self._drops.add(entry)
            return True
        self._wait_for_call(job)
        return False

    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Queue the kills of `jobs`; those whose launcher is in a poll wait for that."""
        for job in jobs:
            entry: Entry = job.data
            if entry.state is IDLE or (entry.state is POLLING and entry.take_back()):
                has_failed = entry.failures >= self._options.poll_error_limit
                self._kills.add(entry, KILL_UNPOLLED if has_failed else KILL)
            else:
                self._wait_for_call(job)

    def _kills_returned(self, calls: list[Call]) -> None:
        for call in calls:
            entry: Entry = call.subject
            self._drops.add(entry)
            job = entry.job  # it may have been lost while it was being killed
            if job.stage is DONE or self._died_with_process(call):
                continue
            if call.failure is not None:
                self._lose(job, self._raised(call))
            elif isinstance(call.value, PolledEnd):
                self.control.finish(job, call.value.status, call.value.reason, call.value.usage)
            else:
                self.control.finish_stopped(job)

    def _wait_for_call(self, job: LiveJob) -> None:
        """Let the kill of `job` wait for a call in progress; after `kill_timeout` the job is lost."""
        if self._options.deadlines.kill < math.inf:
            self.control.deadlines.add(trio.current_time() + self._options.deadlines.kill, job, self._wait_timed_out)

    def _wait_timed_out(self, job: LiveJob) -> None:
        entry: Entry = job.data
        if entry.state is KILLING:
            return  # the call has returned, and the kill has a deadline of its own
        stalled = None
        if entry.state is STALLED and (stalled := self._stalled.give_up(entry)) is None:
            return  # it has just returned, and the kill follows
        limit = self._options.deadlines.kill
        self._lose(job, f"{self._named(entry)} did not return within {limit:g} s, and could not be killed")
        if stalled is not None:
            self._abandon(stalled)
        else:
            self._thread.abandon(entry)  # which comes back as a call that has stalled

    # ------------------------------------------------------------------ calls that do not return

    def _call_stalled(self, stalled: StalledCall) -> None:
        """Handle a call in the launcher thread that has passed its deadline, or was abandoned."""
        call, limits = stalled.call, self._options.deadlines
        if call.step is DROP:  # `__del__` has no answer, and no job depends on it
            self._hung.abandon(stalled)
        elif call.step is POLL and call.subject.job.stage is not DONE and limits.stall < limits.poll:
            self._stalled.add(call.subject, stalled)
            self._hung.check()
        else:
            self._abandon(stalled)

    def _abandon(self, stalled: StalledCall) -> None:
        """Abandon a call; its job is lost."""
        call, limits = stalled.call, self._options.deadlines
        entry: Entry = call.subject
        if entry.state is KILLING:
            text = f"{self._named(call)} did not return within {limits.kill:g} s"
        elif call.step is POLL:
            text = f"{self._named(call)} timed out after {limits.poll:g} s, state unknown"
        else:
            text = f"launch timed out after {limits.launch:g} s, state unknown"
        self._lose(entry.job, text)
        entry.move(ABANDONED)
        self._hung.abandon(stalled)
        if self._isolation is not None:
            self._isolation.suspect(self._process_died)

    # ------------------------------------------------------------------ the process of isolated launchers

    def _died_with_process(self, call: Call) -> bool:
        """Return whether `call` failed because the process of its launcher has died; lose all jobs of that process."""
        failure = call.failure
        if failure is None or failure.dead_process is None:
            return False
        self._drops.add(call.subject)
        self._lose(call.subject.job, failure.why)
        self._process_died(failure.dead_process, failure.why)
        return True

    def _process_died(self, process: LauncherProcess, text: str) -> None:
        """Lose all jobs whose launchers were in `process`. Does nothing the second time."""
        if self._isolation is None or not self._isolation.discard(process):
            return
        for name, entry in list(self._kept.items()):
            if _lives_in(process, entry):
                self.forget(name)
        for job in self.control.live_jobs():
            entry = job.data
            if entry is not None and _lives_in(process, entry):
                # A queued kill stays queued; it fails like any call of a dead process, and so does one in progress.
                if entry.state is IDLE or (entry.state is not KILLING and entry.take_back()):
                    self._drops.add(entry)
                self._lose(job, text)
        if why := self._isolation.why_exhausted():
            self.control.break_backend(BackendBrokenError(f"backend {self.control.name!r}: {text}; {why}"))

    # ------------------------------------------------------------------ messages

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
        owner = self._options.owner
        return f"{owner}()" if call.step is BUILD else f"{owner}.{call.step.name}"


def _lives_in(process: LauncherProcess, entry: Entry) -> bool:
    return isinstance(entry.launcher, LauncherProxy) and entry.launcher.process is process


def _has_died(launcher: object) -> bool:
    return isinstance(launcher, LauncherProxy) and launcher.process.has_ended()
