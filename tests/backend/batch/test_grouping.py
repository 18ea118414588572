from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from runtime.backend.batch.grouping import chunks, group, ranges


def test_groups_and_their_members_keep_their_order() -> None:
    assert group(["b1", "a1", "b2", "c1", "a2"], lambda job: job[0]) == {
        "b": ["b1", "b2"],
        "a": ["a1", "a2"],
        "c": ["c1"],
    }


def test_chunks_are_full_but_for_the_last() -> None:
    assert [len(some) for some in chunks(range(2000), 1001)] == [1001, 999]
    assert list(chunks([], 3)) == []


@given(st.lists(st.integers(0, 50)))
def test_ranges_say_the_same_in_as_few_words_as_can_be(indices: list[int]) -> None:
    found = list(ranges(indices))
    assert [index for first, last in found for index in range(first, last + 1)] == sorted(set(indices))
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(found))
