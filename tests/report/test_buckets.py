from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobResult
from runtime.report.buckets import buckets, headline, normalise, shortest_of_each
from tests.report.results import result

K = FailureKind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("UVM_ERROR @ 87 ns: word 0xdead_beef lost", "UVM_ERROR @ 1234 ns: word 0x00 lost"),
        ("tb.sv:12: expected 8'hff, got 8'h0X", "tb.sv:999: expected 8'h00, got 8'h12"),
        ("cannot open /a/b/c.log: gone", "cannot open /x: gone"),
        ("cannot open ../run-1/seed=7/x.log", "cannot open out/seed=12/x.log"),
        ("commit 3fa9c1b is bad", "commit 00ab12ff is bad"),
        ("took 1.5e-3 s", "took -7 s"),
        ("a  b", "a b"),
    ],
)
def test_what_differs_in_numbers_and_paths_only_is_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("exit code 1", "signal 1"), ("added", "faded"), ("read/write", "deadlock"), ("FIFO full", "FIFO empty")],
)
def test_what_differs_in_words_is_not_the_same(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text(max_size=500))
def test_normal_is_normal(message: str) -> None:
    assert len(normalise(message)) <= 600
    assert normalise(normalise(message)) == normalise(normalise(normalise(message)))


def test_a_headline_is_the_reason_and_where_that_says_little_the_last_line_of_the_log() -> None:
    context = ["first", "the cause ", " "]
    assert headline(result("a", K.EXIT_CODE, "exit code 3", context=context)) == "exit code 3: the cause"
    assert headline(result("a", K.EXIT_CODE, "exit code 3")) == "exit code 3"
    assert headline(
        result("a", K.EXIT_CODE, "exit code 3; a fail pattern matched: E", lines=[3, (5, 9)], context=context)
    ) == ("exit code 3; a fail pattern matched: E")
    assert headline(result("a", K.TIMEOUT, "ran too long")) == "ran too long"
    assert headline(result("a", K.CANCELLED, "killed", context=context)) == "killed"
    assert headline(result("a")) == ""


def test_buckets_are_the_largest_first_each_with_its_first_job() -> None:
    found = buckets(
        [
            result("passed"),
            result("a", K.TIMEOUT, "ran for 3 s"),
            result("b", K.FAIL_PATTERN, "error at 1"),
            result("c", K.FAIL_PATTERN, "error at 2"),
            result("d", K.DEPENDENCY, "needs b"),
            result("e", K.CANCELLED, "killed by SIGINT"),
        ]
    )
    assert [(bucket.message, bucket.count, bucket.example.id) for bucket in found] == [
        ("error at <n>", 2, "b"),
        ("ran for <n> s", 1, "a"),
    ]


def test_the_shortest_of_each_bucket_is_known_by_its_run_time_and_then_by_its_id() -> None:
    failed = [
        result("passed"),
        result("slow", K.FAIL_PATTERN, "error at 1"),
        result("never", K.FAIL_PATTERN, "error at 2", attempt=0),
        result("fast", K.FAIL_PATTERN, "error at 3"),
        result("a", K.TIMEOUT, "ran for 3 s", attempt=0),
        result("also fast", K.FAIL_PATTERN, "error at 4"),
        result("d", K.DEPENDENCY, "needs b"),
    ]
    times = {"slow": 4.4, "fast": 4.0, "also fast": 4.0}
    events = [(each.job, attrs.evolve(each.event, ended=2 + times.get(each.id, 0.0))) for each in failed]
    assert shortest_of_each(JobResult(*each) for each in events) == {"also fast", "a"}
    assert shortest_of_each([]) == set()


def test_hangs_are_as_many_buckets_as_there_are_things_that_they_say() -> None:
    limit = "ran for longer than its timeout of 60 s"
    failed = [f"{limit}; a fail pattern matched: UVM_ERROR @ {time} ns: mismatch" for time in (5, 70)]
    found = buckets(
        [
            *(result(f"f{at}", K.TIMEOUT, text, lines=[2, (1, 9)], context=["x"]) for at, text in enumerate(failed)),
            *(result(f"w{at}", K.TIMEOUT, limit, context=["a", f"waiting for lock {at}"]) for at in range(3)),
            result("silent", K.TIMEOUT, limit),
        ]
    )
    assert [(bucket.count, bucket.message) for bucket in found] == [
        (3, "ran for longer than its timeout of <n> s: waiting for lock <n>"),
        (2, "ran for longer than its timeout of <n> s; a fail pattern matched: UVM_ERROR @ <n> ns: mismatch"),
        (1, "ran for longer than its timeout of <n> s"),
    ]
