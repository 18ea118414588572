from __future__ import annotations

from runtime.backend.batch.pace import OPEN_PAUSE, Pace


def test_pauses_are_short_while_there_is_news_and_grow_while_there_is_none() -> None:
    pace = Pace(2)
    pace.answered(0.01, changed=True)
    assert pace.pause == 2
    pauses = []
    for _ in range(12):
        pace.answered(0.01, changed=False)
        pauses.append(pace.pause)
    assert pauses == sorted(pauses)
    assert pauses[0] == 2.5
    assert pauses[-1] == 10
    pace.hurry()
    assert pace.pause == 2


def test_a_slow_controller_is_asked_less() -> None:
    pace = Pace(0.2)
    pace.answered(3, changed=True)
    assert pace.pause == 12
    pace.answered(0.01, changed=True)
    assert pace.pause == 0.2


def test_the_circuit_opens_after_three_failures_and_closes_with_an_answer() -> None:
    pace = Pace(2)
    pauses = []
    for _ in range(5):
        pauses.append(pace.pause)
        assert not pace.is_open or len(pauses) > 3
        pace.failed()
    assert pauses == [2, 4, 8, OPEN_PAUSE, OPEN_PAUSE]
    assert pace.is_open
    pace.answered(0.01, changed=True)
    assert not pace.is_open
    assert pace.pause == 2


def test_a_pause_that_was_asked_for_is_never_shortened_by_failures() -> None:
    pace = Pace(300)
    for _ in range(4):
        pace.failed()
    assert pace.pause == 300
