"""`Standstill`, with numbers for times."""

from __future__ import annotations

import random

from runtime.process.standstill import Standstill


def test_only_the_common_time_of_both_counts() -> None:
    both = Standstill()
    assert both.add_ours(10, 40) == 0  # the witness ran, so the event loop was held up
    assert both.add_theirs(50, 60) == 0
    assert both.add_ours(55, 70) == 5
    assert both.add_theirs(68, 90) == 2


def test_it_does_not_matter_who_reports_first() -> None:
    for first, second in ((Standstill.add_ours, Standstill.add_theirs), (Standstill.add_theirs, Standstill.add_ours)):
        both = Standstill()
        assert (first(both, 1, 9), second(both, 2, 10)) == (0, 7)


def test_a_long_standstill_of_one_and_several_of_the_other() -> None:
    both = Standstill()
    assert [both.add_theirs(begin, begin + 2) for begin in (0, 10, 20)] == [0, 0, 0]
    assert both.add_ours(1, 21) == 1 + 2 + 1


def test_time_is_counted_once_and_never_more_than_either_side_reports() -> None:
    rng = random.Random(3)
    for _ in range(300):
        both, clock, sides = Standstill(), 0.0, {Standstill.add_ours: set[int](), Standstill.add_theirs: set[int]()}
        returned = 0.0
        reports = []
        for add, seconds in sides.items():
            clock = 0.0
            for _ in range(rng.randrange(6)):
                begin = clock + rng.randrange(1, 5)
                clock = begin + rng.randrange(1, 9)
                seconds |= set(range(int(begin), int(clock)))
                reports.append((clock, rng.random(), add, begin))
        for end, _, add, begin in sorted(reports, key=lambda report: report[:2]):  # each when it is over
            returned += add(both, begin, end)
        ours, theirs = sides.values()
        assert returned == len(ours & theirs)
