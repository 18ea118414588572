"""Texts cut to a length, with an ellipsis where something is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def shorten(text: str, limit: int) -> str:
    """Return `text`, or its beginning and an ellipsis, in at most `limit` characters; `limit` is at least 1."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shorten_to_end(text: str, limit: int) -> str:
    """Return `text`, or an ellipsis and its end, in at most `limit` characters; `limit` is at least 2."""
    return text if len(text) <= limit else "…" + text[1 - limit :]


def some_of(texts: Sequence[str], most: int) -> str:
    """Return the first `most` of `texts`, separated by commas, with an ellipsis if there are more."""
    return ", ".join([*texts[:most], "…"] if len(texts) > most else texts)
