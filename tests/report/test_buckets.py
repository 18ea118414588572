from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobResult, JobStatusInfo
from runtime.report.bucket_rules import BucketRules
from runtime.report.buckets import bucket_of, buckets, headline, headline_of, shortest_of_each
from runtime.report.normalise import MAX_LENGTH, normalise
from tests.report.results import result

K = FailureKind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("UVM_ERROR @ 87 ns: word 0xdead_beef lost", "UVM_ERROR @ 1234 ns: word 0x00 lost"),
        ("tb.sv:12: expected 8'hff, got 8'h0X", "tb.sv:999: expected 8'h00, got 8'h12"),
        ("cannot write /a/b/c.log: gone", "cannot write /x: gone"),
        ("cannot open ../run-1/seed=7/x.log", "cannot open out/seed=12/x.log"),
        ("commit 3fa9c1b is bad", "commit 00ab12ff is bad"),
        ("took 1.5e-3 s", "took -7 s"),
        ("a  b", "a b"),
        ("UVM_ERROR @ 87 ns: lost", "UVM_ERROR @ 1234: lost"),
        ("gone at 87 ns", "gone at 1.5us"),
        ("tb.dut.ch[3].u_fifo.a_full failed", "chip.sub.tb.dut.ch[12].u_fifo.a_full failed"),
        ("uvm_test_top.env.sb: lost", "uvm_test_top.env.agent[2].sb: lost"),
        ("/a/b/rtl/fifo.sv:7: bad", "../rtl/fifo.sv:12: bad"),
        ("expected ff, got 3a", "expected 10, got xx"),
        ("data=ff", "data=12"),
        ("value '1X0Z'", "value '0101'"),
        ("Vtb: /a/q.cc:3: void pop(): Assertion `x' failed.", "sim: q.cc:41: void pop(): Assertion `x' failed."),
        ("[1, 2, 3] differ", "[4] differ"),
        ("# ** Error: bad", "** Error: bad"),
        ("run.sh: line 3: 812 Segmentation fault", "Segmentation fault"),
        ("make[2]: *** No rule to make target 'a.hex'", "make: *** No rule to make target '/b/a.hex'"),
        ("a.c:3:1: error: 'x' undeclared", "b.c:4:2: error: 'x' undeclared"),
        ("../top.sv(3): module 'ecc' not found", "/x/mac.sv(12): module 'ecc' not found"),
        (f"/{'a' * 400}/x.sv:1: bad", "/b/x.sv:1: bad"),
        ("u_fifo3 is full", "u_fifo12 is full"),
        ("AXI4 of axi_2: lost", "AXI4 of axi_0: lost"),
        ("tb.dut.ch[3].level.value", "tb.sub.dut.ch[1].level.value"),
    ],
)
def test_what_differs_in_numbers_and_paths_only_is_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("exit code 1", "signal 1"),
        ("added", "faded"),
        ("read/write", "deadlock"),
        ("FIFO full", "FIFO empty"),
        ("fifo.sv:7: bad", "arb.sv:7: bad"),
        ("tb.dut.u_a.a_full failed", "tb.dut.u_a.a_empty failed"),
        ("push/pop clash", "pop/push clash"),
        ("token 'bad'", "token 'dead'"),
        ("'x' undeclared", "'y' undeclared"),
        ("a.h: No such file", "b.h: No such file"),
        ("got late", "got lost"),
        ("item was never constructed/allocated.", "item was never released/recycled."),
        ("i2s_top is bad", "i3c_top is bad"),
        ("crc16 is bad", "crc32 is bad"),
        ("AXI4_ERRM_X", "AXI3_ERRM_X"),
        ("dut.fifo.level.value == 3", "dut.fifo.credit.value == 3"),
        ("dut.a.b.value.integer", "dut.a.c.value.integer"),
    ],
)
def test_what_differs_in_words_is_not_the_same(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text(max_size=900) | st.text("0aA./:=-_'[ <n>x(),@s", max_size=900))
def test_normal_is_normal(message: str) -> None:
    assert len(normalise(message)) <= MAX_LENGTH
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
        (2, "ran for longer than its timeout of <n> s; a fail pattern matched: UVM_ERROR @ <time>: mismatch"),
        (1, "ran for longer than its timeout of <n> s"),
    ]


