"""docs/summary.md: its pictures are what is printed."""

from __future__ import annotations

from tests.docs.summary_pictures import PAGE, SCREENS, page_with_pictures, pictures


def test_the_pictures_are_what_is_printed() -> None:
    page = PAGE.read_text("utf-8")
    assert page_with_pictures(page) == page, "run: python -m tests.docs.summary_pictures"
    assert [len(text.splitlines()) < rows for text, (_, rows) in zip(pictures().values(), SCREENS, strict=True)] == [
        True,
        True,
    ]
