"""docs/tutorial.md: its commands print what it says. And each page is found from the first one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.program import ROOT
from tests.docs.morning import comparable
from tests.docs.tutorial import followed, on_the_page


def said(text: str) -> str:
    """Return what an output says on each day: jobs end in any order, any of a bucket may be the shortest, and a wait
    that takes no time is not told.
    """
    lines = [line for line in sorted(comparable(text).splitlines()) if not re.match(r"waited | AMOUNT (for|to) ", line)]
    return re.sub(r"seed[ =@]\d+|@ \d+ ns", "SEED", "\n".join(lines))


@pytest.mark.slow
def test_each_command_prints_what_the_page_says(tmp_path: Path) -> None:
    printed = followed(tmp_path)
    for (command, expected), text in zip(on_the_page(), printed, strict=True):
        assert (command, said(text)) == (command, said(expected))


def test_each_page_is_in_the_table_of_contents() -> None:
    docs = ROOT / "docs"
    listed = re.findall(r"^([\w/-]+)$", (docs / "index.md").read_text("utf-8"), re.MULTILINE)
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    assert sorted(listed) == sorted(pages - {"index"})
