from __future__ import annotations

from runtime.job import JobStatusInfo
from runtime.report.excerpts import MAX_LINE, ExcerptLine, around_failure, excerpt


def test_lines_have_their_numbers_and_the_failing_one_is_marked() -> None:
    reason = JobStatusInfo("bad", [7, (6, 7), (20, 20)], ["a", "b", "c"])
    assert excerpt(reason) == (ExcerptLine(6, "a", 0), ExcerptLine(7, "b", 1), ExcerptLine(20, "c", 0))
    lines = excerpt(JobStatusInfo("bad", [20, 7, (6, 7), (20, 20)], ["a", "b", "c"]))
    assert [line.failing for line in lines] == [0, 0, 1]


def test_numbers_that_do_not_fit_are_none() -> None:
    for lines in ([(1, 10**12)], [(5, 4)], [3], None):
        assert excerpt(JobStatusInfo("bad", lines, ["a", "b"])) == (
            ExcerptLine(None, "a", 0),
            ExcerptLine(None, "b", 0),
        )


def test_a_line_is_printable_keeps_its_tabs_and_has_a_limit() -> None:
    lines = excerpt(JobStatusInfo("bad", None, ["a\tb\x1b[2J\u202e", "x" * 1000]))
    assert lines[0].text == "a\tb\\x1b[2J\\u202e"
    assert len(lines[1].text) == MAX_LINE


def test_without_context_there_is_nothing() -> None:
    assert excerpt(None) == excerpt(JobStatusInfo("bad")) == ()


def test_of_many_lines_those_around_the_failure_are_shown_or_the_last() -> None:
    lines = [ExcerptLine(number, "", int(number == 4)) for number in range(10)]
    assert [line.number for line in around_failure(lines, 5)] == [2, 3, 4, 5, 6]
    plain = [line._replace(failing=0) for line in lines]
    assert [line.number for line in around_failure(plain, 3)] == [7, 8, 9]
    assert around_failure(plain, 20) == plain
