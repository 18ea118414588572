"""`Texts`: the texts of a column, each different one once, and in at most so many bytes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from runtime.journal.json_text import JSON
from runtime.report.text import printable_start

NONE: Final = 0
"""The index of a job that has no such text."""
LEFT_OUT: Final = 1
"""The index of a text for which there was no room."""

# No printable text has them, so a template is never ambiguous.
_ID, _DIRECTORY, _SEED = "\x01", "\x02", "\x03"
_SEED_OF_ID: Final = re.compile(r"\.seed=([0-9]+)\Z")


class Texts:
    """A table of texts, which begins with those of `NONE` and `LEFT_OUT`.

    Args:
        max_bytes: of all texts together, as JSON.
    """

    def __init__(self, max_bytes: int) -> None:
        self.values: Final[list[JSON]] = [None, None]
        self._indices: Final[dict[object, int]] = {}
        self._left = max_bytes

    def index(self, text: str | None) -> int:
        """Return the index of a text."""
        if not text:
            return NONE
        found = self._indices.get(text)
        return self._add(text, text) if found is None else found

    def index_of_lines(self, lines: Sequence[Sequence[JSON]]) -> int:
        """Return the index of an excerpt: see `excerpts.excerpt`."""
        if not lines:
            return NONE
        key = tuple(map(tuple, lines))
        found = self._indices.get(key)
        return self._add(key, [list(line) for line in lines]) if found is None else found

    def _add(self, key: object, value: JSON) -> int:
        if not self._left:
            return LEFT_OUT
        size = len(json.dumps(value, ensure_ascii=False).encode()) + 1
        if size > self._left:
            self._left = 0  # so that the size of those that follow does not matter
            return LEFT_OUT
        self._left -= size
        self._indices[key] = len(self.values)
        self.values.append(value)
        return len(self.values) - 1


def template(text: str, job_id: str) -> str:
    """Return a text with its job's id, that in the name of a directory, and the seed, replaced by a character each.

    So most jobs of a test have the same text. What the script of the page puts back is exactly what was there.

    Args:
        text: printable.
        job_id: the id, printable.
    """
    if job_id:
        text = text.replace(job_id, _ID).replace(directory_of(job_id), _DIRECTORY)
    seed = _SEED_OF_ID.search(job_id)
    return text.replace(seed[1], _SEED) if seed else text


def directory_of(job_id: str) -> str:
    """Return the name that the directory of most jobs has: another one is not replaced in a `template`."""
    return job_id.replace("=", "@")


def in_directory(name: str) -> str:
    """Return the `template` of a file in the directory of a job."""
    return f"{_DIRECTORY}/{name}"


def one_line(text: str, most: int) -> str:
    """Return a text as printable text of at most `most` characters."""
    return printable_start(text, most)
