"""`Graph`: the jobs of a run, who waits for whom, and the errors that a set of jobs can have before anything runs.

Pure: no I/O, no time. Everything is iterative, so the depth of a chain does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from runtime.errors import GraphError
from runtime.job import JobCompletionEvent
from runtime.job.status import SCHEDULED


class Node:
    """One job of the graph, and how far it has come."""

    __slots__ = (
        "attempt",
        "busy_since",
        "dependents",
        "event",
        "id",
        "in_flight",
        "job",
        "killed_by",
        "needs_all",
        "passed",
        "queue",
        "rank",
        "ready",
        "started",
        "status",
        "waiting",
    )

    def __init__(self, job: Any, job_id: str, rank: int) -> None:
        self.job = job
        self.id = job_id
        self.rank = rank
        """Its place among all jobs, in the order given."""
        self.status = SCHEDULED
        self.waiting = 0
        """How many of its dependencies have not ended."""
        self.passed = 0
        """How many of its dependencies have passed."""
        self.needs_all: bool = job.needs_all_dependencies_passing
        self.dependents: Sequence[Node] = ()
        self.queue: Any = None
        """The ready queue that it belongs to; the plan's business."""
        self.ready = False
        """Whether it stands in its ready queue."""
        self.in_flight = False
        """Whether it was handed to its backend, and its completion has not been seen."""
        self.attempt = 0
        self.started: float | None = None
        self.busy_since: float | None = None
        self.killed_by: str | None = None
        self.event: JobCompletionEvent | None = None
        """How it ended."""

    def __repr__(self) -> str:
        return f"<Node {self.id!r} {self.status.name}{' in flight' if self.in_flight else ''}>"


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

    def add(self, jobs: Iterable[Any]) -> list[Node]:
        """Add all of `jobs`, or none. They may depend on each other and on jobs that stand here already, ended or not.

        Raises:
            GraphError: for a job given twice, an unknown dependency, or a cycle, which is named with its path.
        """
        known = self._nodes
        new: dict[str, Node] = {}
        for rank, job in enumerate(jobs, len(known)):
            job_id = job.id
            if job_id in known or job_id in new:
                msg = f"job {job_id!r} is given twice; ids must be unique in a run"
                raise GraphError(msg)
            new[job_id] = Node(job, job_id, rank)
        # Two lists and no list of pairs, which would be as many objects for the garbage collector to visit.
        waiting: list[Node] = []
        needed: list[Node] = []
        forward = True
        for node in new.values():
            ids = node.job.dependencies
            for other_id in dict.fromkeys(ids) if len(ids) > 1 else ids:
                other = new.get(other_id) or known.get(other_id)
                if other is None:
                    msg = f"job {node.id!r} depends on {other_id!r}, which does not exist"
                    raise GraphError(msg + _nearest(other_id, [*known, *new]))
                forward = forward and other.rank < node.rank
                waiting.append(node)
                needed.append(other)
        if not forward:  # where every job stands behind those that it needs, as they mostly do, there can be no cycle
            _check_acyclic(new, list(zip(waiting, needed, strict=True)))
        for node, other in zip(waiting, needed, strict=True):
            if other.event is not None:
                continue  # it ended before; the plan looks at it when it takes the new jobs in
            node.waiting += 1
            if not other.dependents:
                other.dependents = []
            other.dependents.append(node)  # type: ignore[attr-defined]  # the shared empty tuple was replaced
        known.update(new)
        return list(new.values())


def _nearest(job_id: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(job_id, list(known)[:10_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_acyclic(new: dict[str, Node], edges: list[tuple[Node, Node]]) -> None:
    """Take away jobs that wait for nothing, again and again (Kahn, 1962); what stays is on a cycle, or behind one."""
    waits_for: dict[str, list[str]] = {}
    dependents: dict[str, list[str]] = {}
    count: dict[str, int] = {}
    for node, other in edges:
        if other.id in new:
            waits_for.setdefault(node.id, []).append(other.id)
            dependents.setdefault(other.id, []).append(node.id)
            count[node.id] = count.get(node.id, 0) + 1
    free = [job_id for job_id in new if not count.get(job_id)]
    done = 0
    while free:
        done += 1
        for dependent in dependents.get(free.pop(), ()):
            count[dependent] -= 1
            if not count[dependent]:
                free.append(dependent)
    if done == len(new):
        return
    stuck = {job_id for job_id, left in count.items() if left}
    path: dict[str, None] = {}
    job_id = next(job_id for job_id in new if job_id in stuck)
    while job_id not in path:
        path[job_id] = None
        job_id = next(other for other in waits_for[job_id] if other in stuck)
    cycle = list(path)
    cycle = [*cycle[cycle.index(job_id) :], job_id]
    shown = " -> ".join(repr(name) for name in (cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]]))  # noqa: PLR2004 - one line
    msg = f"the dependencies form a cycle, so none of its {len(cycle) - 1} jobs can start: {shown}"
    raise GraphError(msg)
