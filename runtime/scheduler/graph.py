"""`Graph`: the jobs of a run, their dependencies, and the errors that a set of jobs can have before anything runs.

Pure: no I/O, no time. All walks are iterative, so the depth of a chain does not matter.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from runtime.errors import GraphError
from runtime.job import RUN_IFS, JobCompletionEvent, JobSpec, JobStatus, RunIf
from runtime.job.protocol import Job
from runtime.job.status import SCHEDULED

if TYPE_CHECKING:
    from runtime.scheduler.ready import ReadyQueue


class Place(enum.Enum):
    """Which of the plan's collections holds a node. (A node's `status` is what the outside sees.)"""

    NOWHERE = enum.auto()
    """It waits for other jobs, or has ended, or is moving from one place to the next."""
    READY = enum.auto()
    """In its ready queue."""
    IN_FLIGHT = enum.auto()
    """It was submitted to its backend, and has not completed."""
    DELAYED = enum.auto()
    """An attempt at it did not pass, and it waits until the next one is due."""


# A global is read faster than a member of an enumeration: see `runtime.job.status`.
NOWHERE: Final = Place.NOWHERE
READY: Final = Place.READY
IN_FLIGHT: Final = Place.IN_FLIGHT
DELAYED: Final = Place.DELAYED


class Node:
    """One job of the graph, and its state: the record that all parts of a plan share.

    Each part changes fields of its own: `Statuses` the status, `ReadyQueue`, `Dispatcher` and `Retries` the place,
    `Plan` the rest. An object for each part would cost every job an allocation, and every event several lookups.

    It has no constructor, which would double the cost of making a node: `_make_nodes` sets the attributes.
    """

    __slots__ = (
        "attempt",
        "dependents",
        "event",
        "job",
        "passed",
        "place",
        "queue",
        "rank",
        "started",
        "status",
        "waiting",
    )

    job: Job
    """The specification."""
    rank: int
    """Its index among all jobs, in the order given."""
    status: JobStatus
    waiting: int
    """How many of its dependencies have not ended."""
    passed: int
    """How many of its dependencies have passed."""
    dependents: Sequence[Node]
    """The jobs that wait for it."""
    queue: ReadyQueue
    """The ready queue that it belongs to. The plan sets it, as soon as the graph has the node."""
    place: Place
    attempt: int
    """The number of its last attempt, from 1; 0 until it is submitted."""
    started: float | None
    """When it began to run, in seconds of `trio.current_time`; `None` before."""
    event: JobCompletionEvent | None
    """Its completion; `None` until it has ended."""

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.job.id

    @property
    def run_if(self) -> RunIf:
        """How its dependencies must have ended for it to run."""
        return run_if_of(self.job)

    def __repr__(self) -> str:
        return f"<Node {self.id!r} {self.status.name} {self.place.name}>"


class Graph:
    """Nodes by id, in the order given. It only grows."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self.get: Callable[[str], Node | None] = self._nodes.get
        """Returns the node of an id, or `None`. It is the dictionary's own method, as it is called for each event."""

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def find(self, job_id: str) -> Node:
        """Return the node of this id.

        Raises:
            GraphError: if there is none.
        """
        node = self._nodes.get(job_id)
        if node is None:
            raise GraphError(f"there is no job {job_id!r}{_nearest(job_id, self._nodes)}")
        return node

    def add(self, jobs: Sequence[Job]) -> list[Node]:
        """Add all of `jobs`, or none. They may depend on each other and on jobs of the graph, ended or not.

        Raises:
            GraphError: for a job given twice, an unknown dependency, or a cycle; the message shows the cycle's path.
        """
        known = self._nodes
        new, unresolved = _make_nodes(jobs, len(known))
        if len(new) < len(jobs) or not known.keys().isdisjoint(new):
            raise _duplicate_error(jobs, known)
        on_known: list[tuple[Node, Node]] = []
        in_order = True
        for node, other_id in unresolved:
            other = new.get(other_id)
            if other is not None:
                in_order = False
                _wait_for(node, other)
                continue
            other = known.get(other_id)
            if other is None:
                msg = f"job {node.id!r} depends on {other_id!r}, which does not exist"
                raise GraphError(msg + _nearest(other_id, [*known, *new]))
            if other.event is None:  # else it has ended: `Plan._admit` counts it
                on_known.append((node, other))
        if not in_order:  # if every job comes after its dependencies, as is usual, there can be no cycle
            _check_acyclic(new)
        for node, other in on_known:  # last, as it changes nodes of the graph: above, an error leaves it unchanged
            _wait_for(node, other)
        if known:
            known.update(new)
        else:  # the first jobs, mostly all of them: no copy
            self._nodes, self.get = new, new.get
        return list(new.values())


