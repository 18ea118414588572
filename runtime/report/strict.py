r"""Strict JSON, which every parser accepts, also for names that are not UTF-8 and for numbers that JSON does not have.

Python writes a byte of a name that is not UTF-8 as a lone surrogate (``\udce9``), which is no character, so strict
parsers reject the whole file. Here the byte 0xE9 is written as the character U+EFE9, from a range of Unicode that is
for private use: it is one character, shows the byte, and can be reversed. A character from U+EF80 to U+EFFF that is in
a name is itself written byte by byte in this way. So no text is ambiguous, and `original` returns the bytes.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

_TO_ESCAPE: Final = re.compile("[\ud800-\udfff\uef80-\uefff]")
_ESCAPED: Final = re.compile("[\uef80-\uefff]")
_MAY_NEED_ESCAPES: Final = re.compile(r"\\u(?:d|ef)")
"""Matches the JSON of every text that `_TO_ESCAPE` matches, and some others (such as emoji)."""
_BASE: Final = 0xEF00
_LINE: Final = json.JSONEncoder(allow_nan=False)
"""Made once, as `json.dumps` makes one for each value."""


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return `value` as strict JSON, in ASCII. A float that is not finite becomes null."""
    try:
        text = _LINE.encode(value) if indent is None else json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:  # NaN or infinity
        pass
    else:
        # One search of the text is much cheaper than a walk through the value, which is hardly ever needed.
        if _MAY_NEED_ESCAPES.search(text) is None:
            return text
    return json.dumps(_strict(value), indent=indent)


def _strict(value: object) -> object:
    if isinstance(value, str):
        return _TO_ESCAPE.sub(_escape, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_strict(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    is_byte = "\udc80" <= char <= "\udcff"  # as `os.fsdecode` makes of a byte that is not UTF-8 (PEP 383)
    raw = char.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(chr(_BASE + byte) for byte in raw)


def original(text: str) -> bytes:
    """Return the bytes of a text, such as a path, that was read from the JSON of `dumps`."""
    return b"".join(
        bytes([ord(char) - _BASE]) if _ESCAPED.match(char) else char.encode("utf-8", "surrogatepass") for char in text
    )
