"""Which signals are requests: seconds are numbers here."""

from __future__ import annotations

import signal

import pytest

from runtime.cli.repeats import INTERVAL, KEY_INTERVAL, Repeats

INT, TERM, QUIT = signal.SIGINT, signal.SIGTERM, signal.SIGQUIT


@pytest.mark.parametrize(
    ("number", "by_key", "interval"),
    [(TERM, False, INTERVAL), (TERM, True, INTERVAL), (INT, False, INTERVAL), (INT, True, KEY_INTERVAL)],
)
def test_the_same_signal_counts_again_when_its_interval_is_over(number: int, by_key: bool, interval: float) -> None:
    repeats = Repeats()
    times = [0.0, 0.001, interval * 0.99, interval, interval * 1.5, interval * 2]
    told = [repeats.is_request(number, 100 + at, by_key=by_key) for at in times]
    assert told == [True, False, False, True, False, True]


def test_a_signal_that_is_repeated_for_ever_forces_after_an_interval() -> None:
    repeats = Repeats()
    told = [repeats.is_request(TERM, tick / 8, by_key=False) for tick in range(17)]
    assert [tick for tick, request in enumerate(told) if request] == [0, 8, 16]


def test_another_signal_is_another_request_at_once() -> None:
    repeats = Repeats()
    assert [repeats.is_request(number, 5.0, by_key=False) for number in (TERM, INT, TERM, QUIT)] == [
        True,
        True,
        False,
        True,
    ]
