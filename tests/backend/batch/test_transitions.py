"""What the three witnesses say, and who is believed when."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.backend.batch.records import Record
from runtime.backend.batch.system import Phase, Row, State
from runtime.backend.batch.transitions import ElementHistory, Ended, Missing, Moved, Unexpected, Evidence, Transition, next_transition
from runtime.job import FailureKind, JobStatus

VISIBILITY_TIMEOUT = 60.0
RECORD = Record(restarts=0, id="1_0", host="n1", code=0)


def row(phase: Phase, *, kind: FailureKind | None = None, note: str | None = None, restarts: int = 0) -> Row:
    return Row("name", "1", 0, State(phase, kind), phase.name, note, restarts)


class Story:
    """Sights of one job, one after the other."""

    def __init__(self) -> None:
        self.history = ElementHistory()

    def see(self, now: float, **evidence: Any) -> Transition:
        return next_transition(self.history, Evidence(now, **{"answered": True, **evidence}), VISIBILITY_TIMEOUT)


def test_waiting_and_running_are_told_when_they_are_new() -> None:
    story = Story()
    assert story.see(0, row=row(Phase.PENDING)) is None
    assert story.see(1, row=row(Phase.PENDING, note="Priority")) == Moved(JobStatus.QUEUED, "Priority")
    assert story.see(2, row=row(Phase.PENDING, note="Priority")) is None
    assert story.see(3, row=row(Phase.RUNNING, note="n1")) == Moved(JobStatus.RUNNING, "n1")
    assert story.see(4, row=row(Phase.RUNNING, note="n1")) is None
    assert story.see(5, row=row(Phase.PENDING, restarts=1)) == Moved(JobStatus.QUEUED, None)


@pytest.mark.parametrize("seen", [None, row(Phase.ENDED), row(Phase.ENDED, kind=FailureKind.NODE_FAILURE)])
def test_a_record_is_an_end_when_the_queue_agrees(seen: Row | None) -> None:
    assert Story().see(0, row=seen, record=RECORD) == Ended(RECORD, seen)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.ENDING, Phase.UNKNOWN])
def test_a_record_alone_waits_for_the_queue_but_not_for_ever(phase: Phase) -> None:
    story = Story()
    for now in (0, 30, 59.9):
        assert not isinstance(story.see(now, row=row(phase), record=RECORD), Ended)
    assert story.see(60, row=row(phase), record=RECORD) == Ended(RECORD, row(phase))


def test_a_record_is_an_end_in_time_though_the_queue_does_not_answer() -> None:
    story = Story()
    assert story.see(0, answered=False, record=RECORD) is None
    assert story.see(60, answered=False, record=RECORD) == Ended(RECORD, None)


def test_a_record_of_an_earlier_start_is_dropped() -> None:
    story = Story()
    assert story.see(0, row=row(Phase.RUNNING, restarts=1), record=RECORD) == Moved(JobStatus.RUNNING, None)
    for now in (1, 100, 200):
        assert story.see(now, row=row(Phase.RUNNING, restarts=1), record=RECORD) is None
    for now in (300, 400):  # on its way back to the queue, before it is counted
        assert not isinstance(story.see(now, row=row(Phase.PENDING), record=RECORD), Ended)
    ended = row(Phase.ENDED, restarts=1)
    assert story.see(500, row=ended, record=RECORD) is None
    assert story.see(560, row=ended, record=RECORD) == Ended(None, ended)


def test_an_end_without_a_record_waits_for_one() -> None:
    story = Story()
    ended = row(Phase.ENDED)
    assert story.see(0, row=ended) is None
    assert story.see(59, row=ended) is None
    assert story.see(59.5, row=ended, record=RECORD) == Ended(RECORD, ended)
    assert story.see(60, row=ended) == Ended(None, ended)


def test_what_was_cancelled_because_we_asked_needs_no_record() -> None:
    cancelled = row(Phase.ENDED, kind=FailureKind.CANCELLED)
    assert Story().see(0, row=cancelled, stopping=True) == Ended(None, cancelled)
    assert Story().see(0, row=cancelled, stopping=False) is None
    assert Story().see(0, row=row(Phase.ENDED), stopping=True) is None  # it ended by itself, and its record says how


def test_what_is_missing_is_lost_after_grace_and_not_before() -> None:
    story = Story()
    assert story.see(0) is None
    assert story.see(59.9) is None
    assert story.see(60) == Missing()


def test_a_missing_answer_is_not_an_end() -> None:
    story = Story()
    for now in range(0, 36_000, 60):
        assert story.see(now, answered=False) is None
    assert story.see(36_000) is None  # only now is it known to be missing
    assert story.see(36_059) is None
    assert story.see(36_060) == Missing()


def test_what_turns_up_again_was_not_missing() -> None:
    story = Story()
    story.see(0)
    story.see(30, row=row(Phase.PENDING))
    assert story.see(70) is None
    assert story.see(130) == Missing()


def test_one_absence_is_not_enough_even_when_its_end_was_asked_for() -> None:
    story = Story()
    assert story.see(0, stopping=True) is None
    assert story.see(1, answered=False, stopping=True) is None
    assert story.see(2, stopping=True) == Ended(None, None)
    again = Story()
    again.see(0, stopping=True)
    again.see(1, row=row(Phase.RUNNING), stopping=True)  # it was on its way to a node
    assert again.see(2, stopping=True) is None


def test_an_unknown_word_is_wondered_at_once() -> None:
    story = Story()
    transition = story.see(0, row=row(Phase.UNKNOWN))
    assert isinstance(transition, Unexpected)
    assert "UNKNOWN" in transition.why
    assert [story.see(now, row=row(Phase.UNKNOWN)) for now in (1, 10_000)] == [None, None]
    assert story.see(10_001, row=row(Phase.RUNNING)) == Moved(JobStatus.RUNNING, None)


def test_an_end_that_takes_long_is_wondered_at_and_waited_for() -> None:
    story = Story()
    story.see(0, row=row(Phase.RUNNING))
    assert story.see(1, row=row(Phase.ENDING)) is None
    assert isinstance(story.see(61, row=row(Phase.ENDING)), Unexpected)
    assert [story.see(now, row=row(Phase.ENDING)) for now in range(100, 1900, 100)] == [None] * 18
