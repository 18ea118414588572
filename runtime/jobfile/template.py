"""Replaces placeholders, such as ``{seed}`` or ``{var.name}``, in a command, a path or a pattern.

Only known names are replaced; anything else in braces stays, and so does ``${x}``. A value that was inserted is not
searched again: braces in it stay. A value in a *shell command* never
becomes shell syntax: a value of plain characters is inserted as it is; any other is quoted for its position, which is
outside of quotes, in double quotes or in single quotes. Where the position is ambiguous (a here-document, a command
substitution, a comment), such a value is refused; the user can write the command as a list, which no shell reads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Mapping
from typing import Final

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of a variable."""

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{((?:(?:var|env)\.)?[A-Za-z_][A-Za-z0-9_]*)\}")
# More than names, so that ``{var.a-b}`` is an error, and not silently left.
_VARIABLE: Final = re.compile(r"(?<!\$)\{((?:var|env)\.[\w.-]*)\}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# Syntax in which quotes have another meaning: a command substitution, ``$'…'``, arithmetic, a here-document, a comment.
# ``$x`` and ``${x}`` are harmless; for ``${x:-y}`` see `_Quoting`.
_AMBIGUOUS: Final = re.compile(r"""`|\$[('"\[]|<<|(?<![^\s;&|()])\#""")


def placeholders(text: str) -> set[str]:
    """Return the names of all placeholders in `text`, known or not, without those of variables."""
    return {name for name in _PLACEHOLDER.findall(text) if "." not in name}


def variables_in(text: str) -> list[str]:
    """Return what stands for a variable in `text`, such as ``var.name`` or ``env.PATH``, each as often as it does.

    The part behind the dot may also be no `NAME`.
    """
    return _VARIABLE.findall(text) if "{" in text else []


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with each placeholder in `values` replaced, without quoting."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text) if "{" in text else text


def substitute_in_shell(command: str, values: Mapping[str, str]) -> str:
    """Return a shell command with each placeholder in `values` replaced, quoted where the value needs it.

    Raises:
        ValueError: if a value needs quotes at an ambiguous position; the message is for the user.
    """
    if "{" not in command:
        return command
    used = {found[1] for found in _PLACEHOLDER.finditer(command)} & values.keys()
    risky = {name for name in used if not _PLAIN.fullmatch(values[name])}
    if not risky:
        return substitute(command, values)
    if ambiguous := _AMBIGUOUS.search(command):
        raise _unclear(min(risky), values, f"next to {ambiguous[0]!r}")
    parts: list[str] = []
    end = 0
    quoting = _Quoting()
    for found in _PLACEHOLDER.finditer(command):
        if found[1] not in values:
            continue
        quoting.read(command[end : found.start()])
        value = values[found[1]]
        if not _PLAIN.fullmatch(value):
            if quoting.expansions or quoting.is_unclear:
                raise _unclear(found[1], values, "inside of '${'" if quoting.expansions else 'after quotes in "${')
            if quoting.escaped:
                msg = f"a backslash stands before {{{found[1]}}}, which is {_shown(found[1], values)} here"
                raise ValueError(f"{msg}; leave it out")
            value = _quoted(value, quoting.quote)
        parts += (command[end : found.start()], value)
        end = found.end()
    return "".join([*parts, command[end:]])


class Template:
    """A text with placeholders, read once for many jobs.

    Args:
        text: the text.
        fixed: the values that are the same for all jobs, by name.
        names: the placeholders whose values differ.
    """

    def __init__(self, text: str, fixed: Mapping[str, str], names: Container[str]) -> None:
        self.used: list[str] = []
        """Those of `names` that stand in the text, each once."""
        self.fixed: list[str] = []
        """Those with fixed values."""
        parts: list[str] = []
        # Text, a name, text, a name, and so on. They become a format for `%`: no way to fill in a text is faster.
        for number, part in enumerate(_PLACEHOLDER.split(text) if "{" in text else [text]):
            if number % 2 and part in names:
                self.used += [] if part in self.used else [part]
                parts.append(f"%({part})s")
                continue
            literal = part
            if number % 2:
                self.fixed += [part] if part in fixed else []
                literal = fixed.get(part, f"{{{part}}}")
            parts.append(literal.replace("%", "%%"))
        self._format = "".join(parts)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with the values of a job, which must have all that are `used`, without quoting."""
        return self._format % values


class ShellTemplate:
    """A shell command with placeholders, read once for many jobs. Arguments as for `Template`."""

    def __init__(self, command: str, fixed: Mapping[str, str], names: Container[str]) -> None:
        self._command = command
        self._fixed = fixed
        self._template = Template(command, fixed, names)
        self._is_plain = all(_PLAIN.fullmatch(fixed[name]) for name in self._template.fixed)
        self.used: list[str] = self._template.used
        """Those of the names that stand in the command."""

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the command with the values of a job, quoted as by `substitute_in_shell`; raises as that."""
        is_plain = self._is_plain
        for name in self.used:
            is_plain = is_plain and _PLAIN.fullmatch(values[name]) is not None
        if is_plain:
            return self._template.fill(values)
        return substitute_in_shell(self._command, {**self._fixed, **values})


def _quoted(value: str, quote: str) -> str:
    """Return `value` quoted for a position inside of `quote`, or outside of quotes if that is empty."""
    if quote == "'":
        return value.replace("'", "'\\''")
    if quote == '"':
        # In double quotes a backslash escapes these four; ``!`` means something in an interactive shell only.
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return shlex.quote(value)


def _unclear(name: str, values: Mapping[str, str], where: str) -> ValueError:
    msg = (
        f"{{{name}}} is {_shown(name, values)} here, which needs quotes, and {where} in a shell command it"
        " is not clear which; write the cmd as a list of words, or give the value without special characters"
    )
    return ValueError(msg)


def _shown(name: str, values: Mapping[str, str]) -> str:
    """Return the value of a placeholder for a message. That of a variable may be secret, and is not shown."""
    return "text that is not shown" if "." in name else repr(values[name])


class _Quoting:
    """Reads a shell command, and tracks which quotes are open, and which expansions such as ``${x:-y}``.

    The word in an expansion can have quotes of its own. If the expansion is in double quotes, their meaning depends on
    the operator and on the shell; so after such a quote the state is unclear.
    """

    def __init__(self) -> None:
        self.quote = ""
        """The quote that is open in the innermost expansion; empty for none."""
        self.expansions: list[str] = []
        """For each open expansion, from the outermost, the quote that it is in."""
        self.escaped = False
        """Whether the last character is a backslash that escapes the next one."""
        self.is_unclear = False
        """Whether quotes in an expansion in double quotes were read."""
        self._dollar = False
        """Whether the last character is a dollar sign."""

    def read(self, text: str) -> None:
        """Read the next part of the command."""
        for char in text:
            dollar, self._dollar = self._dollar, False
            if self.escaped:
                self.escaped = False
            elif self.quote == "'":
                self.quote = "" if char == "'" else "'"
            elif char == "\\":
                self.escaped = True
            elif char == "$":
                self._dollar = not dollar  # the second one of ``$$`` starts no expansion
            elif char == "{" and dollar:
                self.expansions.append(self.quote)
                self.quote = ""
            elif char == "}" and self.expansions and not self.quote:
                self.quote = self.expansions.pop()
            elif char in "'\"":
                self.is_unclear = self.is_unclear or '"' in self.expansions
                self.quote = "" if char == self.quote else self.quote or char
