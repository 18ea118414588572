"""`Controller`: the states of jobs, as in Slurm 22.05. It handles no text, no sockets, and no processes.

It has these peculiarities of the real one, as a backend could depend on them:

- Elements of an array get ids of their own as they begin; the last to begin has the array's.
- A pending element that is cancelled by its index leaves no row; when all elements have been cancelled like that, one
row
  is left for the whole array, without an index.
- A job that is being ended is COMPLETING until its processes have gone; they get SIGKILL after `kill_wait` seconds.
- A job is RUNNING before its node has started its script. One that is cancelled in between is CANCELLED at once, as the
  node has no process to end; then the node starts the script all the same, and nobody ends it.
- A job that is killed by a signal which was not sent through Slurm is FAILED, with `JobLaunchFailure`.
- A requeued job is PENDING for `BeginTime`, with the same ids and one restart more.
- A job that has ended is forgotten `min_job_age` seconds later.
"""

from __future__ import annotations

import math
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from tests.slurm.fakes.jobs import COMPLETING, PENDING, RUNNING, Job, Request


class Nodes(Protocol):
    """Where jobs run."""

    def start(self, job: Job) -> None:
        """Begin; `Controller.ended` is called when the script has ended."""

    def signal(self, job: Job, number: int, *, script: bool = True, children: bool = True) -> None:
        """Send a signal to its script, to what that has started, or to both."""


@attrs.define(eq=False)
class Settings:
    """The configuration of the cluster. Times are in seconds."""

    nodes: tuple[str, ...] = ("n1", "n2")
    cpus: int = 16
    """Per node."""
    max_array_size: int = 1001
    max_job_count: int = 10000
    min_job_age: float = 300
    kill_wait: float = 2
    patient: bool = True
    """Whether a job that is cancelled gets other signals first, and SIGKILL `kill_wait` seconds later."""
    first_signals: tuple[int, ...] = (signal.SIGCONT, signal.SIGTERM)
    """These."""
    special_codes: bool = False
    """Whether a job that exits with 99 is requeued, and one with 100 held: as on Grid Engine."""
    requeue_delay: float = 0.1
    """Seconds that a requeued job waits; two minutes on a real controller."""
    completing: float = 0
    """How long a job is COMPLETING after its processes have gone."""
    launching: float = 0
    """How long a job is RUNNING before its script starts."""
    queue: float = 0
    """How long jobs are pending at least."""


class RefusedError(Exception):
    """A submission that the controller does not accept; the text is its own."""


