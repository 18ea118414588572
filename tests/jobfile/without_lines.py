"""`without_lines`: for tests of messages whose subject is not the line, which tests/jobfile/test_place.py has."""

from __future__ import annotations

import re


def without_lines(message: str) -> str:
    """Return a message without the numbers of lines that it has behind names of job files."""
    return re.sub(r"(\.toml|\.json):[0-9]+(?=: )", r"\1", message)
