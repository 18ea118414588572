"""`LogClock`: when a silent log is too silent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from runtime.backend.log_clock import LogClock, Look, Stamp


def stamp(size: int) -> Stamp:
    return 1, 2, size, 3


def silence(clock: LogClock, looks: Sequence[tuple[float, Look | None]]) -> list[float | None]:
    return [clock.on_look(look, now, now) for now, look in looks]


def test_growth_begins_the_count_again() -> None:
    clock = LogClock(10, 0, 100)
    looks = [(101.0, Look(stamp(1))), (110.9, Look(stamp(1))), (111.0, Look(stamp(2))), (120.9, Look(stamp(2)))]
    assert silence(clock, looks) == [None] * 4
    assert silence(clock, [(121, Look(stamp(2)))]) == [10]


@pytest.mark.parametrize("other", [(0, 2, 1, 3), (1, 0, 1, 3), (1, 2, 0, 3), (1, 2, 1, 4), None])
def test_any_change_counts_also_a_log_that_is_cut_replaced_or_gone(other: Stamp | None) -> None:
    clock = LogClock(10, 0, 0)
    assert silence(clock, [(1, Look((1, 2, 1, 3))), (9, Look(other)), (18, Look(other)), (19, Look(other))]) == [
        *[None] * 3,
        10,
    ]


def test_a_job_without_a_log_is_silent_from_its_start() -> None:
    assert silence(LogClock(10, 0, 100), [(109, Look(None)), (110, Look(None))]) == [None, 10]


def test_growth_that_may_be_seen_late_is_waited_for() -> None:
    assert silence(LogClock(10, 60, 0), [(69, Look(None)), (70, Look(None))]) == [None, 70]


def test_nothing_is_concluded_from_a_file_system_that_does_not_answer() -> None:
    clock = LogClock(10, 0, 0)
    assert silence(clock, [(11, None), (20, Look(None)), (21, Look(None))]) == [None, None, 10]


def test_an_answer_that_comes_late_begins_the_count_again() -> None:
    clock = LogClock(10, 0, 0)
    assert clock.on_look(Look(None), 11, 400) is None
    assert silence(clock, [(409, Look(None)), (410, Look(None))]) == [None, 10]


def test_a_time_that_goes_back_lets_nothing_be_over() -> None:
    clock = LogClock(10, 0, 1000)
    assert silence(clock, [(20, Look(None)), (29, Look(None)), (30, Look(None))]) == [None, None, 10]


@pytest.mark.parametrize(
    ("limit", "times"),
    [(0.5, [0.5]), (10, [1, 2, 3]), (600, [30, 60, 90]), (36_000, [60, 120, 180])],
)
def test_looks_are_as_rare_as_the_limit_is_long(limit: float, times: list[float]) -> None:
    clock = LogClock(limit, 0, 0)
    for time in times:
        assert not clock.is_due(time - 0.01)
        assert clock.is_due(time)
        clock.on_look(Look(stamp(int(time))), time, time)


def test_the_last_look_comes_when_the_limit_is_over() -> None:
    clock = LogClock(90, 0, 0)
    clock.on_look(Look(None), 88, 88)
    assert not clock.is_due(89.9)
    assert clock.is_due(90)
    assert clock.is_over(90)
    assert not clock.is_over(89.9)
