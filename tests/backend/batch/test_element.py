"""The states of an element, and the steps of its stop."""

from __future__ import annotations

import itertools
import math

import pytest

from runtime.backend.batch.array_index import Observation
from runtime.backend.batch.element import CANCEL_INTERVAL, MOVES, Element, ElementState, Stop
from runtime.backend.batch.system import Phase, QueueRow, State
from runtime.job import JobStatus
from runtime.process.stop_sequence import KILL, SOFT

RUNNING = JobStatus.RUNNING
LEGAL = {
    ("PREPARED", "SUBMITTING"),
    ("SUBMITTING", "PREPARED"),
    ("SUBMITTING", "SUBMITTED"),
    ("SUBMITTED", "FINISHING"),
    ("SUBMITTED", "STRAY"),
    ("FINISHING", "FINISHED"),
    ("STRAY", "FINISHED"),
    ("ABSENT", "ADOPTABLE"),
    ("ADOPTABLE", "SUBMITTED"),
    ("ADOPTABLE", "STRAY"),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(ElementState, repeat=2)))
def test_a_move_that_the_table_does_not_have_is_a_bug(before: ElementState, after: ElementState) -> None:
    element = Element("token", before)
    if (before.name, after.name) in LEGAL:
        element.move(after)
        assert element.state is after
    else:
        with pytest.raises(ValueError, match=f"token cannot go from {before.name} to {after.name}"):
            element.move(after)
        assert element.state is before


def test_every_state_is_in_the_table_and_reached() -> None:
    assert set(MOVES) == set(ElementState)
    begins = {ElementState.PREPARED, ElementState.ABSENT, ElementState.ADOPTABLE, ElementState.STRAY}
    assert begins | {after for states in MOVES.values() for after in states} == set(ElementState)


def test_a_stop_without_a_soft_step_is_a_cancel_that_is_repeated() -> None:
    stop = Stop()
    times = (0, 0, CANCEL_INTERVAL - 0.1, CANCEL_INTERVAL, CANCEL_INTERVAL)
    assert [stop.take(now, RUNNING) for now in times] == [KILL, None, None, KILL, None]
    assert stop.next_step(CANCEL_INTERVAL) == math.inf


def test_the_soft_step_comes_first_and_once() -> None:
    stop = Stop(7)
    assert stop.next_step(10) == math.inf
    assert [stop.take(now, RUNNING) for now in (10, 10, 16.9)] == [SOFT, None, None]
    assert stop.next_step(12) == 17
    assert [stop.take(now, RUNNING) for now in (17, 18)] == [KILL, None]
    assert stop.next_step(18) == math.inf


def test_a_soft_step_without_a_limit_ends_when_the_stop_is_forced() -> None:
    stop = Stop(math.inf)
    assert [stop.take(now, RUNNING) for now in (0, 1e9)] == [SOFT, None]
    stop.force()
    assert stop.take(1e9, RUNNING) == KILL


def test_a_stop_that_is_forced_has_no_soft_step() -> None:
    stop = Stop(7)
    stop.force()
    assert stop.take(0, RUNNING) == KILL


def test_an_element_that_waits_has_no_process_that_could_take_a_soft_step() -> None:
    assert Stop(7).take(0, JobStatus.QUEUED) == KILL


def test_an_element_can_be_cancelled_where_it_was_accepted_until_a_listing_says_more() -> None:
    element = Element("token")
    assert element.alive() == []
    element.array, element.index = "7", 3
    assert element.alive() == [("7", 3)]
    element.observation = Observation(QueueRow("name", "8", 3, State(Phase.RUNNING), "RUNNING"), [("8", 3), ("9", 3)])
    assert element.alive() == [("8", 3), ("9", 3)]
