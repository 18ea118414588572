"""Text for a terminal: names and paths whose control characters are escaped, and short durations. Pure."""

from __future__ import annotations

from pathlib import Path


def printable(text: str) -> str:
    """Return `text` with every character escaped that a terminal would not show as itself.

    These are control characters (with escape sequences and line ends), marks that change the direction of writing, and
    lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def path_text(path: str | Path, relative_to: Path) -> str:
    """Return a path, relative to the directory `relative_to` if it is below that, as `printable` text."""
    path = Path(path)
    return printable(str(path.relative_to(relative_to) if path.is_relative_to(relative_to) else path))


def short_duration(seconds: float) -> str:
    """Return a duration as ``4.2 s``, ``3:05`` or ``2:00:09``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{max(0, seconds):.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
