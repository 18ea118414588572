"""`BatchBackend`: jobs are elements of arrays in the queue of a batch system, whichever that is.

A job's road: its files are prepared in a thread; jobs with equal requests go to the queue as arrays; then one task asks
the queue for all of them at once, tick by tick, and `follow` says what that means for each; whoever has ended is judged
as a local job would be.

What nobody may assume of a queue
---------------------------------
*That no means no.* A submission that seems to have failed may have been accepted, or be accepted later. So an array
has a name that nothing else ever has; while it is in doubt the queue is asked for that name, by the same question as
for all others; only when two answers in a row do not have it is it submitted again, once. Should the first turn up all
the same, its elements find their jobs claimed and do nothing (see `wrapper`).

*That an id is ours.* Rows count by name (see `board`), and an end is asked for only of what a recent answer had.

*That an order was carried out.* To cancel is to ask; what the next answers still have alive is asked for again, until
it is gone or the contract gives it up. Even then it is cancelled whenever it is seen again: a *stray*.

*That it answers.* Then nothing is concluded, and nothing is submitted: see `pace`.

An earlier life
---------------
A backend that is opened with the run token and the run directory of an earlier one, which was killed perhaps, finds the
arrays of that one by their names and files. A job that comes again with the same attempt is *adopted*: it is followed
as if we had submitted it, and if it has ended meanwhile, its record says how. With another attempt, what is left of the
earlier one is ended first. What nobody asks for is ended with the block. An array of which there is no sign may have
been asked for in the last moment of that life, and may turn up yet: so the queue is asked again before its jobs are
submitted, and their claims stay where they are.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

import attrs
import trio

from runtime.backends.backend import RuntimeBackend, check_limit
from runtime.backends.batch.board import Board, Entry, Sighting
from runtime.backends.batch.follow import Ended, Missing, Moved, Odd, Said, Sight, Trail, follow
from runtime.backends.batch.grouping import chunks, group, halves
from runtime.backends.batch.pace import Pace
from runtime.backends.batch.records import Record
from runtime.backends.batch.store import Member, Store
from runtime.backends.batch.system import (
    Accepted,
    Array,
    Busy,
    Doubtful,
    Limits,
    Phase,
    Refused,
    Row,
    State,
    System,
    Unanswered,
)
from runtime.backends.batch.tokens import array_name, job_token, run_prefix
from runtime.backends.batch.wrapper import UNSEEN
from runtime.backends.concluding import Concluder, usage_of
from runtime.backends.directories import Places
from runtime.backends.judging import Judges
from runtime.backends.live import LiveJob, Stage
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.logs import LogPatterns
from runtime.process import Exit, SoftStep, SoftSteps, SoftStop, inherited_environment

logger: Final = logging.getLogger("runtime.backends.batch")

T = TypeVar("T")

POLL_INTERVAL: Final = 2.0
"""Seconds between two questions to a queue that has news. Out of the air."""

GRACE: Final = 60.0
"""Seconds that a file on a network's disk may be late; what NFS keeps an absent name for, at most, by default."""

KILL_TIMEOUT: Final = 180.0
"""Seconds that a job may take to be gone from the queue once its end was asked for. Slurm itself gives a job 30 s
after SIGTERM; the rest is for a controller that restarts. Out of the air."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds between the soft step of a stop, if there is one, and the cancel. Out of the air."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job. DVSim's."""

DEFAULT_LIMITS: Final = Limits("unknown", 1000, accounting=False)
"""Of a system that did not answer when the backend was opened."""

DOUBT_LASTS: Final = 600.0
"""Seconds for which an array may turn up that was in doubt, and then was not in the queue. Out of the air."""

CANCEL_AGAIN: Final = 10.0
"""Seconds after which what is still alive is cancelled once more. Out of the air."""

ACCOUNT_AFTER: Final = 2.0
"""Seconds that a job has to be missing until accounting is asked for it, and between two such questions. Out of the
air."""

_SLICE: Final = 64
"""Jobs that are prepared per hop to a thread: a hundredth of a second or so."""

_FILE_THREADS: Final = 4
_JUDGE_THREADS: Final = 6
_HOOK_THREADS: Final = 64
"""Threads for each class of work that blocks; hooks are other people's code, and may take long. Out of the air."""

_LEAVING: Final = 20.0
"""Seconds that the last round through the queue may take. Out of the air."""

_LOG_INTERVAL: Final = 0.5
"""Seconds between two looks for a log that is late. Out of the air."""


