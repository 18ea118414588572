"""The campaigns about the server, in small; and that they notice what they look for."""

from __future__ import annotations

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
    assert viewers.play(7, 1, 40, 3).startswith("1 pairs of 40 jobs, 3 viewers: ")


def test_an_interval_is_that_of_student() -> None:
    mean, half = viewers.interval([0.01, -0.01])
    assert mean == 0
    assert half == pytest.approx(12.706 * 0.01414 / 2**0.5, rel=1e-3)
