from __future__ import annotations

from runtime.job import FailureKind
from runtime.report.bucket_rules import BucketRules
from runtime.report.groups import groups_of
from runtime.report.news import History
from tests.report.html.page_text import RUN_DIR, Parsed, page_of
from tests.report.results import result
from tests.report.states import DETAILS, records

K = FailureKind


def test_each_failure_is_in_one_group_and_the_largest_comes_first() -> None:
    groups = groups_of(
        [
            result("a", K.EXIT_CODE, "one"),
            result("b", K.EXIT_CODE, "two 1"),
            result("c", K.EXIT_CODE, "two 2"),
            result("d", K.LOST, "gone"),
            result("e", K.EXIT_CODE, "one", known="ticket 7"),
            result("f", K.DEPENDENCY, "a did not pass", attempt=0, cause=K.LICENCE),
            result("g", K.CANCELLED, "stopped", attempt=0),
        ]
    )
    assert [[member.id for member in group.members] for group in groups.numbered()] == [
        ["b", "c"],
        ["a"],
        ["d"],
        ["e"],
        ["f"],
        ["g"],
    ]
    assert [group.message for group in groups.known] == ["ticket 7"]
    assert groups_of([]).numbered() == ()


def test_what_is_new_comes_first_however_large_the_others_are() -> None:
    bad = [result(name, K.EXIT_CODE, "old" if name != "c" else "young") for name in "abc"]
    groups = groups_of(bad, new={"young"}).design
    assert [(group.message, group.is_new) for group in groups] == [("young", True), ("old", False)]
    shown = page_of(records(bad, RUN_DIR), history=History("x", new_messages={"young"}))
    text = " ".join(" ".join(Parsed(shown).texts).split())
    assert text.index("1 × new: young") < text.index("2 × old")


def test_a_named_rule_wins_and_is_shown() -> None:
    bad = [result(name, K.EXIT_CODE, message) for name, message in (("a", "no credit left"), ("b", "credit < 0"))]
    (group,) = groups_of(bad, BucketRules({"credits": ["credit"]})).design
    assert (group.message, group.is_rule, len(group.members)) == ("credits", True, 2)
    written = records(bad, RUN_DIR, details={**DETAILS, "buckets": {"credits": ["credit"]}})
    text = " ".join(" ".join(Parsed(page_of(written)).texts).split())
    assert "2 × credits a rule of the job file" in text