_GONE: Final = Sighting(Row("", "", None, State(Phase.ENDED), ""))
"""Of a job that the queue does not have."""


@attrs.define(eq=False)
class Progress:
    """How far the launch of an attempt has come; kept while it is refused, so that nothing is done twice."""

    attempt: int
    renewed: bool = False
    hooked: bool = False


@attrs.define(eq=False)
class Element:
    """A job that is to be, or is, in the queue."""

    job: LiveJob
    token: str
    places: Places
    soft: SoftStep | None
    progress: Progress
    trail: Trail = attrs.field(factory=Trail)
    sent: bool = False
    """Whether its array was handed over, and so may be in the queue."""
    array: str = ""
    """The id of its array, once that was accepted."""
    index: int = 0
    sighting: Sighting | None = None
    """What the last answer said of it."""
    concluding: bool = False
    """Whether it has ended, and what follows is under way."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around what follows its end."""
    killed: bool = False
    """Whether its end was asked for."""
    soft_until: float | None = None
    """When its soft step is over, in seconds, once it has begun."""
    cancelled_at: float | None = None
    """When the system was last asked to end it, in seconds."""

    @property
    def member(self) -> Member:
        """Itself, as the store wants it."""
        return Member(self.job.spec, self.job.attempt, self.token, self.places)

    def places_alive(self) -> list[tuple[str, int]]:
        """Return the elements of arrays that it is alive in, as far as is known."""
        if self.sighting is None:
            return [(self.array, self.index)] if self.array else []
        return self.sighting.alive