def explained(*lines: str, at: int = 1, first: int = 41, kind: FailureKind = K.EXIT_CODE) -> str:
    """The bucket of a failure with these lines of the log, of which the one at `at` explains it."""
    ranges = (first, first + len(lines) - 1)
    return bucket_of(JobStatusInfo("exit code 1", [first + at, (1, 2), ranges], ["a", "b", *lines], kind)).message


@pytest.mark.parametrize("kind", [K.EXIT_CODE, K.SIGNAL, K.PASS_PATTERN_MISSING])
def test_a_failure_that_the_log_explains_is_in_the_bucket_of_that_line_however_it_ended(kind: FailureKind) -> None:
    assert explained("x", "UVM_ERROR @ 5: lost", "y", kind=kind) == "UVM_ERROR @ <time>: lost"


def test_a_message_of_several_lines_is_whole() -> None:
    assert explained("x", "Error-[SE] Syntax error", '  "a.sv",', "  7: token is 'x'", "", "Error-[Y] z") == (
        "Error-[SE] Syntax error \"a.sv\", <n>: token is 'x'"
    )
    scope = "#    Time: 5 ns  Scope: tb.dut.ch[2].a_full File: /b/a.sv Line: 3"
    assert explained("x", "# ** Error: Assertion error.", scope, "# y") == (
        "** Error: Assertion error. # Time: <time> Scope: <hier>.a_full File: a.sv Line: <n>"
    )
    assert explained("x", 'Error: "a.sv", 3: tb.chk: at time 120 ns', "FIFO 3 overflows", "y") == (
        'Error: "a.sv", <n>: tb.chk: at time <time> FIFO <n> overflows'
    )
    assert explained("  assert dut.q == 1", "AssertionError", "y") == "a b assert dut.q == <n> AssertionError"


def test_a_message_of_cmake_has_its_text() -> None:
    assert explained("x", "CMake Error at a.txt:2 (find_package):", "  Boost is", "  missing.", "", "  -- y") == (
        "CMake Error at a.txt:<n> (find_package): Boost is missing."
    )


def test_counts_of_an_end_report_are_no_part_of_a_message() -> None:
    assert explained("x", "# ** Fatal: (vsim-3601) bad", "# End time: 1:02", "# Errors: 1, Warnings: 0") == (
        "** Fatal: (vsim-<n>) bad"
    )


@pytest.mark.parametrize(
    "values",
    ["AssertionError: assert 3 == 4", "E   AssertionError: assert 3 == 4", "E  assert 'x' == 'y'"],
)
def test_an_assertion_that_has_only_values_has_its_code(values: str) -> None:
    begin = values.partition("assert")[0] + "assert"
    source = ['  File "/a/test.py", line 3, in test_a', "    assert dut.q.value == 1", "    ^^^^^"]
    code = 'File "test.py", line <n>, in test_a assert dut.q.value == <n>'
    assert explained("Traceback (most recent call last):", *source, values, at=4) == normalise(f"{code} {begin}")
    assert explained("def test():", "> assert q == 1", values, at=2) == normalise(f"> assert q == 1 {begin}")
    assert explained("x", values) == normalise(values)


def test_a_crash_is_told_apart_by_the_function() -> None:
    crash, shown = "Segmentation fault (core dumped).", "#0  0x7f in waitpid () from /lib/libc.so"
    assert explained("x", crash, "", "#0 0x5d in step (n=3) at /a.c:4", "#1 0x5e in main ()") == (
        "Segmentation fault (core dumped) in step"
    )
    handled = [shown, "#1  0x1 in ?? ()", "#2  <signal handler called>", "# #3  model::step<int> (n=1)"]
    assert explained("x", crash, *handled) == "Segmentation fault (core dumped) in model::step<int>"
    for without in (handled[:-1], [shown], ["#7  0x5e in main ()"], [f"#{'9' * 9999} main ()"], []):
        assert explained("x", crash, *without) == crash


