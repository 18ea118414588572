"""`ScriptedSystem`: a batch system in virtual time, whose answers a test controls.

Its jobs are entries of a table: no job runs, but the system writes the files that the wrapper would write. Each answer
can be replaced. Files are real, and are read in the loop, as virtual time would not wait for a thread.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from runtime.backend.batch import (
    Accepted,
    Array,
    BatchBackend,
    Limits,
    Phase,
    QueueListing,
    QueueRow,
    State,
    System,
    Unanswered,
)
from runtime.backend.batch.job_files import JobFiles, Member
from runtime.backend.batch.store import Store
from runtime.backend.batch.system import SubmitAnswer, Targets
from runtime.backend.batch.tokens import array_name, job_token
from runtime.backend.job_paths import RootedJobPaths, job_paths
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobSpec
from runtime.process import SoftSteps, inherited_environment
from runtime.roots import Roots
from runtime.testing.fixture import BackendFixture, CheckContext, Session
from tests.no_job import no_job

WORDS = {
    "PENDING": State(Phase.PENDING),
    "RUNNING": State(Phase.RUNNING),
    "COMPLETING": State(Phase.ENDING),
    "COMPLETED": State(Phase.ENDED),
    "CANCELLED": State(Phase.ENDED, FailureKind.CANCELLED),
    "NODE_FAIL": State(Phase.ENDED, FailureKind.NODE_FAILURE),
    "PREEMPTED": State(Phase.ENDED, FailureKind.PREEMPTED),
}


def record_text(token: str, *, status: str = "0", stopped: str = "", restart: int = 0, launch: str = "") -> str:
    """Return the text of a record, as the wrapper writes it."""
    return (
        f"job-runtime end 1\ntoken {token}\nid 1_0\nrestart {restart}\nhost n1\nlaunch {launch}\nstatus {status}\n"
        f"stopped {stopped}\nuptime 100.00 102.50\npeak \ntimes\n0m0.010000s 0m0.000000s\n0m0.250000s 0m0.500000s\n"
        f"end {token}\n"
    )


def prepared(store: Store, roots: Roots, job: JobSpec) -> RootedJobPaths:
    """Make the files of a job, and return where they are."""
    paths = RootedJobPaths.resolve(job_paths(job, roots.run_dir), roots)
    store.job_files.prepare(job, paths, renew=True)
    return paths


@attrs.define
class Element:
    """One element of an array in the scripted queue."""

    name: str
    array: str
    index: int
    token: str
    job: str
    word: str = "PENDING"
    note: str | None = None
    restarts: int = 0
    code: int | None = None
    listed: bool = True

    def row(self) -> QueueRow:
        state = WORDS.get(self.word, State(Phase.UNKNOWN))
        return QueueRow(self.name, self.array, self.index, state, self.word, self.note, self.restarts, self.code)


Behaviour = Callable[["ScriptedSystem", Element], object]


def passes(system: ScriptedSystem, element: Element) -> None:
    """Run for a second, and pass."""
    system.after(1, lambda: system.run(element))
    system.after(2, lambda: system.end(element))


def stays(system: ScriptedSystem, element: Element) -> None:
    """Run until it is cancelled, and then end at once."""
    system.after(0, lambda: system.run(element))


def idle(_system: ScriptedSystem, _element: Element) -> None:
    """Wait in the queue for ever."""


class ScriptedSystem:
    """The queue, and a record of its calls.

    Args:
        nursery: for the tasks that change jobs as time passes.
        behaviour: what a job does; called when its array is accepted.
    """

    name = "Scripted"
    prologue = "_jr_index=0 _jr_restart=0 _jr_id=0 _jr_host=here\n"
    passes_environment = True

    def __init__(self, nursery: trio.Nursery, behaviour: Behaviour = passes) -> None:
        self._nursery = nursery
        self.behaviour = behaviour
        self.limits: Limits | Unanswered = Limits("1", 1000, accounting=False)
        self.elements: list[Element] = []
        self.arrays: list[Array] = []
        self.asked: list[float] = []
        """The times of the queries."""
        self.names: list[Collection[str] | None] = []
        self.cancels: list[tuple[dict[str, list[int]], int | None]] = []
        self.exclusions: list[tuple[dict[str, Hashable], list[str]]] = []
        self.accounts: list[Collection[str]] = []
        self.submit_answers: deque[Callable[[Array], SubmitAnswer]] = deque()
        self.query_answers: deque[QueueListing | Unanswered] = deque()
        self.down_until = -math.inf
        self.deaf = 0
        """How many of the next cancels are accepted and do nothing."""
        self.accounting: list[QueueRow] = []
        self.ends: Path | None = None
        self.duration = 0.0
        self.unparsed = 0

    def start(self) -> Mapping[str, str]:
        return inherited_environment()

    def element_id(self, array: str, index: int) -> str:
        return f"{array}_{index}"

    def request(self, spec: JobSpec) -> Hashable:
        if spec.target == "impossible":
            raise ValueError("it asks for the moon")
        return spec.job_type

    async def probe(self) -> Limits | Unanswered:
        await trio.sleep(self.duration)
        return self.limits

    async def submit(self, array: Array) -> SubmitAnswer:
        await trio.sleep(self.duration)
        self.arrays.append(array)
        if self.submit_answers:
            return self.submit_answers.popleft()(array)
        if self._is_down():
            return Unanswered("no answer")
        return self.accept(array)

    def accept(self, array: Array) -> Accepted:
        """Accept an array, as a real system would; a test may then answer something else."""
        number = str(100 + len({element.array for element in self.elements}))
        directory = Path(array.arguments[0])
        self.ends = directory.parent.parent / "ends"
        for line in (directory / "jobs").read_text().splitlines():
            job = json.loads(line)
            element = Element(array.name, number, job["index"], job["token"], job["job"])
            self.elements.append(element)
            self.behaviour(self, element)
        return Accepted(number)

    async def query(self, names: Collection[str] | None) -> QueueListing | Unanswered:
        self.asked.append(trio.current_time())
        self.names.append(names)
        await trio.sleep(self.duration)
        if self.query_answers:
            return self.query_answers.popleft()
        if self._is_down():
            return Unanswered("no answer")
        rows = [each.row() for each in self.elements if each.listed and (names is None or each.name in names)]
        return QueueListing(rows, self.unparsed)

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        await trio.sleep(self.duration)
        self.cancels.append(({array: list(indices) for array, indices in targets.items()}, signal))
        if self._is_down():
            return Unanswered("no answer")
        if self.deaf:
            self.deaf -= 1
            return None
        for element in self.elements:
            if element.index in targets.get(element.array, ()) and signal is None:
                self.take_away(element)
        return None

    async def exclude(self, arrays: Mapping[str, Hashable], nodes: Sequence[str]) -> Unanswered | None:
        await trio.sleep(self.duration)
        self.exclusions.append((dict(arrays), list(nodes)))
        return Unanswered("no answer") if self._is_down() else None

    async def account(self, arrays: Collection[str]) -> QueueListing | Unanswered:
        await trio.sleep(self.duration)
        self.accounts.append(arrays)
        return QueueListing(self.accounting)

    # ------------------------------------------------------------------ for tests

    def of(self, job: str) -> Element:
        """The latest element of a job."""
        return next(element for element in reversed(self.elements) if element.job == job)

    def run(self, element: Element, note: str = "n1") -> None:
        if element.word == "PENDING":
            element.word, element.note = "RUNNING", note

    def end(self, element: Element, word: str = "COMPLETED", **record: Any) -> None:
        """End an element by itself, with its record."""
        if element.word in ("PENDING", "RUNNING"):
            self.write(element, **record)
            element.word = word

    def write(self, element: Element, **record: Any) -> None:
        """Write an element's record."""
        assert self.ends is not None
        path = self.ends / element.token[:2] / f"{element.token}.end"
        path.write_text(record_text(element.token, **record))

    def take_away(self, element: Element) -> None:
        """Cancel an element: one that waits leaves the queue, one that runs ends."""
        if element.word == "PENDING":
            element.listed = False
        elif element.word == "RUNNING":
            self.write(element, status="143", stopped="TERM")
        if element.word in ("PENDING", "RUNNING"):
            element.word = "CANCELLED"

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            action()

        self._nursery.start_soon(wait)

    def _is_down(self) -> bool:
        return trio.current_time() < self.down_until


