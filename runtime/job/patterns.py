"""The one place that says what a pattern is: ASCII bytes, compiled alone, applied to one line at a time."""

from __future__ import annotations

import functools
import re

from runtime.errors import SpecError


def compile_pattern(text: str, *, groups: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    r"""Compile `text`, by itself, for the lines of a log.

    Args:
        text: a regular expression in Python's syntax, ASCII only; write other bytes as ``\xNN``.
        groups: names of groups that it must have.

    Raises:
        SpecError: if it is not text, not ASCII, not a regular expression, or lacks a group.
    """
    if not isinstance(text, str):
        msg = f"a pattern is text, not {text!r}"
        raise SpecError(msg)
    return _compile(text, groups)


@functools.lru_cache(maxsize=4096)
def _compile(text: str, groups: tuple[str, ...]) -> re.Pattern[bytes]:
    try:
        compiled = re.compile(text.encode("ascii"))
    except UnicodeEncodeError as exc:
        msg = f"pattern {text!r} has {text[exc.start]!r} at position {exc.start}; patterns are ASCII"
        raise SpecError(msg) from exc
    except (re.error, RecursionError, OverflowError, ValueError) as exc:
        msg = f"pattern {text!r} is not a regular expression: {exc}"
        raise SpecError(msg) from exc
    missing = [name for name in groups if name not in compiled.groupindex]
    if missing:
        msg = f"pattern {text!r} has no group {', '.join(missing)}; write (?P<{missing[0]}>…)"
        raise SpecError(msg)
    return compiled
