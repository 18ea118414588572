r"""Strict JSON: what every parser takes, also of names that are no UTF-8, and of numbers that JSON does not have.

Python writes a byte of a name that is no UTF-8 as a lone surrogate (``\udce9``), which is no character, so strict
parsers refuse the whole file. Here the byte 0xE9 is the character U+EFE9, of those that Unicode leaves to private use:
it is one character, tells the byte to whoever reads it, and can be undone. A name that has one of U+EF80 to U+EFFF
itself has each byte of that written so; so nothing is ambiguous, and `original` returns what it was.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

_ODD: Final = re.compile("[\ud800-\udfff\uef80-\uefff]")
_WRITTEN: Final = re.compile("[\uef80-\uefff]")
_MAY_BE_ODD: Final = re.compile(r"\\u(?:d|ef)")
_BASE: Final = 0xEF00


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as strict JSON, in ASCII. What is no finite number is null."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        pass
    else:
        if _MAY_BE_ODD.search(text) is None:  # the usual case: nothing has to be looked at
            return text
    return json.dumps(_strict(value), indent=indent)


def _strict(value: Any) -> Any:
    if isinstance(value, str):
        return _ODD.sub(_write, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_strict(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def _write(found: re.Match[str]) -> str:
    char = found[0]
    escaped = "\udc80" <= char <= "\udcff"
    raw = char.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")
    return "".join(chr(_BASE + byte) for byte in raw)


def original(text: str) -> bytes:
    """Return the bytes of a text that strict JSON had, such as a path: how it was before `dumps`."""
    return b"".join(
        bytes([ord(char) - _BASE]) if _WRITTEN.match(char) else char.encode("utf-8", "surrogatepass") for char in text
    )
