"""Which evidence of a job's end counts, and when."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from runtime.backend.batch.exit_records import TAKEN, ExitRecord
from runtime.backend.batch.system import Phase, QueueRow, State
from runtime.backend.batch.transitions import (
    ElementHistory,
    Evidence,
    Finished,
    Missing,
    Moved,
    Transition,
    Unexpected,
    next_transition,
)
from runtime.job import FailureKind, JobStatus

VISIBILITY_TIMEOUT = 60.0
RECORD = ExitRecord(restarts=0, id="1_0", host="n1", code=0)


def row(phase: Phase, *, kind: FailureKind | None = None, note: str | None = None, restarts: int = 0) -> QueueRow:
    return QueueRow("name", "1", 0, State(phase, kind), phase.name, note, restarts)


class Timeline:
    """Observations of one job, in order."""

    def __init__(self) -> None:
        self.history = ElementHistory()

    def observe(self, now: float, **evidence: Any) -> Transition | None:
        return next_transition(self.history, Evidence(now, **{"answered": True, **evidence}), VISIBILITY_TIMEOUT)


def test_waiting_and_running_are_told_when_they_are_new() -> None:
    timeline = Timeline()
    assert timeline.observe(0, row=row(Phase.PENDING)) is None
    assert timeline.observe(1, row=row(Phase.PENDING, note="Priority")) == Moved(JobStatus.QUEUED, "Priority")
    assert timeline.observe(2, row=row(Phase.PENDING, note="Priority")) is None
    assert timeline.observe(3, row=row(Phase.RUNNING, note="n1")) == Moved(JobStatus.RUNNING, "n1")
    assert timeline.observe(4, row=row(Phase.RUNNING, note="n1")) is None
    assert timeline.observe(5, row=row(Phase.PENDING, restarts=1)) == Moved(JobStatus.QUEUED, None)


@pytest.mark.parametrize("seen", [None, row(Phase.ENDED), row(Phase.ENDED, kind=FailureKind.NODE_FAILURE)])
def test_a_record_is_an_end_when_the_queue_agrees(seen: QueueRow | None) -> None:
    assert Timeline().observe(0, row=seen, record=RECORD) == Finished(RECORD, seen)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.ENDING, Phase.UNKNOWN])
def test_a_record_alone_waits_for_the_queue_but_not_for_ever(phase: Phase) -> None:
    timeline = Timeline()
    for now in (0, 30, 59.9):
        assert not isinstance(timeline.observe(now, row=row(phase), record=RECORD), Finished)
    assert timeline.observe(60, row=row(phase), record=RECORD) == Finished(RECORD, row(phase))


def test_a_record_is_an_end_in_time_though_the_queue_does_not_answer() -> None:
    timeline = Timeline()
    assert timeline.observe(0, answered=False, record=RECORD) is None
    assert timeline.observe(60, answered=False, record=RECORD) == Finished(RECORD, None)


def test_a_record_of_an_earlier_start_is_dropped() -> None:
    timeline = Timeline()
    assert timeline.observe(0, row=row(Phase.RUNNING, restarts=1), record=RECORD) == Moved(JobStatus.RUNNING, None)
    for now in (1, 100, 200):
        assert timeline.observe(now, row=row(Phase.RUNNING, restarts=1), record=RECORD) is None
    for now in (300, 400):  # requeued, before the restart is counted
        assert not isinstance(timeline.observe(now, row=row(Phase.PENDING), record=RECORD), Finished)
    ended = row(Phase.ENDED, restarts=1)
    assert timeline.observe(500, row=ended, record=RECORD) is None
    assert timeline.observe(560, row=ended, record=RECORD) == Finished(None, ended)


def test_an_end_without_a_record_waits_for_one() -> None:
    timeline = Timeline()
    ended = row(Phase.ENDED)
    assert timeline.observe(0, row=ended) is None
    assert timeline.observe(59, row=ended) is None
    assert timeline.observe(59.5, row=ended, record=RECORD) == Finished(RECORD, ended)
    assert timeline.observe(60, row=ended) == Finished(None, ended)


def test_what_was_cancelled_because_we_asked_needs_no_record() -> None:
    cancelled = row(Phase.ENDED, kind=FailureKind.CANCELLED)
    assert Timeline().observe(0, row=cancelled, stopping=True) == Finished(None, cancelled)
    assert Timeline().observe(0, row=cancelled, stopping=False) is None
    assert Timeline().observe(0, row=row(Phase.ENDED), stopping=True) is None  # its record is on its way
    taken = attrs.evolve(row(Phase.ENDED), code=TAKEN)  # it found that it was revoked
    assert Timeline().observe(0, row=taken, stopping=True) == Finished(None, taken)
    assert Timeline().observe(0, row=taken, stopping=False) is None


def test_what_is_missing_is_lost_after_the_visibility_timeout_and_not_before() -> None:
    timeline = Timeline()
    assert timeline.observe(0) is None
    assert timeline.observe(59.9) is None
    assert timeline.observe(60) == Missing()


def test_a_missing_answer_is_not_an_end() -> None:
    timeline = Timeline()
    for now in range(0, 36_000, 60):
        assert timeline.observe(now, answered=False) is None
    assert timeline.observe(36_000) is None  # only now is it known to be missing
    assert timeline.observe(36_059) is None
    assert timeline.observe(36_060) == Missing()


def test_what_turns_up_again_was_not_missing() -> None:
    timeline = Timeline()
    timeline.observe(0)
    timeline.observe(30, row=row(Phase.PENDING))
    assert timeline.observe(70) is None
    assert timeline.observe(130) == Missing()


def test_one_absence_is_not_enough_even_when_its_end_was_asked_for() -> None:
    timeline = Timeline()
    assert timeline.observe(0, stopping=True) is None
    assert timeline.observe(1, answered=False, stopping=True) is None
    assert timeline.observe(2, stopping=True) == Finished(None, None)
    again = Timeline()
    again.observe(0, stopping=True)
    again.observe(1, row=row(Phase.RUNNING), stopping=True)  # it was on its way to a node
    assert again.observe(2, stopping=True) is None


def test_an_unknown_word_is_wondered_at_once() -> None:
    timeline = Timeline()
    transition = timeline.observe(0, row=row(Phase.UNKNOWN))
    assert isinstance(transition, Unexpected)
    assert "UNKNOWN" in transition.why
    assert [timeline.observe(now, row=row(Phase.UNKNOWN)) for now in (1, 10_000)] == [None, None]
    assert timeline.observe(10_001, row=row(Phase.RUNNING)) == Moved(JobStatus.RUNNING, None)


def test_an_end_that_takes_long_is_wondered_at_and_waited_for() -> None:
    timeline = Timeline()
    timeline.observe(0, row=row(Phase.RUNNING))
    assert timeline.observe(1, row=row(Phase.ENDING)) is None
    assert isinstance(timeline.observe(61, row=row(Phase.ENDING)), Unexpected)
    assert [timeline.observe(now, row=row(Phase.ENDING)) for now in range(100, 1900, 100)] == [None] * 18