def test_the_last_line_before_an_end_report_is_in_the_headline() -> None:
    report = ["   V C S   S i m u l a t i o n   R e p o r t ", "Time: 5 ps", "Sun Nov  1 23:33:11 2026"]
    assert headline(result("a", K.EXIT_CODE, "exit code 3", context=["giving up", *report])) == (
        "exit code 3: giving up"
    )
    assert headline(result("a", K.EXIT_CODE, "exit code 3", context=report)) == "exit code 3"


def test_an_exception_of_cpp_has_its_text() -> None:
    assert explained(
        "x", "terminate called after throwing 'std::e'", "  what():  n (which is 3) is bad", "Aborted"
    ) == ("terminate called after throwing 'std::e' what(): n (which is <n>) is bad")


def test_what_the_log_shows_of_the_infrastructure_is_a_bucket_for_itself() -> None:
    reason = JobStatusInfo("licence: none left for 3; exit code 1", [5, (5, 6)], ["none left for 3", "x"], K.LICENCE)
    assert bucket_of(reason).message == "licence: none left for <n>"


def test_without_a_number_the_line_that_explains_is_looked_for_in_the_context() -> None:
    context = ["start", "ERROR: credit 3 lost", "make: *** [sim] Error 1"]
    assert bucket_of(JobStatusInfo("exit code 1", None, context, K.EXIT_CODE)).message == "ERROR: credit <n> lost"
    assert headline(result("a", K.EXIT_CODE, "exit code 1", context=context)) == "exit code 1: ERROR: credit 3 lost"
    assert bucket_of(JobStatusInfo("ran for 5 s; x", None, context, K.TIMEOUT)).message == (
        "ran for <n> s: ERROR: credit <n> lost"
    )


@given(st.lists(st.integers() | st.tuples(st.integers(), st.integers())), st.lists(st.text(max_size=9)))
def test_numbers_that_are_wrong_cost_no_more_than_the_line(
    lines: list[int | tuple[int, int]], context: list[str]
) -> None:
    for kind in (K.EXIT_CODE, K.FAIL_PATTERN, K.LICENCE, None):
        reason = JobStatusInfo("exit code 1", lines, context, kind)
        assert len(bucket_of(reason).message) <= MAX_LENGTH
        headline_of(reason)


def test_what_a_legacy_launcher_says_of_an_exit_code_is_explained_by_its_last_lines() -> None:
    message = "Job returned non-zero exit code"
    context = ["x", "ERROR: credit 3 lost\n", "make: *** [sim] Error 1\n"]
    assert bucket_of(JobStatusInfo(message, None, context)).message == "ERROR: credit <n> lost"
    assert headline_of(JobStatusInfo(message, None, context)) == f"{message}: ERROR: credit 3 lost"
    quoted = JobStatusInfo("own mark 7", [3], ["own mark 7\n", "ERROR: credit lost"])
    assert (bucket_of(quoted).message, headline_of(quoted)) == ("own mark <n>", "own mark 7")
    assert bucket_of(JobStatusInfo("out of luck 3")).message == "out of luck <n>"


def test_rules_come_first_and_name_their_buckets() -> None:
    failed = [result("a", K.FAIL_PATTERN, "ERROR at 1"), result("b", K.FAIL_PATTERN, "ERROR credit 2")]
    found = buckets(failed, BucketRules({"credits": ["credit"]}))
    assert [(each.message, each.rule, each.count) for each in found] == [
        ("ERROR at <n>", None, 1),
        ("credits", "credits", 1),
    ]
    assert shortest_of_each(failed, BucketRules({"all": ["ERROR"]})) == {"a"}
