"""The order and the times of the steps of a stop, for processes and for jobs in a queue."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.process.stop_sequence import ENDED, KILL, LEFTOVERS, LOST, SOFT, TERM, StopSequence

ALL = [(SOFT, 5.0), (TERM, 2.0)]


def steps_of(sequence: StopSequence, now: float, until: float) -> list[tuple[float, str]]:
    """When each step is due from `now` on, if nothing happens meanwhile."""
    found = []
    while now <= until:
        while (step := sequence.take(now)) is not None:
            found.append((now, step))
        seconds = sequence.seconds_left(now)
        assert seconds > 0
        now += seconds
    return found


@pytest.mark.parametrize(
    ("gentle", "kill_timeout", "expected"),
    [
        (ALL, 60.0, [(100, SOFT), (105, TERM), (107, KILL), (167, LOST)]),
        ([(TERM, 2.0)], 60.0, [(100, TERM), (102, KILL), (162, LOST)]),
        ([(TERM, 2.0)], None, [(100, TERM), (102, KILL)]),
        ([(TERM, 0.0)], 60.0, [(100, TERM), (100, KILL), (160, LOST)]),
        ([(SOFT, None), (TERM, 2.0)], 60.0, [(100, SOFT)]),
        ([(LEFTOVERS, 0.5)], 60.0, [(100, LEFTOVERS), (100.5, KILL), (160.5, LOST)]),
        ([], 60.0, [(100, KILL), (160, LOST)]),
    ],
)
def test_each_step_lasts_its_time(
    gentle: Sequence[tuple[str, float | None]], kill_timeout: float | None, expected: list[tuple[float, str]]
) -> None:
    sequence = StopSequence(1.0)
    assert steps_of(sequence, 50.0, 1000) == []
    sequence.begin(gentle, kill_timeout)
    assert steps_of(sequence, 100.0, 1000) == expected


def test_a_stop_begins_once() -> None:
    sequence = StopSequence(60.0)
    sequence.begin(ALL, 60.0)
    assert sequence.take(0.0) == SOFT
    sequence.begin([], 1.0)
    assert steps_of(sequence, 0.0, 1000) == [(5, TERM), (7, KILL), (67, LOST)]


@pytest.mark.parametrize("before", [[], [SOFT], [SOFT, TERM], [SOFT, TERM, KILL], [SOFT, TERM, KILL, LOST]])
def test_a_stop_can_be_forced_at_any_time(before: list[str]) -> None:
    sequence = StopSequence(60.0)
    now = 0.0
    for step in before:
        sequence.begin(ALL, 60.0)
        assert sequence.take(now) == step
        now += sequence.seconds_left(now)
    now = min(now, 68.0)  # the time after `LOST` has no end
    sequence.force()
    sequence.force()
    assert [step for _, step in steps_of(sequence, now, 1000)] == [each for each in (KILL, LOST) if each not in before]


def test_a_step_of_which_nothing_is_expected_ends_at_once() -> None:
    sequence = StopSequence(60.0)
    sequence.begin(ALL, 60.0)
    assert sequence.take(0.0) == SOFT
    sequence.end_step()
    assert sequence.take(0.1) == TERM
    assert sequence.take(0.1) is None
    sequence.end_step()
    assert sequence.take(0.2) == KILL
    sequence.end_step()  # SIGKILL is no gentle step: it has its time
    assert steps_of(sequence, 0.2, 1000) == [(60.2, LOST)]


def test_a_pause_does_not_count() -> None:
    sequence = StopSequence(60.0)
    sequence.begin(ALL, 60.0)
    assert sequence.take(0.0) == SOFT
    assert sequence.pause(4.0)
    assert not sequence.pause(5.0)
    assert sequence.seconds_left(99.0) == math.inf
    assert sequence.take(99.0) is None
    assert sequence.unpause(100.0)
    assert not sequence.unpause(100.0)
    assert steps_of(sequence, 100.0, 1000) == [(101, TERM), (103, KILL), (163, LOST)]


def test_killing_is_not_paused_and_ends_a_pause() -> None:
    sequence = StopSequence(60.0)
    assert sequence.pause(0.0)
    sequence.force()
    assert sequence.take(1.0) == KILL
    assert not sequence.pause(2.0)
    assert not sequence.unpause(3.0)


def test_time_in_which_nothing_ran_does_not_count() -> None:
    sequence = StopSequence(60.0)
    sequence.begin(ALL, 60.0)
    sequence.postpone(30.0)  # before it had begun
    assert sequence.take(0.0) == SOFT
    sequence.postpone(30.0)
    assert steps_of(sequence, 34.0, 1000) == [(35, TERM), (37, KILL), (97, LOST)]


def test_a_cancel_is_repeated_until_the_job_has_left_the_queue() -> None:
    sequence = StopSequence(25.0, kill_interval=10.0)
    sequence.begin([(SOFT, 5.0)], 25.0)
    assert steps_of(sequence, 0.0, 40) == [(0, SOFT), (5, KILL), (15, KILL), (25, KILL), (30, LOST), (35, KILL)]
    sequence.end()
    assert steps_of(sequence, 45.0, 1000) == []


@given(
    st.lists(
        st.sampled_from(["begin", "force", "end_step", "pause", "unpause", "postpone", "end", "wait"]),
        max_size=30,
    )
)
def test_steps_come_in_order_and_none_after_the_end(calls: list[str]) -> None:
    sequence = StopSequence(60.0)
    order = [SOFT, TERM, KILL, LOST]
    now = 0.0
    taken: list[str] = []
    for call in calls:
        match call:
            case "begin":
                sequence.begin(ALL, 60.0)
            case "pause" | "unpause":
                getattr(sequence, call)(now)
            case "postpone":
                sequence.postpone(1.0)
            case "wait":
                now += 3.0
            case _:
                getattr(sequence, call)()
        while (step := sequence.take(now)) is not None:
            assert sequence.step != ENDED
            taken.append(step)
    assert taken == sorted(set(taken), key=order.index)
    assert "begin" in calls or "force" in calls or not taken
