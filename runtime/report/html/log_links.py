"""Links to logs, below the run directory and nowhere else. Pure."""

from __future__ import annotations

import os
import posixpath
from typing import Final
from urllib.parse import quote

_ACTIVE: Final = (".htm", ".html", ".mht", ".mhtml", ".pdf", ".shtml", ".svg", ".xht", ".xhtml", ".xml", ".xsl")
"""Endings of files that a browser would not show as text: a job could run a script in one."""


def log_below(log: str | None, run_dir: str) -> str | None:
    """Return the path of a log relative to the run directory; `None` if the page must not link to it.

    That is a log that is outside, or has a name that is not printable or that a browser does not show as text.
    """
    if log is None or not log.isprintable() or "\\" in log or log.lower().endswith(_ACTIVE):
        return None
    prefix = run_dir.rstrip("/") + "/"
    path = posixpath.normpath(log)
    return path.removeprefix(prefix) if path.startswith(prefix) else None


def is_plain(name: str) -> bool:
    """Whether this is the name of a file, or of a directory with such files, that the page may link to."""
    return (
        name.isprintable()
        and "/" not in name
        and "\\" not in name
        and name not in {"", ".", ".."}
        and not name.lower().endswith(_ACTIVE)
    )


def link(base: str | None, path: str | None) -> str | None:
    """Return the URL of a file below the run directory; `None` without one.

    Args:
        base: the run directory's own URL, relative to the page's directory, as `base_of` returns it.
        path: of `log_below`.
    """
    return None if base is None or path is None else base + quote(path)


def base_of(path: str) -> str:
    """Return the URL, with a ``/`` at its end, of a directory that has this path relative to the page's directory.

    It begins with a dot or a slash, so no name in it is taken for a scheme, such as ``javascript:``.
    """
    path = posixpath.normpath(path)
    path = path if path.startswith(("/", "../")) or path in {".", ".."} else f"./{path}"
    return quote(os.fsencode(path)).rstrip("/") + "/"  # the name of a directory may be bytes that are no text