def _make_nodes(jobs: Iterable[Job], rank: int) -> tuple[dict[str, Node], list[tuple[Node, str]]]:
    """Return the nodes of `jobs` by id, with ranks from `rank`, and pairs of a node and a dependency.

    The pairs are the dependencies on jobs that do not come before the node in `jobs`; all others are resolved.
    """
    nodes: dict[str, Node] = {}
    unresolved: list[tuple[Node, str]] = []
    for job in jobs:
        node = Node()
        if job.__class__ is not JobSpec:
            run_if_of(job)  # raises for what a foreign job may have
        node.job = job
        node.rank = rank
        node.status = SCHEDULED
        node.waiting = node.passed = node.attempt = 0
        node.dependents = ()
        node.started = node.event = None
        node.place = NOWHERE
        rank += 1
        ids = job.dependencies
        if ids:
            for other_id in ids if len(ids) == 1 else dict.fromkeys(ids):
                other = nodes.get(other_id)
                if other is None:
                    unresolved.append((node, other_id))
                    continue
                node.waiting += 1  # `_wait_for`, inlined: this is done for nearly every job
                if other.dependents:
                    other.dependents.append(node)  # type: ignore[attr-defined]  # a list, once there is one
                else:
                    other.dependents = [node]
        nodes[job.id] = node
    return nodes, unresolved


def run_if_of(job: Job) -> RunIf:
    """Return the `run_if` of a job, which may be a foreign one: DVSim's have `needs_all_dependencies_passing` instead.

    Raises:
        GraphError: if its `run_if` is unknown.
    """
    run_if: RunIf | None = getattr(job, "run_if", None)
    if run_if is None:
        return "passed" if getattr(job, "needs_all_dependencies_passing") else "any-passed"  # noqa: B009 - optional, so not in `Job`
    if run_if not in RUN_IFS:
        raise GraphError(f"job {job.id!r}: run_if is {run_if!r}; expected {' or '.join(map(repr, RUN_IFS))}")
    return run_if


def _wait_for(node: Node, other: Node) -> None:
    node.waiting += 1
    if other.dependents:
        other.dependents.append(node)  # type: ignore[attr-defined]  # the shared empty tuple was replaced
    else:
        other.dependents = [node]


def _duplicate_error(jobs: Sequence[Job], known: Mapping[str, Node]) -> GraphError:
    seen = set(known)
    for job in jobs:
        if job.id in seen:
            break
        seen.add(job.id)
    return GraphError(f"job {job.id!r} is given twice; ids must be unique in a run")


def _nearest(job_id: str, known: Iterable[str]) -> str:
    import difflib

    # Not all ids of a huge run: this is only a hint.
    near = difflib.get_close_matches(job_id, list(known)[:10_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_acyclic(new: Mapping[str, Node]) -> None:
    """Check that the dependencies among `new` form no cycle.

    Jobs that wait for nothing are removed, again and again (Kahn, 1962); those that are left are on a cycle, or depend
    on one.

    Raises:
        GraphError: if they do; the message shows the cycle's path.
    """
    count = {job_id: node.waiting for job_id, node in new.items()}
    free = [node for node in new.values() if not node.waiting]
    done = 0
    while free:
        done += 1
        for dependent in free.pop().dependents:
            count[dependent.id] -= 1
            if not count[dependent.id]:
                free.append(dependent)
    if done == len(new):
        return
    stuck = {job_id for job_id, left in count.items() if left}
    # Each stuck job has a stuck dependency, so to follow them must come to a job for the second time.
    path: dict[str, None] = {}
    job_id = next(job_id for job_id in new if job_id in stuck)
    while job_id not in path:
        path[job_id] = None
        job_id = next(other for other in new[job_id].job.dependencies if other in stuck)
    cycle = list(path)
    cycle = [*cycle[cycle.index(job_id) :], job_id]
    shown = " -> ".join(repr(name) for name in (cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]]))  # noqa: PLR2004 - one line
    stuck_jobs = "its job cannot start" if len(cycle) == 2 else f"none of its {len(cycle) - 1} jobs can start"  # noqa: PLR2004 - a job and itself
    raise GraphError(f"the dependencies form a cycle, so {stuck_jobs}: {shown}")
