from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.settled import Settled

CHAIN = {"build": [], "sim": ["build"], "cov": ["sim"]}


@pytest.mark.parametrize(
    ("needs", "passes"),
    [
        (CHAIN, [("build", []), ("sim", []), ("cov", ["cov", "sim", "build"])]),
        # One that needs it did not pass: it stays, whatever else does.
        ({"build": [], "a": ["build"], "b": ["build"]}, [("build", []), ("a", ["a"])]),
        ({"build": [], "a": ["build"], "b": ["build"]}, [("build", []), ("b", ["b"]), ("a", ["a", "build"])]),
        # It is needed through others alone.
        (CHAIN, [("build", []), ("sim", [])]),
        ({"a": ["b", "b", "b"], "b": []}, [("b", []), ("a", ["a", "b"])]),
        ({"a": ["not in this run"]}, [("a", ["a"])]),
    ],
)
def test_a_job_is_settled_when_all_that_need_it_are(
    needs: Mapping[str, Sequence[str]], passes: Sequence[tuple[str, Sequence[str]]]
) -> None:
    settled = Settled(needs)
    assert [(job_id, settled.passed(job_id)) for job_id, _ in passes] == list(passes)


def test_a_long_chain_is_settled_without_a_recursion() -> None:
    count = 20_000
    settled = Settled({str(number): [str(number - 1)] if number else [] for number in range(count)})
    found = [settled.passed(str(number)) for number in range(count)]
    assert [len(each) for each in found] == [0] * (count - 1) + [count]


@given(st.randoms(use_true_random=False))
def test_whatever_passes_in_whichever_order(random: Random) -> None:
    names = "abcdefg"
    needs = {name: [need for need in names[:at] if random.random() < 0.4] for at, name in enumerate(names)}
    passing = [name for name in names if random.random() < 0.8]
    random.shuffle(passing)
    settled = Settled(needs)
    found = [name for job_id in passing for name in settled.passed(job_id)]

    def is_settled(name: str) -> bool:
        return name in passing and all(is_settled(other) for other in names if name in needs[other])

    assert sorted(found) == [name for name in names if is_settled(name)]
