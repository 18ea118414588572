"""Which signals are requests. The clock is a number."""

from __future__ import annotations

import signal

import pytest

from runtime.cli.repeated_signals import ANY_SIGNAL_INTERVAL, SAME_SIGNAL_INTERVAL, RepeatFilter

INT, TERM, QUIT, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP
USR1, ALRM = signal.SIGUSR1, signal.SIGALRM
ANY, SAME = ANY_SIGNAL_INTERVAL, SAME_SIGNAL_INTERVAL


@pytest.mark.parametrize(
    ("number", "by_key", "interval"),
    [(TERM, False, SAME), (TERM, True, SAME), (INT, False, SAME), (INT, True, ANY)],
)
def test_the_same_signal_counts_again_when_its_interval_is_over(number: int, by_key: bool, interval: float) -> None:
    repeat_filter = RepeatFilter()
    times = [0.0, 0.001, interval * 0.99, interval, interval * 1.5, interval * 2]
    told = [repeat_filter.is_request(number, 100 + at, by_key=by_key) for at in times]
    assert told == [True, False, False, True, False, True]


def test_a_signal_that_is_repeated_for_ever_forces_after_an_interval() -> None:
    repeat_filter = RepeatFilter()
    told = [repeat_filter.is_request(TERM, tick / 8, by_key=False) for tick in range(17)]
    assert [tick for tick, request in enumerate(told) if request] == [0, 8, 16]


def test_another_signal_is_another_request_after_a_moment() -> None:
    repeat_filter = RepeatFilter()
    signals = [(0.0, TERM), (0.001, HUP), (ANY * 0.9, INT), (ANY, QUIT), (ANY * 1.9, USR1), (ANY * 2, ALRM)]
    assert [repeat_filter.is_request(number, 5 + at, by_key=False) for at, number in signals] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_two_signals_that_are_passed_on_later_are_the_request_that_they_were_part_of() -> None:
    # As systemd sends them to all, and a wrapper passes them on.
    repeat_filter = RepeatFilter()
    pair = [(0.0, TERM), (0.001, HUP)]
    signals = [*pair, *((at + 0.5, number) for at, number in pair), *((at + SAME, number) for at, number in pair)]
    told = [repeat_filter.is_request(number, 5 + at, by_key=False) for at, number in signals]
    assert told == [True, False, False, False, True, False]


def test_ctrl_c_pressed_twice_a_second_apart_is_two_requests() -> None:
    for by_key in (True, False):
        repeat_filter = RepeatFilter()
        assert [repeat_filter.is_request(INT, at, by_key=by_key) for at in (7.0, 8.0)] == [True, True]
