"""Placeholders: ``{seed}`` and its like in a command, a path or a pattern.

Only known names are replaced; anything else in braces stays, and so does ``${x}``. What is put into a *shell command*
never becomes shell syntax, whatever it holds: a plain value stands as it is; any other is quoted for the place where it
stands, which is outside of quotes, in double or in single ones. Where that place cannot be told (a here-document, a
command substitution, a comment), such a value is refused: then the command is better written as a list, which no shell
reads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

_PLACE: Final = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# What makes quotes mean something else than they seem to. ``$x`` and ``${x}`` do not.
_TRICKY: Final = re.compile(r"""`|\$[('"\[]|\$\{(?![A-Za-z0-9_]+\})|<<|(?<![^\s;&|()])\#""")


def placeholders(text: str) -> set[str]:
    """Return the names that stand in `text` as placeholders, whoever knows them."""
    return set(_PLACE.findall(text))


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with each placeholder that `values` knows replaced, as it is."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text) if "{" in text else text


def substitute_in_shell(command: str, values: Mapping[str, str]) -> str:
    """Return a shell command with each placeholder that `values` knows replaced, quoted where that is needed.

    Raises:
        ValueError: if a value needs quotes and the command is too involved to say which; the message is for a person.
    """
    if "{" not in command:
        return command
    used = {place[1] for place in _PLACE.finditer(command)} & values.keys()
    risky = {name for name in used if not _PLAIN.fullmatch(values[name])}
    if not risky:
        return substitute(command, values)
    name = min(risky)
    if tricky := _TRICKY.search(command):
        msg = (
            f"{{{name}}} is {values[name]!r} here, which needs quotes, and beside {tricky[0]!r} in a shell command it"
            " is not clear which; write the cmd as a list of words, or give the value without special characters"
        )
        raise ValueError(msg)
    parts: list[str] = []
    end = 0
    quote = ""
    for place in _PLACE.finditer(command):
        if place[1] not in values:
            continue
        quote, escaped = _quote_after(command[end : place.start()], quote)
        value = values[place[1]]
        if not _PLAIN.fullmatch(value):
            if escaped:
                msg = f"a backslash stands before {{{place[1]}}}, which is {value!r} here; leave it out"
                raise ValueError(msg)
            value = _quoted(value, quote)
        parts += (command[end : place.start()], value)
        end = place.end()
    return "".join([*parts, command[end:]])


def _quoted(value: str, quote: str) -> str:
    """Return `value` for a place inside of this `quote`, or outside of quotes."""
    if quote == "'":
        return value.replace("'", "'\\''")
    if quote == '"':
        # In double quotes a backslash escapes these four; ``!`` means something in an interactive shell only.
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return shlex.quote(value)


def _quote_after(text: str, quote: str) -> tuple[str, bool]:
    """Return the quote that is open after `text`, which begins inside of `quote`, and whether a backslash ends it."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return quote, escaped
