"""docs/tutorial.md: its commands print what it says. And each page is found from the first one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.program import ROOT
from tests.docs.tutorial import compared, followed, of_this_checkout


@pytest.mark.slow
def test_each_command_prints_what_the_page_says(tmp_path: Path) -> None:
    now, on_the_page = compared(followed(tmp_path, of_this_checkout(tmp_path)))
    assert now == on_the_page


def test_each_page_is_in_the_table_of_contents() -> None:
    docs = ROOT / "docs"
    listed = re.findall(r"^([\w/-]+)$", (docs / "index.md").read_text("utf-8"), re.MULTILINE)
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    assert sorted(listed) == sorted(pages - {"index"})
