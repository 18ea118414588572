"""`Graph`: the jobs of a run, who waits for whom, and the errors that a set of jobs can have before anything runs.

Pure: no I/O, no time. Everything is iterative, so the depth of a chain does not matter.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from runtime.errors import GraphError
from runtime.job import RUN_IFS, JobCompletionEvent, JobSpec, JobStatus, RunIf
from runtime.job.status import SCHEDULED


class Place(enum.Enum):
    """Where a node stands, as far as the plan is concerned."""

    NOWHERE = enum.auto()
    """It waits for other jobs, or has ended, or is on its way from one place to the next."""
    READY = enum.auto()
    """In its ready queue."""
    IN_FLIGHT = enum.auto()
    """It was handed to its backend, and its completion has not been seen."""


# The members once more: see `runtime.job.status`.
NOWHERE: Final = Place.NOWHERE
READY: Final = Place.READY
IN_FLIGHT: Final = Place.IN_FLIGHT


class Node:
    """One job of the graph, and how far it has come. `_make_nodes` makes them and fills them in: a constructor would
    cost as much again, for every job of a run.
    """

    __slots__ = (
        "attempt",
        "dependents",
        "event",
        "id",
        "job",
        "passed",
        "place",
        "queue",
        "rank",
        "run_if",
        "started",
        "status",
        "waiting",
    )

    job: Any
    """The specification."""
    id: str
    rank: int
    """Its place among all jobs, in the order given."""
    status: JobStatus
    run_if: RunIf
    """What it asks of its dependencies."""
    waiting: int
    """How many of its dependencies have not ended."""
    passed: int
    """How many of its dependencies have passed."""
    dependents: Sequence[Node]
    """Who waits for it."""
    queue: Any
    """The ready queue that it belongs to; the plan's business."""
    place: Place
    attempt: int
    started: float | None
    event: JobCompletionEvent | None
    """How it ended."""

    def __repr__(self) -> str:
        return f"<Node {self.id!r} {self.status.name} {self.place.name}>"


class Graph:
    """Nodes by id, in the order given. It only grows."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self.get: Callable[[str], Node | None] = self._nodes.get
        """Returns the node of an id, if there is one. The dictionary's own method, as it is called for each event."""

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
            msg = f"there is no job {job_id!r}{_nearest(job_id, self._nodes)}"
            raise GraphError(msg)
        return node

    def add(self, jobs: Sequence[Any]) -> list[Node]:
        """Add all of `jobs`, or none. They may depend on each other and on jobs that stand here already, ended or not.

        Raises:
            GraphError: for a job given twice, an unknown dependency, or a cycle, which is named with its path.
        """
        known = self._nodes
        new, later = _make_nodes(jobs, len(known))
        if len(new) < len(jobs) or not known.keys().isdisjoint(new):
            raise _given_twice(jobs, known)
        known_ones: list[tuple[Node, Node]] = []
        forward = True
        for node, other_id in later:
            other = new.get(other_id)
            if other is not None:
                forward = False
                _wait_for(node, other)
                continue
            other = known.get(other_id)
            if other is None:
                msg = f"job {node.id!r} depends on {other_id!r}, which does not exist"
                raise GraphError(msg + _nearest(other_id, [*known, *new]))
            if other.event is None:  # else it ended before; the plan looks at it when it takes the new jobs in
                known_ones.append((node, other))
        if not forward:  # where every job stands behind those that it needs, as they mostly do, there can be no cycle
            _check_acyclic(new)
        for node, other in known_ones:  # only now that nothing can go wrong any more
            _wait_for(node, other)
        if known:
            known.update(new)
        else:
            self._nodes, self.get = new, new.get
        return list(new.values())


def _make_nodes(jobs: Iterable[Any], rank: int) -> tuple[dict[str, Node], list[tuple[Node, str]]]:
    """Return the nodes of `jobs`, by id, ranked from `rank`; and who waits for what does not stand before it here."""
    nodes: dict[str, Node] = {}
    later: list[tuple[Node, str]] = []
    for job in jobs:
        node = Node()
        node.job = job
        node.id = job_id = job.id
        node.rank = rank
        node.status = SCHEDULED
        node.run_if = job.run_if if job.__class__ is JobSpec else run_if_of(job)
        node.waiting = node.passed = node.attempt = 0
        node.dependents = ()
        node.queue = node.started = node.event = None
        node.place = NOWHERE
        rank += 1
        ids = job.dependencies
        if ids:
            for other_id in ids if len(ids) == 1 else dict.fromkeys(ids):
                other = nodes.get(other_id)
                if other is None:
                    later.append((node, other_id))
                    continue
                node.waiting += 1  # as `_wait_for`, written out
                if other.dependents:
                    other.dependents.append(node)  # type: ignore[attr-defined]  # a list, once there is one
                else:
                    other.dependents = [node]
        nodes[job_id] = node
    return nodes, later


def run_if_of(job: Any) -> RunIf:
    """Return what a job, ours or a foreign one, asks of its dependencies; DVSim's jobs have another word for it.

    Raises:
        GraphError: if its `run_if` is none that there is.
    """
    run_if: RunIf | None = getattr(job, "run_if", None)
    if run_if is None:
        return "passed" if job.needs_all_dependencies_passing else "any-passed"
    if run_if not in RUN_IFS:
        msg = f"job {job.id!r}: run_if is {run_if!r}; expected: {' or '.join(map(repr, RUN_IFS))}"
        raise GraphError(msg)
    return run_if


def _wait_for(node: Node, other: Node) -> None:
    node.waiting += 1
    if other.dependents:
        other.dependents.append(node)  # type: ignore[attr-defined]  # the shared empty tuple was replaced
    else:
        other.dependents = [node]


def _given_twice(jobs: Sequence[Any], known: Mapping[str, Node]) -> GraphError:
    seen = set(known)
    for job in jobs:
        if job.id in seen:
            break
        seen.add(job.id)
    return GraphError(f"job {job.id!r} is given twice; ids must be unique in a run")


def _nearest(job_id: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(job_id, list(known)[:10_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_acyclic(new: Mapping[str, Node]) -> None:
    """Take away jobs that wait for nothing, again and again (Kahn, 1962); what stays is on a cycle, or behind one."""
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
    path: dict[str, None] = {}
    job_id = next(job_id for job_id in new if job_id in stuck)
    while job_id not in path:
        path[job_id] = None
        job_id = next(other for other in new[job_id].job.dependencies if other in stuck)
    cycle = list(path)
    cycle = [*cycle[cycle.index(job_id) :], job_id]
    shown = " -> ".join(repr(name) for name in (cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]]))  # noqa: PLR2004 - one line
    stuck_jobs = "its job cannot start" if len(cycle) == 2 else f"none of its {len(cycle) - 1} jobs can start"  # noqa: PLR2004 - a job and itself
    msg = f"the dependencies form a cycle, so {stuck_jobs}: {shown}"
    raise GraphError(msg)
