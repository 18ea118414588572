"""What follows from the answers of a queue, without a queue: see also `test_backend`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from runtime.backend.batch.element import (
    ABSENT,
    ADOPTABLE,
    CANCEL_INTERVAL,
    FINISHED,
    FINISHING,
    PREPARED,
    STRAY,
    SUBMITTED,
    SUBMITTING,
    Element,
)
from runtime.backend.batch.exit_records import UNSEEN, ExitRecord
from runtime.backend.batch.reactor import ACCOUNT_AFTER, DOUBT_TIMEOUT, Query, Reactor
from runtime.backend.batch.system import Phase, QueueListing, QueueRow, State, Unanswered
from runtime.backend.batch.transitions import Finished, Missing, Moved, Transition, Unseen
from runtime.job import FailureKind, JobStatus

VISIBILITY_TIMEOUT = 60.0
RECORD = ExitRecord(restarts=0, id="7_0", host="n1", code=0)


def row(index: int | None, phase: Phase = Phase.RUNNING, *, name: str = "array", array: str = "7") -> QueueRow:
    return QueueRow(name, array, index, State(phase), phase.name)


class Scene:
    """A reactor with one array, and a queue that says what a test wants."""

    def __init__(self, *tokens: str) -> None:
        self.reactor = Reactor(VISIBILITY_TIMEOUT)
        self.elements = [Element(token) for token in tokens]
        if tokens:
            entry = self.reactor.submit("array", self.elements)
            self.reactor.accept(entry, self.elements, "7")

    def ask(
        self, now: float, *rows: QueueRow, unparsed: int = 0, records: dict[str, ExitRecord] | None = None
    ) -> list[tuple[str, Transition]]:
        """Ask the queue, and return what follows for each token."""
        query = self.reactor.begin_query()
        query.add_listing(QueueListing(rows, unparsed), self.reactor.arrays)
        return self.conclude(query, now, records)

    def conclude(
        self, query: Query, now: float, records: dict[str, ExitRecord] | None = None
    ) -> list[tuple[str, Transition]]:
        wanted = query.may_have_ended()
        query.add_records({token: each for token, each in (records or {}).items() if token in wanted}, set())
        return [(element.token, transition) for element, transition in self.reactor.on_answer(query, now)]

    def cancels(self, now: float) -> list[tuple[str, int]]:
        steps = self.reactor.due_stop_steps(now)
        assert not steps.soft
        return steps.cancels

    def state(self, token: str) -> object:
        return self.reactor.state_of(token)


# ---------------------------------------------------------------------- submissions


def test_an_array_that_is_being_submitted_is_no_stray_and_is_not_watched() -> None:
    scene = Scene()
    elements = [Element("a"), Element("b")]
    scene.reactor.submit("array", elements)
    assert scene.reactor.begin_query().watched == []
    assert scene.ask(0, row(0), row(1)) == []
    assert [element.state for element in elements] == [SUBMITTING] * 2


def test_an_array_that_was_not_accepted_leaves_nothing_behind() -> None:
    scene = Scene()
    elements = [Element("a")]
    scene.reactor.submit("array", elements)
    scene.reactor.withdraw(elements)
    assert scene.reactor.elements == {}
    assert elements[0].state is PREPARED
    scene.reactor.forget_arrays(0)
    assert scene.reactor.arrays.names() == []


def test_a_submission_that_comes_to_nothing_does_not_hide_what_may_be_alive() -> None:
    scene = Scene("a")
    scene.reactor.abandon(scene.elements[0])
    again = Element("a")
    scene.reactor.submit("again", [again])
    assert scene.state("a") is SUBMITTING
    scene.reactor.withdraw([again])
    assert scene.state("a") is STRAY


def test_an_element_that_is_accepted_while_the_queue_is_asked_is_not_missing() -> None:
    scene = Scene()
    element = Element("a")
    entry = scene.reactor.submit("array", [element])
    query = scene.reactor.begin_query()
    scene.reactor.accept(entry, [element], "7")
    query.add_listing(QueueListing([]), scene.reactor.arrays)
    assert scene.conclude(query, 0) == []
    assert element.history.missing_since is None


# ---------------------------------------------------------------------- answers


def test_what_has_become_of_each_element_follows_from_one_answer() -> None:
    scene = Scene("a", "b", "c", "d")
    unseen = QueueRow("array", "7", 3, State(Phase.ENDED), "FAILED", code=UNSEEN)
    rows = row(0), row(1, Phase.ENDED), unseen
    found = scene.ask(0, *rows, records={"a": RECORD, "b": RECORD})
    assert found == [("a", Moved(JobStatus.RUNNING, None)), ("b", Finished(RECORD, rows[1])), ("d", Unseen(unseen))]
    assert [scene.state(token) for token in "abcd"] == [SUBMITTED, FINISHING, SUBMITTED, FINISHING]
    assert scene.ask(VISIBILITY_TIMEOUT, row(0)) == [("c", Missing())]


def test_records_are_read_only_of_elements_that_may_have_ended() -> None:
    scene = Scene("a", "b", "c")
    query = scene.reactor.begin_query()
    query.add_listing(QueueListing([row(0), row(1, Phase.ENDING)]), scene.reactor.arrays)
    assert query.may_have_ended() == ["b", "c"]
    silent = scene.reactor.begin_query()
    silent.add_listing(Unanswered("down"), scene.reactor.arrays)
    assert silent.may_have_ended() == ["a", "b", "c"]


def test_an_element_whose_record_cannot_be_read_is_passed_over() -> None:
    scene = Scene("a", "b")
    query = scene.reactor.begin_query()
    query.add_listing(QueueListing([]), scene.reactor.arrays)
    query.add_records({}, {"a"})
    assert scene.reactor.on_answer(query, 0) == []
    assert [element.history.missing_since for element in scene.elements] == [None, 0]


def test_an_incomplete_answer_leaves_what_it_does_not_have_where_it_was() -> None:
    scene = Scene("a", "b")
    scene.ask(0, row(0), row(1))
    for element in scene.elements:
        scene.reactor.stop(element, 0)
    scene.reactor.take_unrevoked()
    for now in (1_000, 2_000, 3_000):
        assert scene.ask(now, row(0), unparsed=1) == []
        assert scene.cancels(now) == [("7", 0), ("7", 1)]


def test_accounting_is_asked_for_what_is_missing_for_a_while() -> None:
    scene = Scene("a", "b", "c")
    scene.ask(0, row(1))
    query = scene.reactor.begin_query()
    query.add_listing(QueueListing([row(1)]), scene.reactor.arrays)
    query.add_records({"c": RECORD}, set())
    assert query.unaccounted(ACCOUNT_AFTER - 0.1) == []
    assert query.unaccounted(ACCOUNT_AFTER) == [scene.elements[0]]
    told = row(0, Phase.ENDED)
    query.add_accounting([scene.elements[0]], QueueListing([told, row(1, Phase.ENDED)]), scene.reactor.arrays)
    assert query.rows["a"] == told
    assert query.rows["b"] == row(1)  # accounting was not asked for it


# ---------------------------------------------------------------------- strays


def test_a_job_that_was_given_up_is_cancelled_whenever_a_listing_has_it_alive() -> None:
    scene = Scene("a")
    scene.reactor.abandon(scene.elements[0])
    assert scene.cancels(0) == []  # not before: its id may be another array's by now
    scene.ask(0, row(0))
    assert scene.cancels(0) == [("7", 0)]
    assert scene.cancels(CANCEL_INTERVAL - 1) == []
    assert scene.cancels(CANCEL_INTERVAL) == [("7", 0)]
    scene.ask(20, unparsed=1)
    assert scene.state("a") is STRAY  # only a complete listing says that it is gone
    scene.ask(30)
    assert scene.state("a") is None
    assert scene.elements[0].state is FINISHED
    scene.ask(40, row(0))
    assert scene.cancels(40) == [("7", 0)]


def test_a_job_that_is_given_up_while_the_queue_is_asked_has_no_transition() -> None:
    scene = Scene("a")
    query = scene.reactor.begin_query()
    scene.reactor.abandon(scene.elements[0])
    query.add_listing(QueueListing([row(0)]), scene.reactor.arrays)
    assert scene.conclude(query, 0) == []
    assert scene.cancels(0) == [("7", 0)]


def test_the_arrays_of_what_may_be_alive_are_asked_for() -> None:
    scene = Scene("a")
    scene.reactor.abandon(scene.elements[0])
    scene.reactor.forget_arrays(0)
    assert scene.reactor.arrays.names() == ["array"]
    scene.ask(0)
    scene.reactor.forget_arrays(0)
    assert scene.reactor.arrays.names() == []


# ---------------------------------------------------------------------- stops


def test_steps_of_stops_are_for_all_elements_at_once() -> None:
    scene = Scene("a", "b", "c", "d")
    scene.ask(0, *map(row, range(4)))
    for element, seconds in zip(scene.elements, (7, 7, 0, 0), strict=True):
        scene.reactor.stop(element, seconds)
    scene.reactor.take_unrevoked()
    steps = scene.reactor.due_stop_steps(10)
    assert steps.soft == scene.elements[:2]
    assert steps.cancels == [("7", 2), ("7", 3)]
    assert scene.reactor.next_stop_step(12) == 17
    scene.reactor.force(scene.elements[1])
    assert scene.cancels(11) == [("7", 1)]
    assert scene.cancels(17) == [("7", 0)]


def test_no_step_is_taken_before_the_job_is_revoked() -> None:
    scene = Scene("a", "b")
    scene.ask(0, row(0), row(1))
    scene.reactor.stop(scene.elements[0], 0)
    assert scene.cancels(1) == []
    assert scene.reactor.take_unrevoked() == scene.elements[:1]
    scene.reactor.stop(scene.elements[1], 0)  # while the first is revoked
    assert scene.cancels(2) == [("7", 0)]
    assert scene.reactor.take_unrevoked() == scene.elements[1:]
    assert scene.cancels(3) == [("7", 1)]
    assert scene.reactor.take_unrevoked() == []


@pytest.mark.parametrize("phase", [Phase.ENDING, Phase.ENDED])
def test_an_element_that_is_ending_takes_no_step_and_has_none_ahead(phase: Phase) -> None:
    """A step that is overdue for ever would keep the loop of the backend awake."""
    scene = Scene("a")
    scene.ask(0, row(0))
    scene.reactor.stop(scene.elements[0], 7)
    scene.reactor.take_unrevoked()
    assert scene.reactor.due_stop_steps(0).soft
    scene.ask(1, row(0, phase))
    assert scene.cancels(20) == []
    assert scene.reactor.next_stop_step(20) == math.inf


def test_an_element_that_has_ended_is_not_cancelled() -> None:
    scene = Scene("a")
    scene.ask(0, row(0))
    scene.ask(1, row(0, Phase.ENDED), records={"a": RECORD})
    scene.reactor.stop(scene.elements[0], 0)
    assert scene.elements[0].state is FINISHING
    scene.ask(2, row(0))  # an element is listed as alive once more
    assert scene.cancels(2) == []


def test_an_end_that_was_asked_for_needs_no_record() -> None:
    scene = Scene("a")
    scene.ask(0, row(0))
    cancelled = QueueRow("array", "7", 0, State(Phase.ENDED, FailureKind.CANCELLED), "CANCELLED")
    assert scene.ask(1, cancelled) == []
    scene.reactor.stop(scene.elements[0], 0)
    assert scene.ask(2, cancelled) == [("a", Finished(None, cancelled))]


# ---------------------------------------------------------------------- a previous incarnation


def found(present: Sequence[str] = (), begun: Sequence[str] = ()) -> Scene:
    scene = Scene()
    scene.reactor.find({"array": ["a", "b", "c"]}, set(present), set(begun), now=0)
    return scene


def test_elements_of_a_previous_incarnation_wait_for_somebody_to_ask_for_their_jobs() -> None:
    scene = found(present="a", begun="b")
    assert [scene.state(token) for token in "abc"] == [ADOPTABLE, None, ABSENT]
    assert scene.reactor.finished == {"b"}  # its claim is removed before it is submitted again
    assert scene.ask(0, row(0)) == []
    assert scene.cancels(0) == []


def test_an_element_that_is_accepted_late_can_be_adopted() -> None:
    scene = found()
    scene.ask(0, row(1))
    assert [scene.state(token) for token in "abc"] == [ABSENT, ADOPTABLE, ABSENT]


def test_the_arrays_of_absent_elements_are_asked_for_for_a_while() -> None:
    scene = found()
    for now, names in ((DOUBT_TIMEOUT - 1, ["array"]), (DOUBT_TIMEOUT, [])):
        scene.reactor.forget_arrays(now)
        assert scene.reactor.arrays.names() == names


def test_an_element_that_is_adopted_is_followed() -> None:
    scene = found(present="a")
    scene.ask(0, row(0))
    scene.reactor.adopt(scene.reactor.elements["a"])
    assert scene.reactor.elements["a"].array == "7"  # for messages
    assert scene.ask(0, row(0)) == [("a", Moved(JobStatus.RUNNING, None))]


def test_an_element_that_another_attempt_replaces_is_a_stray() -> None:
    scene = found(present="a")
    scene.reactor.abandon(scene.reactor.elements["a"])
    scene.ask(0, row(0))
    assert scene.cancels(0) == [("7", 0)]
