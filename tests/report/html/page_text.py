"""What a parser of HTML finds in a page, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from runtime.journal import Record, replay
from runtime.report.html.page import page_text
from runtime.report.news import History

RUN_DIR = "/out/20260528-202640-abcdef"


def page_of(records: Sequence[Record], *, path: str | None = "results", history: History | None = None) -> str:
    """Return the page of a run with these records."""
    return "".join(page_text(replay(records, RUN_DIR), path=path, history=history))


class Parsed(HTMLParser):
    """A page, as a parser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        """Tag, name and value."""
        self.texts: list[str] = []
        """Those outside scripts and styles."""
        self.scripts: list[str] = []
        self._in = ""
        self.feed(text)
        self.close()

    @property
    def data(self) -> Mapping[str, Any]:
        """What the script of the page reads."""
        found: Mapping[str, Any] = json.loads(self.scripts[0])
        return found

    @property
    def links(self) -> list[str]:
        """The addresses of all links."""
        return [value for tag, name, value in self.attributes if (tag, name) == ("a", "href")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.texts.append(data)


def write_page(path: Path, text: str) -> Path:
    """Write a page to a file; return its path."""
    path.write_text(text, "utf-8")
    return path
