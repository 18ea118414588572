"""The statuses: each change is checked against the table and counted, whether anybody watches or not."""

from __future__ import annotations

import pytest

from runtime.errors import StatusMoveError
from runtime.job import LEGAL_MOVES, JobStatus
from runtime.scheduler.graph import Graph, Node
from runtime.scheduler.statuses import StatusChange, Statuses
from tests.scheduler.planning import ended, job


def made(status: JobStatus = JobStatus.SCHEDULED, *, watched: bool = False) -> tuple[Statuses, Node]:
    (node,) = Graph().add([job("a")])
    node.status = status
    statuses = Statuses()
    statuses.counts[status] = 1
    if watched:
        statuses.changes = []
    return statuses, node


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("old", JobStatus)
def test_only_legal_moves_are_made_watched_or_not(old: JobStatus, watched: bool) -> None:
    for new in set(JobStatus) - {old}:
        statuses, node = made(old, watched=watched)
        if new in LEGAL_MOVES[old]:
            statuses.move([node], new, 1.0)
            assert node.status is new
        else:
            with pytest.raises(StatusMoveError, match=f"from {old.name} to {new.name}"):
                statuses.move([node], new, 1.0)
            assert node.status is old
        assert {status for status, count in statuses.counts.items() if count} == {node.status}
        assert len(statuses.changes or ()) == (watched and node.status is new)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("old", JobStatus)
def test_only_a_job_that_has_not_ended_can_end(old: JobStatus, watched: bool) -> None:
    statuses, node = made(old, watched=watched)
    node.event = ended("a", JobStatus.PASSED, 3.0)
    if old.is_terminal:
        with pytest.raises(StatusMoveError, match=f"from {old.name} to PASSED"):
            statuses.end([node])
        assert statuses.counts[old] == 1
    else:
        statuses.end([node])
        assert (statuses.counts[old], statuses.counts[JobStatus.PASSED]) == (0, 1)
        made_changes = [StatusChange(node.job, "a", old, JobStatus.PASSED, 3.0, None, node.event)]
        assert statuses.changes == (made_changes if watched else None)


def test_a_note_without_a_move_is_a_change_for_watchers() -> None:
    statuses, node = made(JobStatus.QUEUED, watched=True)
    statuses.move([node], JobStatus.QUEUED, 2.0, "Priority")
    assert statuses.changes == [StatusChange(node.job, "a", JobStatus.QUEUED, JobStatus.QUEUED, 2.0, "Priority")]
    assert statuses.counts[JobStatus.QUEUED] == 1
