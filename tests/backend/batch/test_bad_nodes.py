"""`BadNodes`: a node is excluded for its own failures, and for nobody else's."""

from __future__ import annotations

import random

import pytest

from runtime.backend.batch.bad_nodes import WINDOW, BadNodes

SIM, SMI, LOG = ("sim", "/a"), ("smi", "/a"), "its log cannot be created"


def with_good(*nodes: str) -> BadNodes:
    bad = BadNodes()
    for node in nodes:
        bad.note_begun(node, SIM)
    return bad


@pytest.mark.parametrize("what", [None, SIM])
def test_the_second_failure_in_ten_minutes_excludes_a_node(what: object) -> None:
    bad = with_good("n1", "n2")
    assert not bad.note_failure("n1", 0, what, LOG)
    assert not bad.note_failure("n1", WINDOW + 1, what, LOG), "the first is long ago"
    assert not bad.note_failure("n2", WINDOW + 1)
    assert bad.note_failure("n1", 2 * WINDOW, what, LOG)
    assert bad.excluded == ("n1",)
    assert not bad.note_failure("n1", 2 * WINDOW, what, LOG), "that is known"


def test_a_job_that_has_begun_there_clears_a_node() -> None:
    bad = with_good("n2")
    assert not bad.note_failure("n1", 0)
    bad.note_begun("n1", SIM)
    assert not bad.note_failure("n1", 1)
    assert bad.note_failure("n1", 2)


def test_a_program_that_has_begun_nowhere_else_costs_no_node() -> None:
    bad = with_good("n2", "n3")
    for at in range(20):
        assert not bad.note_failure("n1", at, SMI, "there is no such program")
    assert not bad.note_failure("n1", 20, SIM, LOG)
    assert bad.note_failure("n1", 21, SIM, LOG), "this one has begun on others"


def test_what_fails_in_the_same_way_elsewhere_costs_no_node() -> None:
    bad = with_good("n1", "n2", "n3")
    for at in range(20):
        assert not bad.note_failure(f"n{at % 2}", at, SIM, "its directory does not exist")
    assert not bad.note_failure("n1", 20, SIM, LOG)
    assert bad.note_failure("n1", 21, SIM, LOG)


def test_the_last_node_that_works_is_never_excluded() -> None:
    bad = BadNodes()
    for at in range(5):
        assert not bad.note_failure("n1", at), "nothing has begun anywhere"
    bad.note_begun("n2", SIM)
    assert bad.note_failure("n1", 5)
    for at in range(6, 10):
        assert not bad.note_failure("n2", at), "it is the only one that works"


@pytest.mark.parametrize("name", ["", "n[1-2]", "n1,n2", "n1 n2", "-x", "a/b", "n1\n", "ñ", "n" * 300, "None assigned"])
def test_what_is_no_single_name_is_ignored(name: str) -> None:
    bad = with_good("good", name)
    for at in range(5):
        assert not bad.note_failure(name, at)
    assert bad.excluded == ()


def test_whatever_happens_a_node_that_works_is_left_and_little_is_remembered() -> None:
    draw = random.Random(7)
    for _ in range(50):
        bad, nodes = BadNodes(), [f"n{number}" for number in range(draw.randint(1, 5))]
        begun = set()
        for at in range(3000 if draw.random() < 0.02 else 100):
            node = draw.choice(nodes)
            if draw.random() < 0.3:
                bad.note_begun(node, draw.choice("ab"))
                begun.add(node)
            else:
                bad.note_failure(node, at, draw.choice([None, "a", "b"]))
            assert len(set(bad.excluded)) == len(bad.excluded)
            assert not begun or begun - set(bad.excluded)
            assert len(bad._failures) <= 1000
