"""The campaigns about the server, in small; and that they notice what they look for."""

from __future__ import annotations

import math

import pytest

from tests.campaigns import serve, viewers

pytestmark = pytest.mark.slow


def test_hostile_requests_show_nothing_and_end_nothing() -> None:
    assert serve.run(7, 60).startswith("60 attacks, ")


@pytest.mark.parametrize("answer", [serve.SECRET, "Traceback", "HTTP/1.1 500 Internal Server Error", "nonsense"])
def test_a_bad_answer_is_noticed(answer: str) -> None:
    with pytest.raises(AssertionError):
        serve.check(f"HTTP/1.1 200 OK\r\n\r\n{answer}".encode() if answer != "nonsense" else b"nonsense", 1)


def test_a_run_that_is_looked_at_is_measured() -> None:
    assert viewers.play(7, 1, 400, 3, 0.02)


def test_windows_are_compared_by_the_jobs_that_ended_in_them() -> None:
    first, second, empty = (viewers.Window(begin, begin + 10, 4.0) for begin in (100, 110, 900))
    ends = [101.0, 102.0, 103.0, 104.0, 110.0, 111.0]
    assert viewers.shares_of([(first, second), (second, first), (first, empty)], ends) == pytest.approx(
        [math.log(2), -math.log(2)]
    )


def test_more_cpu_time_is_noticed_and_so_is_too_much_noise() -> None:
    quiet = [0.01, -0.01] * 10
    assert viewers.judge(quiet) == "20 pairs of windows, 50 viewers: +0.00 % ± 0.86 % CPU time"
    for shares in ([0.02 + each for each in quiet], [0.2, -0.2] * 10):
        with pytest.raises(AssertionError):
            viewers.judge(shares)
    assert "± inf" in viewers.judge([0.5])


def test_windows_in_which_something_else_took_the_machine_do_not_count() -> None:
    assert viewers.interval([0.01, -0.01] * 8 + [9.0, -9.0]) == viewers.interval([0.01, -0.01] * 8 + [0.01, -0.01])


def test_an_interval_is_that_of_student() -> None:
    mean, half = viewers.interval([0.01, -0.01])
    assert mean == 0
    assert half == pytest.approx(12.706 * 0.01414 / 2**0.5, rel=1e-3)