@attrs.define
class Scene:
    """An open backend on a scripted system, with a session that receives its events."""

    backend: BatchBackend
    system: ScriptedSystem
    session: Session
    directory: Path

    async def submit(self, *jobs: JobSpec, **options: Any) -> list[str]:
        """Submit jobs; return the ids of those that were accepted."""
        return list(await self.session.submit(jobs, **options))

    async def completion(self, job: str) -> JobCompletionEvent:
        """Wait for the completion of a job."""
        history = self.session.history
        await history.wait_until(lambda: any(event.job_id == job for event in history.completions))
        return next(event for event in history.completions if event.job_id == job)

    def progress(self, job: str) -> list[tuple[str, str | None]]:
        """Return the statuses and notes of a job's progress events."""
        events = self.session.history.events
        return [(e.status.name, e.note) for e in events if isinstance(e, JobProgressEvent) and e.job_id == job]

    def why(self, event: JobCompletionEvent) -> tuple[str, str | None]:
        """Return the status of a completion, and its kind of failure."""
        return event.status.name, None if event.reason is None or event.reason.kind is None else event.reason.kind.value


class Stage:
    """Opens scenes. A fixture."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.lag = 0.0
        """Seconds that a call in a thread takes."""
        self.refusals = 0
        """How many of the next calls fail, as no thread can be started."""
        patch.setattr(trio.to_thread, "run_sync", self._inline)

    async def _inline(self, function: Callable[..., Any], *args: Any, **_options: Any) -> Any:
        """Call a function in the loop instead of in a thread."""
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("can't start new thread")
        await trio.sleep(self.lag)
        return function(*args)

    @asynccontextmanager
    async def open(
        self, behaviour: Behaviour = passes, *, system: ScriptedSystem | None = None, token: str = "run", **options: Any
    ) -> AsyncIterator[Scene]:
        async with trio.open_nursery() as nursery:
            system = ScriptedSystem(nursery, behaviour) if system is None else system
            checked: System = system  # so that mypy checks that it has the protocol
            backend = BatchBackend(checked, self.directory, **{"poll_interval": 1, "visibility_timeout": 20, **options})
            fixture = BackendFixture(backend, job=no_job)
            async with CheckContext(lambda: fixture, math.inf).session() as session:
                async with backend.open(session.send, token):
                    yield Scene(backend, system, session, self.directory)
            nursery.cancel_scope.cancel()


def jobs(count: int, **fields: Any) -> list[JobSpec]:
    return [JobSpec(name=f"job{number}", cmd="true", **fields) for number in range(count)]


def statuses(events: Iterable[JobCompletionEvent]) -> list[str]:
    return [event.status.name for event in events]


async def previous_incarnation(stage: Stage, nursery: trio.Nursery) -> ScriptedSystem:
    """Return a system with five jobs of a killed run: one each that waits, runs, passed, failed, and is gone."""
    system = ScriptedSystem(nursery, idle)
    roots = Roots(str(stage.directory))
    roots.open()
    store = Store(roots, JobFiles(roots, {}, None, SoftSteps(None, None)))
    store.lay_out(system.prologue)
    tokens = [job_token("run", f"job{number}", 1) for number in range(5)]
    members = [Member(job, 1, token, prepared(store, roots, job)) for job, token in zip(jobs(5), tokens, strict=True)]
    name = array_name("run", tokens)
    directory = store.write_array(name, members)
    system.accept(Array(name, 5, "", store.wrapper, [directory, "20"]))
    waits, runs, passed, failed, gone = system.elements
    system.run(runs)
    system.end(passed)
    system.end(failed, status="4")
    gone.listed = False
    system.behaviour = passes
    assert waits.word == "PENDING"
    return system
