r"""JSON in ASCII that gives back every text exactly, and only numbers that JSON has. Pure.

Python writes a lone surrogate, which stands for a byte of a name that is not UTF-8, as ``\udce9``, and reads it back.
Two in a row, a high and a low one, are the exception: the reader would join them to one character. So the character
U+FDD0, which is reserved for internal use, is put between them; where it is there already, there is one more of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value that JSON has."""

_APART: Final = "\ufdd0"
_HIGH_LOW: Final = re.compile(f"([\ud800-\udbff]{_APART}*)([\udc00-\udfff])")
_HIGH_APART_LOW: Final = re.compile(f"([\ud800-\udbff]{_APART}*){_APART}([\udc00-\udfff])")


def _no_number(text: str) -> NoReturn:
    msg = f"{text} is no number in JSON"
    raise ValueError(msg)


_PLAIN: Final = bytes(code for code in range(ord(" "), 0x7F) if chr(code) not in '"\\\\')
"""The characters that JSON in ASCII does not escape."""

_strict: Final = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":")).encode
_parse: Final = json.JSONDecoder(parse_constant=_no_number).decode


def dumps(value: object) -> str:
    """Return `value` as JSON, in ASCII and in one line. A float that is not finite becomes null.

    Raises:
        TypeError: if JSON does not have such a value.
    """
    if value.__class__ is list and (plain := _plain_texts(value)) is not None:
        return plain
    try:
        text = _strict(value)
    except ValueError:  # NaN or infinity
        text = _strict(_changed(value, _separate))
    # One search of the text is much cheaper than a walk through the value, which is hardly ever needed.
    return _strict(_changed(value, _separate)) if "\\ud" in text else text


def _plain_texts(values: Any) -> str | None:  # `Any`: whatever is in a list
    """Return a list of texts as JSON, in a third of the time; `None` if there are none, or not only plain texts."""
    try:
        text = '","'.join(values)
    except TypeError:
        return None
    if not values or not text.isascii():
        return None
    escaped = text.encode("ascii").translate(None, _PLAIN)
    # If nothing is left but the quotation marks between the texts, no text has a character that is escaped.
    return f'["{text}"]' if len(escaped) == 2 * (len(values) - 1) else None


def loads(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        ValueError: if it is none, or nested deeper than Python can read.
    """
    try:
        value: object = _parse(text)
        return _changed(value, _join) if "\\ufdd0" in text else value
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None


def _separate(text: str) -> str:
    return _HIGH_LOW.sub(rf"\1{_APART}\2", text)


def _join(text: str) -> str:
    return _HIGH_APART_LOW.sub(r"\1\2", text)


def _changed(value: object, change: Callable[[str], str]) -> object:
    """Return `value` with `change` made to each text, and `None` for each float that is not finite."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_changed(key, change): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, change) for item in value]
    return value
