"""The share of a screen that each section gets."""

from __future__ import annotations

import random

import pytest

from runtime.report.screen_fit import MOST, Section, fit, screen_lines
from runtime.report.summary import Line


def line(text: str) -> Line:
    return ((text, ""),)


def sections(*sizes: int, height: int = 1) -> list[Section]:
    return [
        Section(
            line(f"title {index}"), [[line(f"{index}.{item}.{row}") for row in range(height)] for item in range(size)]
        )
        for index, size in enumerate(sizes)
    ]


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def test_what_fits_is_shown_as_a_whole() -> None:
    assert texts(fit(sections(1, 0, 2), None, 80)) == ["title 0", "0.0.0", "title 1", "title 2", "2.0.0", "2.1.0"]
    assert fit(sections(1, 0, 2), 6, 80) == fit(sections(1, 0, 2), None, 80)
    assert fit([], 10, 80) == []


def test_what_does_not_fit_is_counted_in_the_title() -> None:
    assert texts(fit(sections(3), 2, 80)) == ["title 0  (2 more: --all)", "0.0.0"]
    assert texts(fit(sections(9, 1), 5, 80)) == ["title 0  (7 more: --all)", "0.0.0", "0.1.0", "title 1", "1.0.0"]


def test_of_an_item_that_does_not_fit_there_is_the_first_line() -> None:
    shown = ["title 0  (more: --all)", "0.0.0", "0.0.1", "0.0.2", "0.1.0"]
    assert texts(fit(sections(2, height=3), 6, 80)) == shown
    assert texts(fit(sections(2, height=3), 5, 80)) == shown
    assert texts(fit(sections(2, height=3), 3, 80, hint="x")) == ["title 0  (more: x)", "0.0.0", "0.1.0"]


def test_a_section_that_is_full_leaves_its_share_to_others() -> None:
    assert texts(fit(sections(1, 9), 7, 80)) == [
        *("title 0", "0.0.0"),
        *("title 1  (5 more: --all)", "1.0.0", "1.1.0", "1.2.0", "1.3.0"),
    ]


def test_without_a_terminal_there_is_no_height_but_a_limit_for_each_section() -> None:
    lines = texts(screen_lines(sections(100, MOST), None))
    assert lines[0] == f"title 0  ({100 - MOST} more: --all)"
    assert len(lines) == 2 * (1 + MOST)
    assert len(screen_lines(sections(100), None, whole=True)) == 101
    assert len(screen_lines(sections(100), (80, 24))) == 23  # and the prompt


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_longer_than_the_screen_that_has_all_titles(seed: int) -> None:
    chance = random.Random(seed)
    given = [
        Section(
            line("語" * chance.randrange(1, 40)),
            [
                [line("x" * chance.randrange(200)) for _ in range(chance.randrange(1, 5))]
                for _ in range(chance.randrange(9))
            ],
        )
        for _ in range(chance.randrange(1, 6))
    ]
    rows, width = chance.randrange(40, 80), chance.choice([20, 80, 200])
    shown = fit(given, rows, width)
    titles = sum(-(-(2 * len(section.title[0][0]) + 20) // width) for section in given)
    needed = sum(max(1, -(-sum(len(text.encode("gbk")) for text, _ in line) // width)) for line in shown)
    assert needed <= max(rows, titles)
    assert len(fit(given, None, width)) >= len(shown)
