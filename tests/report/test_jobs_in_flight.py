"""Slow jobs and reasons to wait are known without looking at all jobs."""

from __future__ import annotations

from runtime.report.expectations import SLOW_FACTOR
from runtime.report.jobs_in_flight import MAX_COUNTED_REASONS, OTHER_REASONS, RunningJobs, WaitingJobs, reasons_to_wait

USUAL = {"a": 60.0, "b": 60.0, "c": 0.1}


def test_a_job_that_runs_much_longer_than_usual_comes_first_and_says_so() -> None:
    running = RunningJobs(USUAL)
    for job_id, at in (("old", 0.0), ("a", 0.0), ("b", 50.0), ("c", 100.0)):
        running.begin(job_id, at, "pid 7" if job_id == "a" else "")
    assert running.elapsed(100.0) == 250.0
    assert [row[0] for row in running.rows(60 * SLOW_FACTOR - 1, 9)] == ["c", "old", "a", "b"]  # 5 s are too long for c
    rows = running.rows(60 * SLOW_FACTOR, 9)
    assert rows[:2] == [("c", 80.0, "slow: 0.1 s usually"), ("a", 180.0, "slow: 1:00 usually; pid 7")]
    assert ([row[0] for row in rows[2:]], running.slow) == (["old", "b"], 2)
    assert (running.stop("a"), running.stop("a")) == (0.0, None)
    running.begin("a", 200.0, "")  # again: its first time is no concern
    assert [row[0] for row in running.rows(231.0, 9)] == ["c", "b", "old", "a"]
    assert [row[0] for row in running.rows(231.0, 1)] == ["c"]


def test_what_is_known_later_counts_for_those_that_run() -> None:
    usual: dict[str, float] = {}
    running = RunningJobs(usual)
    running.begin("a", 0.0, "")
    assert running.rows(1000.0, 9) == [("a", 1000.0, "")]
    usual |= USUAL
    running.watch_all()
    assert running.rows(1000.0, 9) == [("a", 1000.0, "slow: 1:00 usually")]


def test_a_job_that_has_ended_is_not_slow_however_many_there_were() -> None:
    running = RunningJobs({str(number): 60.0 for number in range(5001)})
    for number in range(5000):
        running.begin(str(number), float(number), "")
        running.stop(str(number))
    running.begin("5000", 5000.0, "")
    assert [row[0] for row in running.rows(1e6, 9)] == ["5000"]
    assert running.slow == 1


def test_reasons_are_counted_the_most_first() -> None:
    waiting = WaitingJobs()
    for number in range(5):
        waiting.wait(str(number), 1.0, "Priority")
    for number in range(3, 6):
        waiting.wait(str(number), 2.0, "Resources")
    waiting.pop("5")
    waiting.pop("nobody")
    assert reasons_to_wait(7, 9, waiting, ["licence"], 2) == [
        ("for what they need", 7),
        ("for a slot or licence", 4),
        ("Priority", 3),
        ("Resources", 2),
    ]
    assert reasons_to_wait(0, 5, waiting, [], 1) == [("Priority", 3)]
    assert waiting.rows(10.0, 9)[3] == ("3", 9.0, "Resources")


def test_reasons_that_are_all_different_are_not_counted_apart() -> None:
    waiting = WaitingJobs()
    for number in range(MAX_COUNTED_REASONS + 50):
        waiting.wait(str(number), 0.0, f"reason {number}")
    assert waiting.reasons(2)[0] == (OTHER_REASONS, 50)
    for number in range(MAX_COUNTED_REASONS + 50):
        waiting.pop(str(number))
    assert waiting.reasons(2) == []