class BatchBackend(RuntimeBackend):
    """Runs jobs as elements of a batch system's arrays.

    Args:
        system: the batch system.
        run_dir: where jobs that name no directory get theirs, and where they are waited for; the nodes see it at the
            same path. `None` for a private temporary one, which is not deleted.
        poll_interval: seconds between two questions to a queue that has news; with none they become five times as
            many. `None` for 2.
        grace: seconds that a file, or the queue, may be late before a job without a record is lost; `None` for 60.
        kill_timeout: seconds that a job may take to be gone from the queue once its end was asked for, before it is
            given up as lost; `None` for 180.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        soft_stop: what comes before the system's own stop sequence when a job is stopped; as for `LocalBackend`, but a
            signal goes to all processes of the job.
        soft_timeout: seconds between that and the stop, unless the job ends sooner; `None` for 10.
        options: as for `RuntimeBackend`.

    Raises:
        ValueError: for an argument that cannot be what it is.
    """

    name = "batch"
    max_batch = None  # the larger, the fewer arrays

    def __init__(
        self,
        system: System,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        poll_interval: float | None = None,
        grace: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        soft_stop: SoftStop | Callable[[JobSpec], SoftStop | tuple[SoftStop, float]] = None,
        soft_timeout: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        self._system = system
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        """The run directory; of a temporary one the path is known once the backend is open."""
        poll = check_limit(f"{who}: poll_interval", poll_interval, POLL_INTERVAL, whole=False)
        if poll is None:
            msg = f"{who}: poll_interval is {poll_interval!r}; wanted: seconds above 0"
            raise ValueError(msg)
        self._grace = check_limit(f"{who}: grace", grace, GRACE, whole=False) or 0.0
        keep = check_limit(f"{who}: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs = None if keep is None else int(keep)
        soft_seconds = check_limit(f"{who}: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        try:
            self._soft_steps = SoftSteps.checked(soft_stop, soft_seconds)
        except ValueError as exc:
            msg = f"{who}: {exc}"
            raise ValueError(msg) from None
        self._kill_timeout = check_limit(f"{who}: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        self.kill_deadline = self._time_to_end(0 if soft_stop is None else soft_seconds)
        self.limits = DEFAULT_LIMITS
        """What the system says of itself; known once the backend is open."""
        self._pace = Pace(poll)
        self._board = Board()
        self._elements: dict[str, Element] = {}
        self._earlier: dict[str, str] = {}
        self._absent: dict[str, str] = {}
        self._unresolved: set[str] = set()
        self._finished: set[str] = set()
        self._strays: dict[str, float] = {}
        self._stray_sightings: dict[str, Sighting] = {}
        self._shared = False
        self._progress_of: weakref.WeakKeyDictionary[Any, Progress] = weakref.WeakKeyDictionary()
        self._due = -math.inf
        self._asked = 0
        self._answers = 0
        self._asked_accounting = -math.inf
        self._store: Store
        self._concluder: Concluder
        self._judges: Judges
        self._sending: trio.Lock
        self._files: trio.CapacityLimiter
        self._hooking: trio.CapacityLimiter
        self._news: trio.Event
        self._urgent: trio.Event
        self._answered: trio.Event

    # ------------------------------------------------------------------ life

    async def _setup(self) -> None:
        self._files = trio.CapacityLimiter(_FILE_THREADS)
        self._hooking = trio.CapacityLimiter(_HOOK_THREADS)
        self._judges = Judges(trio.CapacityLimiter(_JUDGE_THREADS))
        self._concluder = Concluder(self._judges, self._hooking)
        self._sending = trio.Lock()
        self._news, self._urgent, self._answered = trio.Event(), trio.Event(), trio.Event()
        await self._probe()
        self._store = await self._in_thread(self._make_store)
        await self._find_earlier()

    async def _probe(self) -> None:
        answer = await self._system.probe()
        if isinstance(answer, Unanswered):
            logger.warning("backend %r: %s does not answer: %s", self.name, self._system.name, answer.why)
            self._pace.failed()
        else:
            self.limits = answer

    def _make_store(self) -> Store:
        if self.run_dir is None:
            self.run_dir = tempfile.mkdtemp(prefix="job-runtime-")
            logger.info("backend %r runs its jobs in %s", self.name, self.run_dir)
        self.run_dir = os.path.abspath(self.run_dir)
        store = Store(self.run_dir, self._environment(), self.max_output_dirs)
        store.lay_out(self._system.prologue)
        return store

    def _environment(self) -> dict[str, str]:
        """Return the environment that jobs inherit."""
        return inherited_environment()

    async def _serve(self) -> None:
        self._start_task(self._judges.run)
        while True:
            await self._wait_due()
            await self._cancel_what_is_due()
            if trio.current_time() >= self._due:
                await self._ask_queue()

    # ------------------------------------------------------------------ an earlier life

    async def _find_earlier(self) -> None:
        """Find what an earlier life of this run has left in the queue and in the run directory."""
        arrays = await self._in_thread(self._store.arrays, run_prefix(self.run_token))
        if not arrays:
            return
        for name, members in arrays.items():
            self._board.put(name, [token for token, _, _ in members])
        # Whether its jobs are there decides whether they run twice: so an answer is waited for.
        while isinstance(answer := await self._system.query(self._board.names()), Unanswered) or answer.strange:
            why = answer.why if isinstance(answer, Unanswered) else "it says what is not understood"
            logger.warning("backend %r waits for %s, which may have its jobs: %s", self.name, self._system.name, why)
            self._pace.failed()
            await trio.sleep(self._pace.pause)
        self._pace.answered(0, news=True)
        seen = self._board.read(answer.rows)
        jobs = {token: job_id for members in arrays.values() for token, job_id, _ in members}
        records = await self._in_thread(self._store.read_records, jobs)
        self._earlier = {token: job_id for token, job_id in jobs.items() if token in seen or token in records}
        others = jobs.keys() - self._earlier.keys()
        begun = await self._in_thread(self._store.claimed, others)
        self._finished.update(begun)  # so that nothing of them is in the way
        # We may have died while the controller was asked for these, and it may be slow: they can turn up yet.
        self._absent = {token: jobs[token] for token in others - begun}
        for name, members in arrays.items():
            if any(token in self._absent for token, _, _ in members):
                self._board.put(name, ()).doubtful_until = trio.current_time() + DOUBT_LASTS
        self._shared = bool(records)
        logger.info("backend %r found %d jobs of an earlier life of this run", self.name, len(self._earlier))

    async def _without_adopted(self, jobs: Sequence[LiveJob]) -> list[LiveJob]:
        """Adopt those that an earlier life submitted; end earlier attempts at the others; return the others."""
        if any(job_token(self.run_token, job.id, job.attempt) in self._absent for job in jobs):
            await self._next_answer()  # which they may be in now
        others: list[LiveJob] = []
        by_job: dict[str, list[str]] = {}
        for token, job_id in self._earlier.items():
            by_job.setdefault(job_id, []).append(token)
        for job in jobs:
            token = job_token(self.run_token, job.id, job.attempt)
            if token in self._earlier:
                await self._adopt(job, token)
            else:
                self._absent.pop(token, None)  # from now on its claim tells which copy of it runs
                others.append(job)
        superseded = {token for job in others for token in by_job.get(job.id, ())}
        for token in superseded:
            del self._earlier[token]  # so it is a stray now
        with trio.move_on_after(self._kill_timeout or math.inf):
            for _ in range(2 if superseded else 0):
                await self._next_answer()
            while any(token in self._stray_sightings for token in superseded):
                await self._next_answer()
        for job in others:
            if any(token in self._stray_sightings for token in by_job.get(job.id, ())):
                self._fail(job, FailureKind.LOST, "an earlier attempt at it does not end")
        return [job for job in others if job.stage is not Stage.DONE]

    async def _adopt(self, job: LiveJob, token: str) -> None:
        try:
            places = Places.of(job.spec, self._store.run_dir)
            soft = await self._in_thread(self._soft_steps.of, job.spec, places.odir)
        except ValueError as exc:
            logger.warning("backend %r: job %r is adopted without a soft step: %s", self.name, job.id, exc)
            soft = None
        element = Element(job, token, places, soft, Progress(job.attempt), sent=True)
        element.array, element.index = self._board.find(token)
        element.sighting = _GONE  # until an answer says more
        job.data = self._elements[token] = element
        del self._earlier[token]  # and no sooner: in between it would be a stray
        if not self._launched(job, running=False):
            self._lose(element)
        self._news.set()

    async def _next_answer(self) -> None:
        """Wait for an answer to a question that is asked from now on."""
        self._news.set()
        asked = self._asked
        while self._answers <= asked:
            await self._answered.wait()

    # ------------------------------------------------------------------ launching

    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        if self._pace.is_open:
            logger.info("backend %r is busy: %s does not answer", self.name, self._system.name)
            return  # what was not begun is refused
        begun = [job for job in jobs if self._begin(job)]
        if self._earlier or self._absent:
            begun = await self._without_adopted(begun)
        ready: list[tuple[Element, Hashable]] = []
        async with trio.open_nursery() as nursery:
            for job in begun:
                if job.spec.pre_launch is not None:  # a hook may take long, so each has a thread of its own
                    nursery.start_soon(self._prepare, [job], self._hooking, ready)
            others = [job for job in begun if job.spec.pre_launch is None]
            for some in chunks(others, _SLICE):
                await self._prepare(some, self._files, ready)
        place = {id(job): number for number, job in enumerate(begun)}
        ready.sort(key=lambda pair: place[id(pair[0].job)])
        for request, pairs in group(ready, lambda pair: pair[1]).items():
            await self._send([element for element, _ in pairs], request)

    async def _prepare(
        self, jobs: Sequence[LiveJob], limiter: trio.CapacityLimiter, ready: list[tuple[Element, Hashable]]
    ) -> None:
        """Prepare jobs in a thread; those that can be submitted go to `ready`, the others complete."""
        work = [(job, self._progress_for(job)) for job in jobs]
        results = await trio.to_thread.run_sync(self._prepare_all, work, limiter=limiter, abandon_on_cancel=True)
        for (job, _), result in zip(work, results, strict=True):
            if job.stage is Stage.DONE:
                continue
            if isinstance(result, str):
                self._fail(job, FailureKind.LAUNCH_ERROR, result)
            elif job.spec.dry_run:
                self._launched(job)
                self._complete(job, JobStatus.PASSED)
            else:
                job.data = result[0]
                ready.append(result)

    def _prepare_all(self, work: Sequence[tuple[LiveJob, Progress]]) -> list[tuple[Element, Hashable] | str]:
        return [self._prepare_one(job, progress) for job, progress in work]

    def _prepare_one(self, job: LiveJob, progress: Progress) -> tuple[Element, Hashable] | str:
        """Prepare a job's files and call its hook; return it with its request, or why it cannot be launched."""
        spec: JobSpec = job.spec
        try:
            request = self._system.request(spec)
            token = job_token(self.run_token, job.id, job.attempt)
            if token in self._finished:
                self._store.forget(token)
            places = self._store.prepare(spec, renew=not progress.renewed)
            progress.renewed = True
            soft = self._soft_steps.of(spec, places.odir)
            element = Element(job, token, places, soft, progress)
            self._store.check(element.member)
            if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
                try:
                    spec.pre_launch()
                except BaseException as exc:  # noqa: BLE001 - whatever a hook raises costs its own job, and no other
                    return f"pre_launch raised {exc!r}"
            progress.hooked = True
        except Exception as exc:  # noqa: BLE001 - text that is no file name, say: the job's fault, and its loss alone
            return f"cannot be prepared: {exc}"
        return element, request

    def _progress_for(self, job: LiveJob) -> Progress:
        progress = self._progress_of.pop(job.spec, None)
        return progress if progress is not None and progress.attempt == job.attempt else Progress(job.attempt)

    def _take_back(self, job: LiveJob) -> bool:
        return job.data is None or not job.data.sent

    async def _send(self, elements: Sequence[Element], request: Hashable) -> None:
        """Submit jobs with equal requests, in arrays as large as the queue takes them."""
        waiting = list(elements)
        async with self._sending:  # one at a time: the controller is everybody's
            if self.limits is DEFAULT_LIMITS:
                await self._probe()
            size = self.limits.max_array
            while waiting := [element for element in waiting if element.job.stage is not Stage.DONE]:
                some = waiting[:size]
                answer = await self._submit(some, request)
                if isinstance(answer, Accepted):
                    del waiting[: len(some)]
                elif isinstance(answer, Refused):
                    for element in some:
                        message = f"{self._system.name} refused it: {answer.why}"
                        self._fail(element.job, FailureKind.LAUNCH_ERROR, message)
                elif isinstance(answer, Busy) and len(some) > 1:
                    size = halves(len(some))
                else:
                    logger.info("backend %r is busy: %s", self.name, answer.why)
                    for element in waiting:
                        self._progress_of[element.job.spec] = element.progress
                        self._refuse(element.job)

    async def _submit(self, some: Sequence[Element], request: Hashable) -> Accepted | Busy | Refused | Unanswered:
        """Submit one array; when that was accepted its jobs are in the queue."""
        tokens = [element.token for element in some]
        name = array_name(self.run_token, tokens)
        for element in some:
            element.sent = True  # from here on it is in the array, and cannot be taken back
        try:
            directory = await self._in_thread(self._store.write_array, name, [element.member for element in some])
        except OSError as exc:
            return Refused(f"its files cannot be written: {exc}")
        array = Array(name, len(some), request, self._store.wrapper, (directory, str(math.ceil(self._grace))))
        entry = self._board.put(name, tokens)
        self._elements.update((element.token, element) for element in some)
        answer = await self._settled(array, entry)
        if not isinstance(answer, Accepted):
            for element in some:
                element.sent = False
                self._elements.pop(element.token, None)
            return answer
        entry.ids.add(answer.array)
        for index, element in enumerate(some):
            element.array, element.index = answer.array, index
            if not self._launched(element.job, running=False):  # given up meanwhile
                self._lose(element)
        self._pace.hurry()
        self._news.set()
        return answer

    async def _settled(self, array: Array, entry: Entry) -> Accepted | Busy | Refused | Unanswered:
        """Submit an array, and see to it that we know whether it was."""
        answer = await self._system.submit(array)
        again = True
        while isinstance(answer, Doubtful):
            logger.warning(
                "backend %r: whether array %s was submitted is not known: %s", self.name, array.name, answer.why
            )
            entry.doubtful_until = math.inf
            turned_up = await self._turns_up(entry.ids)
            entry.doubtful_until = trio.current_time() + DOUBT_LASTS
            if turned_up:
                return Accepted(min(entry.ids))
            if answer.busy:
                return Busy(answer.why)
            answer = await self._system.submit(array) if again else Unanswered(answer.why)
            again = False
        if isinstance(answer, Unanswered):
            self._pace.failed()
            self._news.set()  # so that the queue is asked until it answers
        return answer

    async def _turns_up(self, ids: set[str]) -> bool:
        """Return whether an array is in the queue: as soon as an answer has it, or if two in a row do not."""
        for _ in range(2):
            if not ids:
                await self._next_answer()
        return bool(ids)

    # ------------------------------------------------------------------ killing

    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            element: Element = job.data
            element.killed = True
            if element.concluding:
                element.scope.deadline = min(element.scope.deadline, trio.current_time() + self._grace)
        self._pace.hurry()
        if not self._pace.is_open:
            self._due = min(self._due, trio.current_time() + self._pace.pause)
        self._urgent.set()

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        self._urgent.set()

    def _timed_out(self, job: LiveJob) -> None:
        """A time limit is for what runs: what has ended may be judged for as long as that takes."""
        if job.data is None or not job.data.concluding:
            super()._timed_out(job)

    def _time_to_end(self, soft: float | None) -> float | None:
        """Return in how many seconds a job with so long a soft step is gone at the latest; `None` for no limit."""
        return None if soft is None or self._kill_timeout is None else soft + self._kill_timeout

    async def _cancel_what_is_due(self) -> None:
        """Ask the system for the end of what is to end: gently first where that is wanted, and again what lives on."""
        self._urgent = trio.Event()
        if self._pace.is_open:
            return
        now = trio.current_time()
        soft: dict[int, list[tuple[str, int]]] = {}
        hard: list[tuple[str, int]] = []
        files: list[str] = []
        for element in self._elements.values():
            if not element.killed or element.concluding or not (places := element.places_alive()):
                continue
            if self._begins_softly(element, now):
                what = element.soft.what if element.soft is not None else ""
                if isinstance(what, int):
                    soft.setdefault(what, []).extend(places)
                else:
                    files.append(what)
            elif self._is_cancel_due(element, now):
                element.cancelled_at = now
                hard.extend(places)
        for token, sighting in self._stray_sightings.items():
            if now - self._strays.get(token, -math.inf) >= CANCEL_AGAIN:
                self._strays[token] = now
                hard.extend(sighting.alive)
        if files:
            await self._in_thread(_make_files, files)
        for number, places in soft.items():
            await self._cancel(places, number)
        if hard:
            await self._cancel(hard, None)

    def _begins_softly(self, element: Element, now: float) -> bool:
        """Whether a soft step begins now; then it has begun."""
        step = element.soft
        if step is None or element.soft_until is not None or element.job.forced:
            return False
        if element.trail.status is not JobStatus.RUNNING:
            return False  # nothing of it runs that could be asked
        element.soft_until = math.inf if step.seconds is None else now + step.seconds
        return True

    def _is_cancel_due(self, element: Element, now: float) -> bool:
        if element.soft_until is not None and now < element.soft_until and not element.job.forced:
            return False
        return element.cancelled_at is None or now - element.cancelled_at >= CANCEL_AGAIN

    async def _cancel(self, places: Iterable[tuple[str, int]], signal: int | None) -> None:
        targets: dict[str, list[int]] = {}
        for array, index in places:
            targets.setdefault(array, []).append(index)
        answer = await self._system.cancel(targets, signal)
        if isinstance(answer, Unanswered):
            logger.warning("backend %r: a cancel failed, and will be tried again: %s", self.name, answer.why)

    # ------------------------------------------------------------------ following

    async def _wait_due(self) -> None:
        """Wait until the queue is to be asked, or an end is to be asked for."""
        self._board.keep({*self._elements, *self._loose()}, trio.current_time())
        if not len(self._board) and not self._pace.is_open:
            self._due = -math.inf
            self._news = trio.Event()
            await self._news.wait()
        with trio.move_on_at(min(self._due, self._next_cancel())):
            await self._urgent.wait()

    def _next_cancel(self) -> float:
        """Return when the next step of a kill is due, in seconds."""
        softly = (
            element.soft_until
            for element in self._elements.values()
            if element.killed and element.soft_until is not None and element.cancelled_at is None
        )
        return min(softly, default=math.inf)

    async def _ask_queue(self) -> None:
        """Ask the queue once, for all; find out what became of each job, and see to it that it is said."""
        watched = [each for each in self._elements.values() if each.job.stage >= Stage.LAUNCHED and not each.concluding]
        self._asked += 1
        asked, began = self._asked, trio.current_time()
        answer = await self._system.query(self._board.names())
        answered = not isinstance(answer, Unanswered)
        seen = {} if isinstance(answer, Unanswered) else self._board.read(answer.rows)
        complete = not isinstance(answer, Unanswered) and not answer.strange
        for each in watched:
            each.sighting = seen.get(each.token, _GONE) if complete else seen.get(each.token, each.sighting)
        rows = {each.token: seen[each.token].row for each in watched if each.token in seen}
        records = await self._read_records(watched, rows, answered=answered)
        if answered:
            await self._ask_accounting(watched, rows, records)
        now = trio.current_time()
        news = False
        for each in watched:
            if each.job.stage is Stage.DONE:  # given up, and perhaps alive
                self._lose(each)
            elif not each.concluding:
                row, record = rows.get(each.token), records.get(each.token)
                sight = Sight(now, complete, row, record, stopping=each.job.stop is not None)
                said = follow(each.trail, sight, self._grace)
                news = news or said is not None
                self._say(each, said, row)
        if isinstance(answer, Unanswered):
            self._pace.failed()
            logger.warning("backend %r: %s does not answer: %s", self.name, self._system.name, answer.why)
        else:
            for token in seen.keys() & self._absent.keys():
                self._earlier[token] = self._absent.pop(token)
            self._stray_sightings = {
                token: sighting
                for token, sighting in seen.items()
                if sighting.alive and token not in self._elements and token not in self._earlier
            }
            self._pace.answered(now - began, news=news)
            if complete:
                self._unresolved &= self._stray_sightings.keys()
                self._answers = asked
                self._answered.set()
                self._answered = trio.Event()
            else:
                lines = answer.strange
                logger.warning("backend %r: %d lines of %s were not understood", self.name, lines, self._system.name)
        self._due = now + self._pace.pause

    async def _read_records(
        self, watched: Sequence[Element], rows: dict[str, Row], *, answered: bool
    ) -> dict[str, Record]:
        """Read the records of jobs that may have ended."""
        tokens = [
            each.token
            for each in watched
            if not answered or (row := rows.get(each.token)) is None or row.state.phase <= Phase.ENDING
        ]
        if not tokens:
            return {}
        records = await self._in_thread(self._store.read_records, tokens)
        self._shared = self._shared or bool(records)
        return records

    async def _ask_accounting(
        self, watched: Sequence[Element], rows: dict[str, Row], records: dict[str, Record]
    ) -> None:
        """Ask accounting, where there is one, for jobs that have been missing for a while; add what it says."""
        now = trio.current_time()
        if not self.limits.accounting or now - self._asked_accounting < ACCOUNT_AFTER:
            return
        missing = {
            each.token: each
            for each in watched
            if each.token not in rows
            and each.token not in records
            and each.trail.missing_since is not None
            and now - each.trail.missing_since >= ACCOUNT_AFTER
        }
        if not missing:
            return
        self._asked_accounting = now
        answer = await self._system.account({each.array for each in missing.values()})
        if isinstance(answer, Unanswered):
            logger.info("backend %r: accounting does not answer: %s", self.name, answer.why)
            return
        for token, sighting in self._board.read(answer.rows).items():
            if token in missing:
                rows[token] = sighting.row

    def _say(self, element: Element, said: Said, row: Row | None) -> None:
        """Let it be known what became of a job."""
        job = element.job
        if isinstance(said, Moved):
            self._progress(job, said.status, said.note)
        elif isinstance(said, Odd):
            logger.warning("backend %r: job %r (%s) %s", self.name, job.id, self._place(element, None), said.why)
            self._progress(job, job.status, said.why)
        elif isinstance(said, Ended):
            element.concluding = True
            self._start_task(self._conclude, element, said)
        elif isinstance(said, Missing):
            where = self._place(element, None)
            message = f"{where} is no longer in the queue, and left no record of its end within {self._grace:g} s"
            self._fail(job, FailureKind.LOST, message)
            self._forget(element)
        elif row is not None and row.code == UNSEEN:
            self._not_shared(element, row)

    def _not_shared(self, element: Element, row: Row) -> None:
        """A node does not see the run directory. If none ever did, that is no matter of one job."""
        where = self._place(element, row)
        message = f"{where} found that its node does not see, or may not write to, the run directory {self.run_dir}"
        if not self._shared:
            advice = "Choose one that this machine and all nodes have at the same path"
            self._break(BackendBrokenError(f"backend {self.name!r}: {message}. {advice}"))
        if element.job.stop is None:
            self._fail(element.job, FailureKind.NODE_FAILURE, message)
        else:
            self._complete_stopped(element.job)  # nothing of it runs, or did
        self._forget(element)

    def _place(self, element: Element, row: Row | None) -> str:
        note = f" on {row.note}" if row is not None and row.note else ""
        return f"{self._system.name} job {element.array}_{element.index}{note}"

    def _lose(self, element: Element) -> None:
        """Nobody waits for a job any more, which may be alive: it is a stray from now on."""
        self._unresolved.add(element.token)
        self._forget(element)

    def _forget(self, element: Element) -> None:
        if self._elements.get(element.token) is element:
            del self._elements[element.token]
        self._finished.add(element.token)

    # ------------------------------------------------------------------ concluding

    async def _conclude(self, element: Element, ended: Ended) -> None:
        """Complete a job that has ended."""
        try:
            if ended.record is None:
                await self._conclude_unrecorded(element, ended.row)
            else:
                await self._conclude_recorded(element, ended.record, ended.row)
        finally:
            self._forget(element)

    async def _conclude_unrecorded(self, element: Element, row: Row | None) -> None:
        job = element.job
        if job.stop is not None and (row is None or row.state.kind is FailureKind.CANCELLED):
            await self._tell_killed(element)
            self._complete_stopped(job)
        elif row is None:
            raise AssertionError("an end that nobody tells of is no end")
        elif row.state.kind is not None:
            self._fail(job, row.state.kind, f"{self._place(element, row)} ended: {row.word}")
        else:
            message = f"{self._place(element, row)} is {row.word}, and left no record of its end"
            self._fail(job, FailureKind.LOST, f"{message} within {self._grace:g} s")

    async def _conclude_recorded(self, element: Element, record: Record, row: Row | None) -> None:
        job = element.job
        if record.launch_error is not None:
            program = job.spec.shell if isinstance(job.spec.cmd, str) else job.spec.cmd[0]
            about = f"program {program!r}, directory {element.places.cwd!r}, log {element.places.log!r}"
            self._fail(job, FailureKind.LAUNCH_ERROR, f"on {record.host}: {record.launch_error} ({about})")
            return
        self._running(job, note=record.host)
        if job.started is not None and record.seconds is not None:
            job.started = max(job.submitted, min(job.started, trio.current_time() - record.seconds))
        by_itself = record.stopped is None and record.signal is None
        kind = None if row is None else row.state.kind
        if job.stop is not None and not by_itself:
            await self._tell_killed(element)
            self._complete_stopped(job, usage_of(_exit_of(record)))
        elif kind is not None and record.code != 0 and not (by_itself and kind is not FailureKind.OUT_OF_MEMORY):
            word = "" if row is None else row.word
            self._fail(job, kind, f"{self._system.name} job {record.id} on {record.host} ended: {word}")
        else:
            if element.killed:  # it was asked to end when it had
                element.scope.deadline = trio.current_time() + self._grace
            await self._wait_log(element, record)
            verdict, log = await self._concluder.conclude(
                job.spec, element.places.log, _exit_of(record), element.scope, self._grace
            )
            self._complete(job, verdict.status, verdict.reason, usage_of(_exit_of(record), log))

    async def _wait_log(self, element: Element, record: Record) -> None:
        """Wait, for a while, for a log that is needed and not there: the file system may be slow."""
        if record.code != 0 or LogPatterns.of(element.job.spec):
            with trio.move_on_after(self._grace):
                # Nobody on this machine makes the log, so there is nothing to wait for but time.
                while not await self._in_thread(os.path.exists, element.places.log):  # noqa: ASYNC110
                    await trio.sleep(_LOG_INTERVAL)

    async def _tell_killed(self, element: Element) -> None:
        """Call `post_finish` of a job that was stopped."""
        job = element.job
        if job.spec.post_finish is not None and job.stop is not None:
            kind = job.stop.reason.kind
            with trio.move_on_after(self._grace):
                await self._concluder.call_post_finish(job.spec, JobStatus.KILLED if kind is None else kind.status)

    # ------------------------------------------------------------------ leaving

    def _loose(self) -> set[str]:
        """Return the jobs that nobody waits for, and that may be alive."""
        return {*self._earlier, *self._stray_sightings, *self._unresolved}

    async def _teardown(self) -> None:
        """See to it that nothing of ours stays in the queue: strays, and what an earlier life left to nobody."""
        self._board.keep({*self._elements, *self._loose()}, trio.current_time())
        names = self._board.names()
        living: dict[str, Sighting] = {}
        absences = 0
        with trio.move_on_after(_LEAVING):
            while names:
                answer = await self._system.query(names)
                if not isinstance(answer, Unanswered):
                    seen = self._board.read(answer.rows)
                    living = {token: sighting for token, sighting in seen.items() if sighting.alive}
                    absences = 0 if living else absences + 1
                    if absences > 1:
                        return
                    await self._cancel([place for sighting in living.values() for place in sighting.alive], None)
                await trio.sleep(self._pace.pause)
        if living:
            some = ", ".join(f"{array}_{index}" for each in living.values() for array, index in each.alive[:1])
            logger.warning("backend %r leaves in the queue: %s", self.name, some[:500])

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await trio.to_thread.run_sync(function, *args, limiter=self._files, abandon_on_cancel=True)


def _exit_of(record: Record) -> Exit:
    """Return the end of a job as that of a local process."""
    return Exit(record.code, record.signal, cpu_seconds=record.cpu_seconds, peak_bytes=record.peak_bytes)


def _make_files(paths: Iterable[str]) -> None:
    """Make empty files, for jobs that look for them."""
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError as exc:
            logger.warning("a stop file cannot be made: %s", exc)
