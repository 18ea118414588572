r"""Compiles and checks patterns: regular expressions in ASCII, each compiled alone, and applied to one line at a time.

Syntax and meaning are those of Python's `re` for bytes, whichever engine searches: ``\s`` matches the vertical tab,
``$`` and ``\Z`` both match the end of the line, and ``(?i)`` affects the letters A to Z only. Two constructs that `re`
accepts are refused, because engines differ, or because the author surely means something else:

* ``(?L)``: what it matches depends on the machine's locale;
* ``[[:alpha:]]`` and the like: letters for grep and RE2, but for `re` one of six characters, followed by a ``]``.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from runtime.errors import SpecError

_SET: Final = re.compile(r"\\.|\[\^?\]?((?:\\.|[^\]\\])*)\]", re.DOTALL)
_POSIX_CLASS: Final = re.compile(r"(?<!\\)\[:\^?[a-z]+:$")


def compile_pattern(text: str, *, groups: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    r"""Return the compiled pattern `text`, for the lines of a log.

    Args:
        text: a regular expression in Python's syntax, ASCII only; write other bytes as ``\xNN``.
        groups: names of groups that it must have.

    Raises:
        SpecError: if it is not text, not ASCII or not a regular expression, lacks a group, or has a construct that is
            refused (see the module).
    """
    if not isinstance(text, str):
        raise SpecError(f"a pattern is text, not {text!r}")
    return _compile(text, groups)


# The jobs of a run share few patterns, and each specification checks its own. (The cache of `re` holds only 512.)
@functools.lru_cache(maxsize=4096)
def _compile(text: str, groups: tuple[str, ...]) -> re.Pattern[bytes]:
    for found in _SET.finditer(text):
        if found[1] and (posix := _POSIX_CLASS.search(found[1])):
            msg = (
                f"pattern {text!r} has {posix[0]}] at position {found.start(1) + posix.start()}, which is no class of "
            )
            msg += "Python's; write a-z, 0-9, \\s or the like"
            raise SpecError(msg)
    try:
        compiled = re.compile(text.encode("ascii"))
    except UnicodeEncodeError as exc:
        msg = f"pattern {text!r} has {text[exc.start]!r} at position {exc.start}; patterns are ASCII"
        raise SpecError(msg) from exc
    # `re` also fails in other ways: by depth, by a repetition beyond 32 bits, by a warning where these are errors.
    except (re.error, RecursionError, OverflowError, ValueError, FutureWarning) as exc:
        raise SpecError(f"pattern {text!r} is not a regular expression: {exc}") from exc
    # The flags of the whole pattern do not show ``(?L:x)``, which applies to a part of it.
    if compiled.flags & re.LOCALE or "(?L" in text:
        raise SpecError(f"pattern {text!r} has the flag L; what it matches would depend on the machine's locale")
    missing = [name for name in groups if name not in compiled.groupindex]
    if missing:
        raise SpecError(f"pattern {text!r} has no group {', '.join(missing)}; write (?P<{missing[0]}>…)")
    return compiled
