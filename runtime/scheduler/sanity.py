"""`sanity_check`: checks every invariant of a plan. For tests: it visits each job."""

from __future__ import annotations

from runtime.job import JobStatus
from runtime.scheduler.graph import Place
from runtime.scheduler.plan import Plan


def sanity_check(plan: Plan) -> None:
    """Check every invariant of `plan`.

    Raises:
        AssertionError: if one does not hold.
    """
    nodes = list(plan._graph)
    assert sum(plan.counts.values()) == len(nodes)
    assert plan.unfinished == sum(node.event is None for node in nodes)
    assert plan.never_ran == sum(node.event is not None and node.event.never_ran for node in nodes)
    flying = [node for node in nodes if node.place is Place.IN_FLIGHT]
    assert plan._in_flight == len(flying) <= plan._limit
    held: dict[str, int] = {}
    for node in nodes:
        assert (node.event is not None) == node.status.is_terminal, node
        assert not (node.place is not Place.NOWHERE and node.event is not None), node
        if node.place is Place.IN_FLIGHT:
            events = [plan._graph.find(other).event for other in node.job.dependencies]
            assert all(event is not None for event in events), node
            passed = [event is not None and event.status is JobStatus.PASSED for event in events]
            assert node.run_if != "passed" or all(passed), node
            assert node.run_if != "any-passed" or any(passed) or not passed, node
            for name, amount in node.queue.request:
                held[name] = held.get(name, 0) + (amount if amount is not None else plan._arbiter.pool.held(name))
        if node.event is None:
            waiting = sum(plan._graph.find(other).event is None for other in dict.fromkeys(node.job.dependencies))
            assert node.waiting == waiting, node
            scheduled = node.status is JobStatus.SCHEDULED
            # A job that waits for nothing is queued, unless it was added after the last `decide`.
            assert scheduled if node.waiting else (not scheduled or node in plan._new), node
    for name, (amount, _) in plan._arbiter.pool.usage().items():
        assert amount == held.get(name, 0), name
    for backend in plan._backends.values():
        assert backend.in_flight == sum(node.queue.backend is backend for node in flying) <= backend.limit
        for queue in backend.queues.values():
            ready = [
                node
                for node in nodes
                if node.queue is queue and node.status is JobStatus.QUEUED and node.place is not Place.IN_FLIGHT
            ]
            assert all(node.place is Place.READY for node in ready), queue
            assert queue.size == len(ready), queue
            # A queue with jobs is offered, or waits for a resource; one in neither state would never start them.
            in_heap = queue.entry is not None and any(entry[0] is queue.entry for entry in backend.heap)
            assert not ready or in_heap or queue.waits_for is not None, queue
