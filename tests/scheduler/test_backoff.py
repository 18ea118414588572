"""How much a backend is offered, and when it is asked again after it was busy."""

from __future__ import annotations

import math

from runtime.scheduler.backoff import FIRST_DELAY, LONGEST_DELAY, Backoff


def test_no_more_than_a_batch_is_offered_until_it_is_answered() -> None:
    backoff = Backoff(10)
    assert backoff.free(0.0) == 10
    backoff.offer(7)
    assert backoff.free(0.0) == 3
    backoff.withdraw(2)
    assert backoff.free(0.0) == 5
    backoff.answered(5, 0, 0.0)
    assert backoff.free(0.0) == 10
    assert Backoff(None).free(0.0) == math.inf


def test_after_a_refusal_it_is_left_alone_and_then_offered_as_many_as_it_took() -> None:
    backoff = Backoff(100)
    backoff.offer(100)
    backoff.answered(3, 97, 1.0)
    assert backoff.retry_at == 1.0 + FIRST_DELAY
    assert backoff.free(math.nextafter(backoff.retry_at, 0)) == 0
    assert backoff.free(backoff.retry_at) == 3
    windows = []
    for _ in range(6):
        backoff.offer(1)
        backoff.answered(1, 0, 2.0)
        windows.append(backoff.free(2.0))
    assert windows == [6, 12, 24, 48, 96, 100]


def test_the_delay_doubles_up_to_a_limit_and_begins_anew_when_all_are_accepted() -> None:
    backoff = Backoff(None)
    delays = []
    for _ in range(12):
        backoff.offer(1)
        backoff.answered(0, 1, 0.0)
        delays.append(backoff.retry_at)
    assert delays == [min(FIRST_DELAY * 2**power, LONGEST_DELAY) for power in range(12)]
    backoff.offer(1)
    backoff.answered(1, 0, 0.0)
    backoff.offer(1)
    backoff.answered(0, 1, 0.0)
    assert backoff.retry_at == FIRST_DELAY


def test_a_slot_that_is_freed_ends_the_delay() -> None:
    backoff = Backoff(None)
    backoff.offer(2)
    backoff.answered(1, 1, 0.0)
    backoff.slot_freed()
    assert backoff.free(0.0) == 1
