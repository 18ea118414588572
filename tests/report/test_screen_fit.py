"""The share of a screen that each section gets."""

from __future__ import annotations

import random

import pytest

from runtime.report.screen_fit import Section, fit
from runtime.report.summary import Line


def line(text: str) -> Line:
    return ((text, ""),)


def sections(*sizes: int, width: int = 1) -> list[Section]:
    return [
        Section(line(f"title {index}"), [[line(f"{index}.{item}".ljust(width))] for item in range(size)])
        for index, size in enumerate(sizes)
    ]


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def test_what_fits_is_shown_as_a_whole() -> None:
    assert texts(fit(sections(1, 0, 2), None, 80)) == ["title 0", "0.0", "title 1", "title 2", "2.0", "2.1"]
    assert fit(sections(1, 0, 2), 6, 80) == fit(sections(1, 0, 2), None, 80)
    assert fit([], 10, 80) == []


def test_what_does_not_fit_is_counted() -> None:
    assert texts(fit(sections(3), 3, 80)) == ["title 0", "0.0", "  … and 2 more (--all)"]
    assert texts(fit(sections(9, 1), 6, 80)) == ["title 0", "0.0", "0.1", "  … and 7 more (--all)", "title 1", "1.0"]


def test_a_section_that_is_full_leaves_its_share_to_others() -> None:
    assert texts(fit(sections(1, 9), 8, 80))[:3] == ["title 0", "0.0", "title 1"]
    assert texts(fit(sections(1, 9), 8, 80))[-1] == "  … and 5 more (--all)"


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_longer_than_the_screen_that_has_all_titles(seed: int) -> None:
    chance = random.Random(seed)
    given = [
        Section(
            line("t"),
            [
                [line("x" * chance.randrange(200)) for _ in range(chance.randrange(1, 3))]
                for _ in range(chance.randrange(9))
            ],
        )
        for _ in range(chance.randrange(1, 6))
    ]
    rows, width = chance.randrange(20, 60), chance.choice([20, 80, 200])
    lines = texts(fit(given, rows, width))
    counts = [text for text in lines if "more (--all)" in text]
    # A count of a narrow terminal may wrap, too.
    assert sum(max(1, -(-len(text) // width)) for text in lines) <= rows + (len(counts) if width < 25 else 0)
    shown = sum(text.startswith("x") or not text for text in lines)
    assert len(fit(given, None, width)) >= len(lines)
    assert shown <= sum(len(item) for section in given for item in section.items)
