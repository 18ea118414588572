"""The ready queue: its order, and that it skips jobs that have ended."""

from __future__ import annotations

from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, JobStatusInfo
from runtime.scheduler.backlog import Backlog
from runtime.scheduler.graph import NOWHERE, READY, Graph, Node
from runtime.scheduler.ready import Descending, ReadyQueue


def nodes(count: int) -> list[Node]:
    return Graph().add([JobSpec(name=f"j{rank}", cmd="x") for rank in range(count)])


def queue() -> ReadyQueue:
    return ReadyQueue(Backlog("fake", None), ())


def end(node: Node, ready: ReadyQueue) -> None:
    reason = JobStatusInfo("killed", kind=FailureKind.CANCELLED)
    node.event = JobCompletionEvent(node.id, 0, JobStatus.KILLED, reason, 0, None, 0)
    ready.remove(node)


def test_higher_priority_first_then_first_come() -> None:
    ready = queue()
    a, b, c, d = nodes(4)
    for node, priority in ((a, 1), (b, 2), (c, 1), (d, 2)):
        ready.push(node, (priority, 0.5))
    assert [ready.pop().id for _ in range(4)] == ["j1", "j3", "j0", "j2"]
    assert ready.size == 0


def test_it_says_when_the_head_may_have_changed() -> None:
    ready = queue()
    a, b, c, d = nodes(4)
    assert ready.push(a, 1)
    assert not ready.push(b, 1)
    assert ready.push(c, 2)
    assert ready.push(d, 1, front=True)
    assert ready.key() == (Descending(2), 2)
    assert [ready.pop().id for _ in range(4)] == ["j2", "j3", "j0", "j1"]


def test_what_has_ended_is_never_popped() -> None:
    ready = queue()
    a, b, c, d = nodes(4)
    for node in (a, b, c, d):
        ready.push(node, 1)
    end(a, ready)
    end(c, ready)
    assert ready.size == 2
    assert ready.key()[1] == 1
    assert ready.drain() == [b, d]
    assert b.place is NOWHERE
    ready.push(b, 3)
    end(b, ready)
    assert ready.size == 0


def test_several_are_taken_across_priorities_and_those_that_ended_are_left_out() -> None:
    ready = queue()
    a, b, c, d, e = nodes(5)
    for node, priority in ((a, 1), (b, 2), (c, 1), (d, 2), (e, 1)):
        ready.push(node, priority)
    end(c, ready)
    assert ready.take(3) == [b, d, a]
    assert (ready.size, ready.key()[1], a.place, e.place) == (1, 4, NOWHERE, READY)
    assert ready.take(3) == [e]
    assert ready.take(3) == []
