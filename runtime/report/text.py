"""Text for a terminal: names and paths whose control characters are escaped, its width, and short durations. Pure."""

from __future__ import annotations

import shlex
import unicodedata
from pathlib import Path


def printable(text: str) -> str:
    """Return `text` with every character escaped that a terminal would not show as itself.

    These are control characters (with escape sequences and line ends), marks that change the direction of writing, and
    lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_start(text: str, most: int) -> str:
    """Return `text` as `printable` text, or its beginning and an ellipsis, in at most `most` characters.

    It looks at no more of it: a job can have written a journal whose messages are megabytes.
    """
    from runtime.job.shorten import shorten  # here, as its package imports `attrs`, which ``--help`` does not need

    return shorten(printable(shorten(text, most)), most)


def path_text(path: str | Path, relative_to: Path) -> str:
    """Return a path, relative to the directory `relative_to` if it is below that, as `printable` text."""
    path = Path(path)
    return printable(str(path.relative_to(relative_to) if path.is_relative_to(relative_to) else path))


def printable_line(text: str) -> str:
    """Return a line of a log, without its end, as `printable` text that keeps its tabs."""
    return text if text.isprintable() else "\t".join(map(printable, text.split("\t")))


def columns_of(text: str) -> int:
    """Return how many columns of a terminal printable text takes: two for a wide character, as of Chinese."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "FW") for char in text)


def cut(text: str, columns: int) -> str:
    """Return printable text, or its beginning and an ellipsis, in at most `columns` columns; nothing in none."""
    if columns_of(text) <= columns:
        return text
    text = text[: max(0, columns - 1)]
    while text and columns_of(text) > columns - 1:
        text = text[:-1]
    return f"{text}…" if columns > 0 else ""


def shell_word(text: str) -> str:
    """Return printable text that bash and zsh read as the word `text`."""
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_shell_escape, text))}'"


def _shell_escape(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":  # a byte of a name that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return f"\\U{ord(char):08x}"


def quantity(count: int, noun: str) -> str:
    """Return a count of things as ``1 job`` or ``3 jobs``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def short_size(size: int) -> str:
    """Return a number of bytes as ``512 B``, ``4.2 MB`` or ``130 GB``."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:  # noqa: PLR2004 - the next unit
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004 - 3 digits


def short_age(seconds: float) -> str:
    """Return an age as ``5 min``, ``3 h`` or ``12 d``."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def rough_duration(seconds: float) -> str:
    """Return a duration that is not known exactly as ``40 s``, ``12 min`` or ``2.5 h``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - 90 minutes
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def short_duration(seconds: float) -> str:
    """Return a duration as ``4.2 s``, ``3:05`` or ``2:00:09``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{max(0, seconds):.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
