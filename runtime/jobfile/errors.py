"""`InputError`: what the person asked for cannot be done. One message, exit code 2, and nothing was started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_SHOWN = 12
"""How many of the possible names a message lists. Arbitrary."""


_BARE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


MAX_MESSAGE: Final = 1200
"""Characters of a message. Arbitrary: fifteen lines of a terminal."""


class InputError(Exception):
    """A job file, an option or a name is wrong. The message says where, what was given, and what was wanted.

    Of a message that is too long, as of somebody else's backend that shows all that it was given, the middle is left
    out: where it is wrong stands at its beginning, and what was expected at its end.
    """

    def __init__(self, message: str) -> None:
        if len(message) > MAX_MESSAGE:
            message = f"{message[: MAX_MESSAGE * 2 // 3]} … {message[-MAX_MESSAGE // 4 :]}"
        super().__init__(message)


def shown(value: object, limit: int = 80) -> str:
    """Return `value` as a job file would write it, cut to about `limit` characters."""
    if isinstance(value, str):
        # Never build the whole of a huge text only to cut it.
        text = '"' + value[:limit].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        return text if len(value) <= limit else text[:-1] + '…"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if hasattr(value, "isoformat"):  # a date or a time, which TOML has
        return str(value)
    if isinstance(value, list) and (len(value) > MAX_SHOWN or any(isinstance(item, list | dict) for item in value)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > limit:
        return f"a number of {value.bit_length()} bits"
    text = f"[{', '.join(shown(item, limit // 4) for item in value)}]" if isinstance(value, list) else repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def bare(name: str) -> str:
    """Return `name` as a key in TOML: bare where that is possible, else quoted."""
    return name if _BARE.fullmatch(name) else shown(name)


def suggestion(name: str, known: Iterable[str], *, what: str = "known") -> str:
    """Return `` (did you mean …?)`` for the nearest of the `known` names, or else the list of them."""
    names = sorted(known)
    # Comparing with very many, or very long, names takes longer than the hint is worth.
    near: Sequence[str] = []
    if len(name) <= 100 and len(names) <= 5000:  # noqa: PLR2004 - arbitrary
        import difflib

        near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {shown(near[0])}?"
    if not names:
        return f"; there is none {what}"
    more = f", and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"; {what}: {', '.join(name if name.isidentifier() else shown(name) for name in names[:MAX_SHOWN])}{more}"