class Controller:
    """All jobs, and the rules for their states."""

    def __init__(self, nodes: Nodes, clock: Callable[[], float], settings: Settings) -> None:
        self.nodes = nodes
        self.clock = clock
        self.settings = settings
        self.jobs: list[Job] = []
        self.launching: list[tuple[float, Job]] = []
        """The jobs whose scripts are about to start, and when."""
        self.next_id = 1
        self.holding = False
        """Whether no job may begin."""
        self.unavailable: dict[str, str] = {}
        """Nodes that take no jobs, and why."""
        self.refuse: Callable[[Request], str | None] = lambda _request: None
        """Returns the reason to refuse a submission, or `None`."""
        self.silent: set[str] = set()
        """Nodes that answer no more, and whose jobs are kept as they were: as on Grid Engine."""
        self.unreported: list[tuple[Job, int]] = []
        """Jobs that have ended there, and their wait statuses."""

    # ------------------------------------------------------------------ what clients ask for

    def submit(self, request: Request, *, only: Iterable[int] | None = None) -> int:
        """Accept a submission, or `only` some elements of it.

        Raises:
            RefusedError: with the controller's message.
        """
        indices: tuple[int | None, ...] = (None,) if request.indices is None else request.indices
        if request.indices is not None and (not indices or max(request.indices) >= self.settings.max_array_size):
            raise RefusedError("Invalid job array specification")
        if len(self.jobs) + len(indices) > self.settings.max_job_count:
            raise RefusedError("Slurm temporarily unable to accept job, sleeping and retrying")
        if request.partition != "main":
            raise RefusedError("Invalid partition name specified")
        if request.excluded - set(self.settings.nodes):
            raise RefusedError("Invalid node name specified")
        if request.excluded == set(self.settings.nodes):
            raise RefusedError("Requested node configuration is not available")
        why = self.refuse(request)
        if why is not None:
            raise RefusedError(why)
        now = self.clock()
        array_id, self.next_id = self.next_id, self.next_id + 1
        chosen = set(indices if only is None else only)
        for index in indices:
            if index in chosen:
                job = Job(request, array_id, index, now, array_id, eligible=now + self.settings.queue)
                job.reason = "JobHeldUser" if request.held else "None"
                self.jobs.append(job)
        self.work()
        return array_id

    def cancel(self, jobs: Iterable[Job], *, whole: bool = False) -> None:
        """Cancel jobs; arrays that are cancelled as a `whole` keep a row for each element."""
        jobs = list(jobs)
        now = self.clock()
        for job in jobs:
            if job.state == PENDING:
                job.state, job.started, job.ended = "CANCELLED", now, now
                if not whole and job.index is not None:
                    self._forget_pending(job)
            elif job in [each for _, each in self.launching]:
                job.state, job.ended = "CANCELLED", now
            elif job.state == RUNNING:
                self._end(job, "CANCELLED", patient=self.settings.patient)
        self.work()

    def signal(self, jobs: Iterable[Job], number: int, *, batch: bool, full: bool) -> None:
        """Send a signal. Without `batch` or `full` it is for steps alone, of which a script by itself has none."""
        for job in jobs:
            if job.state == RUNNING and number == signal.SIGKILL:
                self._end(job, "CANCELLED", patient=False)
            elif job.state == RUNNING and (batch or full):
                self.nodes.signal(job, number, script=True, children=full)

    # ------------------------------------------------------------------ what happens by itself

    def ended(self, job: Job, status: int) -> None:
        """The processes of `job` have gone. Others may begin at the next `work`."""
        if not job.is_active:
            return
        if job.node in self.silent:
            self.unreported.append((job, status))
            return
        code = status >> 8
        special = job.request.requeue_codes | ({99, 100} if self.settings.special_codes else set())
        if job.state == RUNNING and not status & 0x7F and code in special:
            job.state, job.restarts, job.process, job.node = PENDING, job.restarts + 1, 0, None
            job.eligible = math.inf if code == 100 else self.clock()
            return
        if job.state == RUNNING:
            # Both a signal that came from elsewhere, and an output file that cannot be, look like a failed launch.
            job.final = "COMPLETED" if status == 0 else "FAILED"
            job.reason = "JobLaunchFailure" if status & 0x7F else "NonZeroExitCode" if status else "None"
        job.status, job.process, job.kill_at = status, 0, None
        job.ended = self.clock()
        job.state = COMPLETING if self.settings.completing else job.final

    def work(self) -> float | None:
        """Do all that is due; return the time of the next change, or `None` if there is none."""
        now = self.clock()
        due = self._start_scripts(now)
        for job in self.jobs:
            if job.state == COMPLETING and job.process == 0 and job.ended is not None:
                if now >= job.ended + self.settings.completing:
                    job.state = job.final
                else:
                    due.append(job.ended + self.settings.completing)
            if job.kill_at is not None and now >= job.kill_at:
                job.kill_at = None
                self.nodes.signal(job, signal.SIGKILL)
            if job.state == RUNNING and job.request.time_limit is not None and job.started is not None:
                if now >= job.started + job.request.time_limit:
                    self._end(job, "TIMEOUT")
                    job.reason = "TimeLimit"
                else:
                    due.append(job.started + job.request.time_limit)
            if job.kill_at is not None:
                due.append(job.kill_at)
            if job.is_done and job.ended is not None:
                due.append(job.ended + self.settings.min_job_age)
        self.jobs = [
            job
            for job in self.jobs
            if not job.is_done or job.ended is None or now < job.ended + self.settings.min_job_age
        ]
        due += self._begin_jobs(now)
        return min((time for time in due if time > now), default=None)

    def fail_node(self, name: str, *, state: str = "NODE_FAIL", kill: bool = True) -> None:
        """Take a node down: its jobs are requeued if they may be; the others have ended.

        With `kill` false their processes go on, as when only the daemon has died.
        """
        self.unavailable[name] = "NodeDown"
        self.take_away([job for job in self.jobs if job.node == name and job.is_active], state=state, kill=kill)

    def silence_node(self, name: str) -> None:
        """Let a node answer no more. Its jobs go on, and nothing is heard of them."""
        self.unavailable[name] = "NoAnswer"
        self.silent.add(name)

    def hear_node(self, name: str) -> None:
        """Let a node answer again: it reports the jobs that have ended, and ends those that were cancelled."""
        del self.unavailable[name]
        self.silent.discard(name)
        told, self.unreported = self.unreported, []
        for job, status in told:
            self.ended(job, status)
        for job in self.jobs:
            if job.node == name and job.state == COMPLETING:
                self.nodes.signal(job, signal.SIGKILL)
        self.work()

    def take_away(self, jobs: Iterable[Job], *, state: str, kill: bool = True) -> None:
        """Take running jobs from their nodes; `state` is for those that are not requeued."""
        now = self.clock()
        for job in jobs:
            if kill and job.process:
                self.nodes.signal(job, signal.SIGKILL)
            job.process = 0
            job.kill_at = None
            if job.request.requeue:
                job.state, job.reason, job.restarts = PENDING, "BeginTime", job.restarts + 1
                job.node, job.started, job.eligible = None, None, now + self.settings.requeue_delay
            else:
                job.state, job.ended = state, now
                job.reason = "NodeDown" if state == "NODE_FAIL" else "None"
        self.work()

    # ------------------------------------------------------------------ inside

    def _end(self, job: Job, state: str, *, patient: bool = True) -> None:
        job.state, job.final = COMPLETING, state
        if job.node in self.silent:
            return
        if patient:
            for number in self.settings.first_signals:
                self.nodes.signal(job, number)
            job.kill_at = self.clock() + self.settings.kill_wait
        else:
            self.nodes.signal(job, signal.SIGKILL)

    def _forget_pending(self, job: Job) -> None:
        left = [other for other in self.jobs if other.array_id == job.array_id and other.state == PENDING]
        if left:
            self.jobs.remove(job)
        else:
            job.index = None

    def _start_scripts(self, now: float) -> list[float]:
        """Start the scripts that are due; return the times at which others are."""
        started = [job for at, job in self.launching if at <= now]
        self.launching = [(at, job) for at, job in self.launching if at > now]
        for job in started:
            self.nodes.start(job)
        return [at for at, _ in self.launching]

    def _begin_jobs(self, now: float) -> list[float]:
        """Begin the jobs that may begin; return the times at which others may."""
        later: list[float] = []
        free = {
            name: self.settings.cpus - sum(job.request.cpus for job in self.jobs if job.is_active and job.node == name)
            for name in self.settings.nodes
            if name not in self.unavailable
        }
        active: dict[int, int] = defaultdict(int)
        pending: dict[int, int] = defaultdict(int)
        for job in self.jobs:
            active[job.array_id] += job.is_active
            pending[job.array_id] += job.state == PENDING
        for job in list(self.jobs):
            if job.state != PENDING or job.request.held:
                continue
            if now < job.eligible:
                job.reason = "BeginTime" if job.restarts else "None"
                later.append(job.eligible)
                continue
            allowed = [name for name in free if name not in job.request.excluded]
            node = max(allowed, key=lambda name: free[name], default=None)
            throttle = job.request.throttle
            if throttle is not None and active[job.array_id] >= throttle:
                job.reason = "JobArrayTaskLimit"
            elif self.holding or node is None or free[node] < job.request.cpus:
                job.reason = "Resources"
            else:
                if job.index is not None and pending[job.array_id] > 1 and job.restarts == 0:
                    job.job_id, self.next_id = self.next_id, self.next_id + 1
                pending[job.array_id] -= 1
                active[job.array_id] += 1
                free[node] -= job.request.cpus
                job.state, job.reason, job.node, job.started = RUNNING, "None", node, now
                if self.settings.launching:
                    self.launching.append((now + self.settings.launching, job))
                    later.append(now + self.settings.launching)
                else:
                    self.nodes.start(job)
        return later
