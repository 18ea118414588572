from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from runtime.job import JobCompletionEvent, JobStatus, JobUsage
from runtime.report.html.ends import ends_of
from runtime.report.html.series import MAX_BARS, MAX_POINTS, MAX_SLOTS, bars, duration_bins, loads
from runtime.report.html.spans import Spans, spans_of


def at(*times: tuple[float, float, float], cpu: float | None = None, peak: int | None = None) -> Spans:
    """The spans of jobs that were submitted, started and ended at these times, and passed."""
    usage = JobUsage(cpu, peak)
    events = [JobCompletionEvent("a", 1, JobStatus.PASSED, None, *each, usage) for each in times]
    jobs = np.arange(len(events))
    return spans_of(ends_of(events, [1000.0] * len(events)), jobs, np.zeros_like(jobs))


def test_what_was_in_use_is_an_average_of_each_part() -> None:
    width = 1.0
    end = MAX_POINTS * width
    parts, last = loads(at((0, 0.5, 2.25), (0, 0, end), cpu=end, peak=1000), 1000.0)
    assert last == end
    assert [part.running for part in parts[:4]] == [1.5, 2, 1.25, 1]
    assert [part.waiting for part in parts[:2]] == [0.5, 0]
    assert parts[-1].cores == 1.0
    assert parts[1].memory == 2000
    assert len(parts) == MAX_POINTS


def test_without_times_that_make_sense_there_is_nothing() -> None:
    assert loads(at(), 0.0) == ([], 0.0)
    assert loads(at((0, 0, 0)), 1000.0) == ([], 0.0)
    assert loads(at((0, float("inf"), 5), (0, 1, float("nan"))), 1000.0) == ([], 0.0)


def test_a_clock_that_jumps_harms_nothing() -> None:
    parts, _ = loads(at((-1e300, -1e300, 1e300), (5, 4, 1)), 1000.0)
    assert len(parts) == MAX_POINTS


def test_whatever_was_used_its_sum_is_a_number() -> None:
    parts, _ = loads(at(*[(0, 0, 1e-6)] * 3, cpu=1e308, peak=10**400), 1000.0)
    assert all(0 < part.cores < math.inf and 0 < part.memory < math.inf for part in parts)


def test_attempts_are_on_the_lowest_free_slot() -> None:
    found, others = bars(at((0, 0, 5), (0, 1, 3), (0, 3, 4), (0, 3.5, 9)), 1000.0)
    assert [(bar.job, bar.slot, bar.start) for bar in found] == [(0, 0, 0), (1, 1, 1), (2, 1, 3), (3, 2, 3.5)]
    assert others == 0


def test_of_too_many_those_that_follow_one_another_are_one_bar() -> None:
    count = 2 * MAX_BARS
    spans = at(*((0, job, job + 1) for job in range(count)))
    spans.outcomes[7] = 1
    found, others = bars(spans, 1000.0)
    assert [(bar.start, bar.end, bar.outcome, bar.attempts) for bar in found] == [
        (0, 7, 0, 7),
        (7, 8, 1, 1),
        (8, count, 0, count - 8),
    ]
    assert others == 0


def test_the_longest_are_drawn_and_the_others_counted() -> None:
    spans = at(*((0, job, job + 1 - job / 10_000) for job in range(MAX_BARS + 3)))
    for job in range(0, MAX_BARS + 3, 2):
        spans.outcomes[job] = 1
    found, others = bars(spans, 1000.0)
    assert ([bar.job for bar in found], others) == ([*range(MAX_BARS)], 3)
    found, others = bars(at(*[(0, 0, 1)] * (MAX_SLOTS + 5)), 1000.0)
    assert (len(found), others) == (MAX_SLOTS, 5)


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e12])
def test_any_duration_is_in_a_bin(length: float) -> None:
    assert sum(each.passed for each in duration_bins(at((0, 0, length)))) == 1


def test_durations_are_in_bins_without_gaps() -> None:
    found = duration_bins(at((0, 0, 1.5), (0, 0, 15)))
    assert [each.passed for each in found] == [1, 0, 0, 1]
    assert all(low.high == pytest.approx(high.low) for low, high in itertools.pairwise(found))
    assert duration_bins(at()) == []
