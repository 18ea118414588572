"""Texts that are cut, and show that they are: by an ellipsis where something is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def shorten(text: str, limit: int) -> str:
    """Return `text`, or its beginning and an ellipsis, in at most `limit` characters; `limit` is 1 at least."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shorten_to_end(text: str, limit: int) -> str:
    """Return `text`, or an ellipsis and its end, in at most `limit` characters; `limit` is 2 at least."""
    return text if len(text) <= limit else "…" + text[1 - limit :]


def some_of(texts: Sequence[str], most: int) -> str:
    """Return the first `most` of some texts, and an ellipsis if there are more, with commas between."""
    return ", ".join([*texts[:most], "…"] if len(texts) > most else texts)
