"""What a run's records say of it."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import JobCompletionEvent, JobPaths, JobStatusInfo
from runtime.journal import JSON, completions
from runtime.journal.records import End, Jobs, Kept, Record, Removed
from runtime.journal.replay import RunState, replay
from runtime.journal.segments import InFlight, Segment
from tests.journal.journals import (
    FAILED,
    HERE,
    KILLED,
    PASSED,
    QUEUED,
    RUNNING,
    SCHEDULED,
    begin,
    ended,
    running,
    starting,
)
from tests.journal.strategies import RECORDS

JOBS = Jobs(["a", "b", "c"], ["1", "2", "3"])


def statuses(*records: Record) -> list[object]:
    return list(replay([begin(), JOBS, *records]).statuses)


def test_nothing_is_a_run_without_jobs() -> None:
    state = replay([])
    assert (state.ids, state.segments, state.is_complete, state.counts()) == ([], [], False, Counter())
    assert [*state.results(), *state.in_flight()] == []


def test_jobs_are_numbered_in_the_order_of_all_records() -> None:
    state = replay([begin(), JOBS, Jobs(["d"], [""])])
    assert state.ids == ["a", "b", "c", "d"]
    assert [state.digest(number) == "" for number in range(4)] == [False, False, False, True]
    assert len({*map(state.digest, range(4))}) == 4
    assert state.numbers == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert state.statuses == [SCHEDULED] * 4


def test_the_life_of_a_job() -> None:
    assert statuses(starting(1)) == [SCHEDULED, QUEUED, SCHEDULED]
    assert statuses(starting(1), running(1)) == [SCHEDULED, RUNNING, SCHEDULED]
    assert statuses(starting(1), running(1), ended(1)) == [SCHEDULED, PASSED, SCHEDULED]
    assert statuses(starting(0, 1), ended(0, 1, status=FAILED)) == [FAILED, FAILED, SCHEDULED]


def test_a_result_is_the_completion_that_came() -> None:
    paths = JobPaths("/run/a", "/run/a/job.log", "/run/a")
    event = JobCompletionEvent("a", 1, FAILED, JobStatusInfo("why", (3,), ("x",)), 1.0, 2.0, 3.0, None, paths)
    state = replay([begin(), JOBS, starting(0), completions.ended([0], [event], "/run")], "/run")
    assert state.result(0) == event
    assert state.result(1) is None
    assert list(state.results()) == [event]


def test_the_last_attempt_counts_and_of_one_attempt_the_last_end() -> None:
    failed: list[Record] = [starting(0), ended(0, status=FAILED)]
    state = replay([begin(), JOBS, *failed, starting(0, attempt=2), ended(0, attempt=2)])
    assert (state.statuses[0], state.attempts[0]) == (PASSED, 2)
    state.apply(ended(0, status=KILLED, attempt=1))
    assert (state.statuses[0], state.attempts[0], state.ignored) == (PASSED, 2, 1)
    state.apply(ended(0, status=KILLED, attempt=2))
    assert state.statuses[0] is KILLED
    state.apply(starting(0, attempt=1))
    assert (state.statuses[0], state.ignored) == (KILLED, 2)


def test_a_job_that_was_started_again_has_no_result_until_it_ends() -> None:
    state = replay([begin(), JOBS, starting(0), ended(0), starting(0, attempt=2)])
    assert (state.result(0), state.output(0), state.epoch(0)) == (None, None, None)
    assert list(state.results()) == []


def test_a_later_segment_may_end_a_job_without_an_attempt() -> None:
    # It failed; then the run was resumed, and what it needs failed.
    state = replay([begin(), JOBS, starting(0), ended(0, status=FAILED), begin(1), ended(0, status=KILLED, attempt=0)])
    assert (state.statuses[0], state.attempts[0]) == (KILLED, 1)
    result = state.result(0)
    assert result is not None
    assert result.attempt == 0


def test_progress_after_the_end_or_of_another_attempt_changes_nothing() -> None:
    assert statuses(starting(0), ended(0), running(0))[0] is PASSED
    assert statuses(starting(0, attempt=2), running(0, attempt=1))[0] is QUEUED


def test_jobs_in_flight_are_named_with_backend_and_attempt() -> None:
    records: list[Record] = [starting(0, 1), running(1), ended(0), starting(2, attempt=3, backend="slurm")]
    state = replay([begin(), JOBS, *records])
    assert list(state.in_flight()) == [
        InFlight(1, "b", 1, "local", replaced=False),
        InFlight(2, "c", 3, "slurm", replaced=False),
    ]


AGAIN = ended(0, status=FAILED, again=True)
"""An attempt at the first job did not pass, and it is tried again."""


def attempts_of(state: RunState) -> list[int]:
    """The attempts that count when the first job is tried again, or was."""
    result = state.result(0)
    return [event.attempt for event in (state.earlier(0) if result is None else result.earlier)]


def test_a_job_that_is_tried_again_waits_and_its_attempt_is_known() -> None:
    state = replay([begin(), JOBS, starting(0), AGAIN])
    assert (state.statuses[0], state.attempts[0], state.result(0)) == (QUEUED, 1, None)
    assert state.is_waiting(0)
    assert [state.is_waiting(number) for number in (1, 2)] == [False, False]
    assert list(state.in_flight()) == []  # nothing of it is alive
    assert [(event.attempt, event.status) for event in state.earlier(0)] == [(1, FAILED)]
    state.apply(running(0))  # of the attempt that has ended
    assert (state.is_waiting(0), state.ignored) == (True, 1)
    state.apply(starting(0, attempt=2))
    assert not state.is_waiting(0)
    assert [job.attempt for job in state.in_flight()] == [2]
    assert attempts_of(state) == [1]


def test_the_directory_of_a_job_that_passed_is_removed_until_it_runs_again() -> None:
    state = replay([begin(), JOBS, starting(0, 1), ended(0), ended(1, status=FAILED), Removed([0])])
    assert [state.is_removed(number) for number in range(3)] == [True, False, False]
    assert state.output(0) == HERE  # what it was
    for record in (Removed([1]), Removed([2]), Removed([3]), Removed([-1])):
        state.apply(record)
    assert state.ignored == 4
    assert [state.is_removed(number) for number in range(3)] == [True, False, False]
    state.apply(begin(1))
    state.apply(Kept([0]))
    assert state.is_removed(0)
    state.apply(starting(0, attempt=2))
    assert not state.is_removed(0)
    state.apply(ended(0, attempt=2))
    assert not state.is_removed(0)
    state.apply(Removed([0]))
    state.apply(End(9.0))
    state.apply(Jobs(["a"], ["other"]))
    assert [state.is_removed(number) for number in (0, 3)] == [True, False]


def test_a_job_that_waited_may_end_as_its_last_attempt_did() -> None:
    state = replay([begin(), JOBS, starting(0), AGAIN, ended(0, status=FAILED)])
    assert (state.statuses[0], state.is_waiting(0), attempts_of(state)) == (FAILED, False, [])


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([starting(0), AGAIN, begin(1)], [1]),
        ([starting(0), AGAIN, begin(1), starting(0, attempt=2), ended(0, attempt=2)], [1]),
        ([starting(0), AGAIN, starting(0, attempt=2), begin(1), starting(0, attempt=3), ended(0, attempt=3)], [1]),
        (
            [starting(0), AGAIN, starting(0, attempt=2), ended(0, status=FAILED, attempt=2, again=True), begin(1)],
            [1, 2],
        ),
        # It failed for good, and a resume ran it again: that says nothing about the job.
        ([starting(0), ended(0, status=FAILED), begin(1), starting(0, attempt=2), ended(0, attempt=2)], []),
        (
            [
                starting(0),
                AGAIN,
                starting(0, attempt=2),
                ended(0, status=FAILED, attempt=2),
                begin(1),
                starting(0, attempt=3),
            ],
            [],
        ),
        # A resume that ended before its next attempt began is in between.
        ([starting(0), AGAIN, begin(1), ended(0, status=KILLED, attempt=0)], [1]),
        ([starting(0), AGAIN, begin(1), ended(0, status=KILLED, attempt=0), begin(2)], [1]),
        (
            [
                starting(0),
                AGAIN,
                begin(1),
                ended(0, status=KILLED, attempt=0),
                begin(2),
                starting(0, attempt=2),
                ended(0, attempt=2),
            ],
            [1],
        ),
    ],
)
def test_attempts_count_in_all_segments_until_the_job_ends(records: list[Record], expected: list[int]) -> None:
    assert attempts_of(replay([begin(), JOBS, *records])) == expected


def test_earlier_attempts_have_the_clock_of_the_result() -> None:
    state = replay([begin(), JOBS, starting(0), AGAIN, begin(1, epoch=5000.0), starting(0, attempt=2)])
    assert [event.ended for event in state.earlier(0)] == [3.0 - 4000.0]
    state.apply(ended(0, attempt=2))
    result = state.result(0)
    assert result is not None
    assert (result.ended, [event.ended for event in result.earlier]) == (3.0, [3.0 - 4000.0])


def test_a_changed_job_replaces_the_old_one_and_continues_its_attempts() -> None:
    state = replay([begin(), JOBS, starting(0, 1), ended(0), begin(1), Jobs(["b", "a"], ["20", "10"])])
    assert state.numbers == {"a": 4, "b": 3, "c": 2}
    assert state.attempts == [1, 1, 0, 1, 1]
    assert state.counts() == {SCHEDULED: 3}
    assert list(state.results()) == []
    # The attempt with the old specification may still be alive.
    assert list(state.in_flight()) == [InFlight(1, "b", 1, "local", replaced=True)]


def test_results_come_in_the_order_of_the_ids() -> None:
    state = replay([begin(), JOBS, starting(0, 1, 2), ended(2), ended(1), ended(0)])
    assert [event.job_id for event in state.results()] == ["a", "b", "c"]
    assert state.counts() == {PASSED: 3}


def test_the_output_of_a_job_that_passed_is_known() -> None:
    state = replay([begin(), JOBS, starting(0, 1, 2), ended(0), ended(1, status=FAILED), ended(2, output=None)])
    assert [state.output(number) for number in range(3)] == [HERE, None, None]


def test_segments_and_how_they_ended() -> None:
    end = End(9.0, "SIGINT")
    state = replay([begin(), JOBS, starting(0), ended(0), begin(1, 5000.0), Kept([0])])
    assert state.segments == [Segment(begin()), Segment(begin(1, 5000.0), kept=1)]
    assert not state.is_complete
    state.apply(end)
    assert state.segments[-1].end == end
    assert state.is_complete


def test_a_result_has_the_clock_of_its_segment() -> None:
    state = replay([begin(), JOBS, starting(0), ended(0), begin(1, 5000.0), starting(1), ended(1)])
    assert [state.epoch(number) for number in range(3)] == [1000.0, 5000.0, None]


@pytest.mark.parametrize("first", [ended(0, attempt=0, status=KILLED), ended(0)])
def test_what_is_no_attempt_that_failed_is_no_earlier_one(first: Record) -> None:
    result = replay([begin(), JOBS, first, starting(0, attempt=2), ended(0, attempt=2)]).result(0)
    assert result is not None
    assert result.earlier == ()


def test_a_result_of_another_run_has_its_name_until_the_job_runs_here() -> None:
    state = replay([begin(), JOBS, Kept([0, 1], "monday", "abc"), Kept([2])])
    assert state.statuses == [SCHEDULED] * 3  # its results come next, or never
    assert state.ignored == 1  # a result that is not here cannot be kept
    state.apply(ended(0, 1))
    assert (state.attempts[0], state.statuses[0]) == (1, PASSED)
    assert state.origins_by_id() == {state.ids[0]: "monday", state.ids[1]: "monday"}
    assert state.revision(0) == "abc"
    state.apply(starting(0, attempt=2))
    assert state.origins == {1: "monday"}
    assert state.revision(0) is None


@pytest.mark.parametrize(
    ("git", "revision"),
    [
        ({"revision": "abc", "clean": True}, "abc"),
        ({"revision": "abc", "clean": False}, None),
        ({"revision": "abc", "clean": None}, None),
        ({"revision": 7, "clean": True}, None),
        ({"clean": True}, None),
        (None, None),
        ("abc", None),
    ],
)
def test_a_result_is_of_the_clean_tree_of_its_segment(git: JSON, revision: str | None) -> None:
    first = attrs.evolve(begin(), details={"git": git})
    state = replay([first, JOBS, starting(0), ended(0), begin(1), starting(1), ended(1), Kept([0])])
    assert [state.revision(number) for number in range(3)] == [revision, None, None]


@pytest.mark.parametrize("record", [starting(3), starting(-1), running(7), ended(-4), ended(3), Kept([3]), Kept([-1])])
def test_what_is_said_of_an_unknown_job_is_counted(record: Record) -> None:
    state = replay([begin(), JOBS, record])
    assert state.statuses == [SCHEDULED] * 3
    assert state.ignored == 1


def look(state: RunState) -> list[object]:
    """Everything that a state tells."""
    numbers = range(len(state.ids))
    return [
        *map(state.result, numbers),
        *map(state.output, numbers),
        *map(state.epoch, numbers),
        *map(state.is_waiting, numbers),
        *map(state.earlier, numbers),
        *map(state.is_removed, numbers),
        *map(state.digest, numbers),
        *state.results(),
        *state.in_flight(),
        state.counts(),
        state.is_complete,
    ]


@given(RECORDS)
def test_no_prefix_of_any_records_is_an_exception(records: list[Record]) -> None:
    for length in range(len(records) + 1):
        state = replay(records[:length])
        look(state)
        assert len(state.ids) == len(state.attempts) == len(state.statuses)
        assert set(state.numbers) == set(state.ids)
        assert sum(state.counts().values()) == len(state.numbers)


@given(RECORDS, st.integers(0, 12))
def test_a_state_is_the_same_however_often_and_in_whichever_parts_it_is_made(records: list[Record], half: int) -> None:
    once = replay(records)
    told = look(once)
    in_parts = replay(records[:half])
    look(in_parts)
    for record in records[half:]:
        in_parts.apply(record)
    assert in_parts == once == replay(records)
    assert look(once) == told == look(in_parts)
