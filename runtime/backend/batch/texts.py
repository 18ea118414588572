"""What the commands of batch systems print, in pieces. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.job.shorten import shorten


def has_any(text: str, phrases: Iterable[str]) -> bool:
    """Whether a text contains one of these phrases, in capitals or not."""
    lowered = text.lower()
    return any(phrase.lower() in lowered for phrase in phrases)


def is_number(text: str) -> bool:
    """Whether a text is a whole number that is not negative."""
    return text.isascii() and text.isdigit()


def join_lines(lines: Iterable[str]) -> str:
    """Return lines as one, without repetitions and empty ones."""
    return shorten("; ".join(dict.fromkeys(line.strip() for line in lines if line.strip())), 500)
