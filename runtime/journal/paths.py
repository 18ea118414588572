"""Paths in a journal: relative to a directory where they are below it, so that a run can be opened elsewhere. Pure.

A text that begins with ``/`` is an absolute path; one that begins with ``./`` is, without these two characters, a path
that was not absolute, as a launcher may give it; ``.`` is the directory itself; any other text is below the directory.
"""

from __future__ import annotations

from typing import Final

_HERE: Final = "."
_AS_GIVEN: Final = "./"


def relative(path: str, directory: str) -> str:
    """Return the text for `path` in a journal; `absolute` returns `path` of it. Both are compared as text."""
    size = len(directory)
    if path.startswith(directory) and size:
        if len(path) == size:
            return _HERE
        slash = size - 1 if directory[-1] == "/" else size
        below = path[slash + 1 :]
        if path[slash] == "/" and below[:1] != "/" and below[:2] != _AS_GIVEN and below != _HERE:
            return below  # anything else would be read as something else
    return path if path.startswith("/") else _AS_GIVEN + path


def absolute(text: str, directory: str) -> str:
    """Return the path that `relative` made `text` of, if `directory` is the same; else the path in that directory."""
    if text == _HERE:
        return directory
    if text.startswith("/"):
        return text
    return text[len(_AS_GIVEN) :] if text.startswith(_AS_GIVEN) else _prefix(directory) + text


def _prefix(directory: str) -> str:
    return directory if directory.endswith("/") else f"{directory}/"
