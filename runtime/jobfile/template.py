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
# What makes quotes mean something else than they seem to. ``$x`` and ``${x}`` do not; for ``${x:-y}`` see `_Quoting`.
_TRICKY: Final = re.compile(r"""`|\$[('"\[]|<<|(?<![^\s;&|()])\#""")


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
    if tricky := _TRICKY.search(command):
        raise _unclear(min(risky), values, f"beside {tricky[0]!r}")
    parts: list[str] = []
    end = 0
    quoting = _Quoting()
    for place in _PLACE.finditer(command):
        if place[1] not in values:
            continue
        quoting.read(command[end : place.start()])
        value = values[place[1]]
        if not _PLAIN.fullmatch(value):
            if quoting.expansions or quoting.is_unclear:
                raise _unclear(place[1], values, "inside of '${'" if quoting.expansions else 'after quotes in "${')
            if quoting.escaped:
                msg = f"a backslash stands before {{{place[1]}}}, which is {value!r} here; leave it out"
                raise ValueError(msg)
            value = _quoted(value, quoting.quote)
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


def _unclear(name: str, values: Mapping[str, str], where: str) -> ValueError:
    msg = (
        f"{{{name}}} is {values[name]!r} here, which needs quotes, and {where} in a shell command it"
        " is not clear which; write the cmd as a list of words, or give the value without special characters"
    )
    return ValueError(msg)


class _Quoting:
    """Reads a shell command, and knows which quotes are open, and which expansions such as ``${x:-y}``.

    The word of an expansion has quotes of its own, as it would have outside. Within double quotes that depends on the
    operator, and on the shell; so from a quote there on nothing is clear any more.
    """

    def __init__(self) -> None:
        self.quote = ""
        """The quote that is open: that of the innermost expansion, if there are some."""
        self.expansions: list[str] = []
        """For each that is open, the quote that it stands in."""
        self.escaped = False
        """Whether a backslash stands last."""
        self.is_unclear = False
        self._dollar = False
        """Whether a dollar sign stands last."""

    def read(self, text: str) -> None:
        """Read on."""
        for char in text:
            dollar, self._dollar = self._dollar, False
            if self.escaped:
                self.escaped = False
            elif self.quote == "'":
                self.quote = "" if char == "'" else "'"
            elif char == "\\":
                self.escaped = True
            elif char == "$":
                self._dollar = not dollar  # of two the second is the process id's
            elif char == "{" and dollar:
                self.expansions.append(self.quote)
                self.quote = ""
            elif char == "}" and self.expansions and not self.quote:
                self.quote = self.expansions.pop()
            elif char in "'\"":
                self.is_unclear = self.is_unclear or '"' in self.expansions
                self.quote = "" if char == self.quote else self.quote or char
