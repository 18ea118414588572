"""`Variables`: what ``{var.name}`` and ``{env.NAME}`` in job files stand for. Pure.

A value comes from the command line (``-D name=value``) or from the environment; without that, from a default in a job
file, which may contain other variables. Defaults that nothing needs are not evaluated.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from runtime.jobfile.errors import InputError, suggestion
from runtime.jobfile.place import Place
from runtime.jobfile.template import NAME, substitute, variables_in

MAX_VALUE: Final = 128 << 10
"""Characters of a value. Linux passes no longer text to a program, in an argument or in its environment."""
MAX_CHAIN: Final = 50
"""Defaults that contain each other's variables. Arbitrary: with twenty times as many, Python's recursion would end."""
_MAX_NAMES: Final = 5000
"""Names among which a similar one is searched. Arbitrary: with ten times as many, an error could take a second."""
_MAX_NAME: Final = 100
"""Characters of a name that is compared with others. Arbitrary: `difflib` takes quadratic time."""


@attrs.frozen
class Value:
    """What a variable stands for."""

    text: str
    is_secret: bool
    """Whether it comes from the command line or from the environment, as a whole or in part: no result shows it."""


@attrs.frozen
class _Default:
    text: str
    where: Place
    """The file and the table, for messages."""
    directory: str
    """That of the file."""

    def means(self, other: _Default) -> bool:
        """Whether it has the same value as `other`."""
        return self.text == other.text and (self.directory == other.directory or "{file_dir}" not in self.text)


class Variables:
    """The variables of a run. It remembers which of them were asked for.

    Args:
        definitions: the values of the command line, by name.
        environment: of this process.
    """

    def __init__(
        self, definitions: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._definitions = {f"var.{name}": value for name, value in (definitions or {}).items()}
        self._environment = environment or {}
        self._defaults: dict[str, _Default] = {}
        self._values: dict[str, Value] = {}
        """All that were asked for."""

    def add_defaults(self, defaults: Mapping[str, str], file: Place, directory: str) -> None:
        """Add the defaults of a file.

        Args:
            defaults: by names such as ``var.name`` and ``env.NAME``.
            file: its place, for messages.
            directory: what ``{file_dir}`` in the defaults stands for.

        Raises:
            InputError: if another file has another default for a name.
        """
        for name, text in defaults.items():
            kind, _, rest = name.partition(".")
            default = _Default(text, file.table("vars", *(["env"] if kind == "env" else [])), directory)
            first = self._defaults.setdefault(name, default)
            if not first.means(default):
                raise InputError(f"{default.where.at(rest)}: {rest} has another default than in {first.where}")

    def value(self, name: str, where: Place) -> Value:
        """Return the value of ``var.name`` or ``env.NAME``.

        Args:
            name: of the variable, as it stands in braces.
            where: the file, the table and the key that has it, for messages.

        Raises:
            InputError: if it has no value, or one that is too long, or if its default contains itself.
        """
        return self._value(name, where, ())

    def given(self) -> list[tuple[str, str]]:
        """Return the names and values that came from outside of the job files, of all that were asked for, sorted.

        The names are such as ``var.name`` and ``env.NAME``. The values may be secret.
        """
        found = ((name, self._given(name)) for name in sorted(self._values))
        return [(name, text) for name, text in found if text is not None]

    def names(self) -> set[str]:
        """Return the names of all that have a default, or were asked for."""
        return {*self._defaults, *self._values}

    def texts(self) -> Iterator[tuple[Place, str]]:
        """Yield the place of each default that was asked for, for messages, and its text."""
        for name, default in self._defaults.items():
            if name in self._values and self._given(name) is None:
                yield default.where.key(name.partition(".")[2]), default.text

    def check_definitions(self) -> None:
        """Check that each value of the command line was asked for. To be called when all else has been.

        Raises:
            InputError: for the first one that was not.
        """
        for name in self._definitions:
            if name in self._values:
                continue
            known = [each.removeprefix("var.") for each in self.names() if each.startswith("var.")]
            short = name.removeprefix("var.")
            msg = f"-D {short}: nothing in the job files has {{{name}}}"
            if name in self._defaults:
                raise InputError(f"{msg}, although {self._defaults[name].where} has a default for it")
            hint = suggestion(short, known, what="they have") if known else "; they have no variables"
            raise InputError(f"{msg}{hint}")

    def _given(self, name: str) -> str | None:
        kind, _, rest = name.partition(".")
        if not NAME.fullmatch(rest):  # the environment may have names such as ``a.b``
            return None
        return self._environment.get(rest) if kind == "env" else self._definitions.get(name)

    def _value(self, name: str, where: Place, within: tuple[str, ...]) -> Value:
        """Return the value of `name`, which the defaults of the variables `within` contain, each in the one before."""
        if (known := self._values.get(name)) is not None:
            return known
        if (text := self._given(name)) is not None:
            value = Value(text, is_secret=True)
        elif (default := self._defaults.get(name)) is not None:
            value = self._of_default(name, default, within)
        else:
            raise self._unknown(name, where)
        if len(value.text) > MAX_VALUE:
            raise _too_long(f"{where} has {{{name}}}, whose value", len(value.text))
        self._values[name] = value
        return value

    def _of_default(self, name: str, default: _Default, within: tuple[str, ...]) -> Value:
        place = default.where.key(name.partition(".")[2])
        if name in within:
            chain = " -> ".join(f"{{{each}}}" for each in (*within[within.index(name) :], name))
            raise InputError(f"{place} contains itself: {chain}")
        if len(within) >= MAX_CHAIN:
            raise InputError(f"{place} is the last of more than {MAX_CHAIN} defaults that contain each other")
        if len(default.text) > MAX_VALUE:
            raise _too_long(place, len(default.text))
        used = variables_in(default.text)
        values = {each: self._value(each, place, (*within, name)) for each in dict.fromkeys(used)}
        texts = {"file_dir": default.directory, **{each: value.text for each, value in values.items()}}
        # Before the text is made: ten defaults that each contain the one before ten times are 10^10 characters.
        if (length := sum(len(values[each].text) for each in used)) > MAX_VALUE:
            raise _too_long(place, length)
        text = substitute(default.text, texts)
        return Value(text, is_secret=any(value.is_secret for value in values.values()))

    def _unknown(self, name: str, where: Place) -> InputError:
        kind, _, rest = name.partition(".")
        if not NAME.fullmatch(rest):
            return InputError(f"{where} has {{{name}}}; expected a name of letters, digits and _ behind {kind}.")
        known = {each.partition(".")[2] for each in self.names() if each.startswith(f"{kind}.")}
        known |= {each.removeprefix("var.") for each in self._definitions} if kind == "var" else {*self._environment}
        near = _nearest(rest, known)
        if kind == "var":
            why, expected = "has no value", f"expected -D {rest}=VALUE, or a default under [vars]"
        else:
            why, expected = "is not set in the environment", "expected it there, or a default under [vars.env]"
        hint = f"did you mean {{{kind}.{near}}}?" if near else expected
        return InputError(f"{where} has {{{name}}}, which {why}; {hint}")


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the most similar of the `known` names, whatever the case of their letters; an empty text for none."""
    by_folded = {each.casefold(): each for each in sorted(known)}
    if len(name) > _MAX_NAME or len(by_folded) > _MAX_NAMES:
        return ""
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else ""


def _too_long(what: object, length: int) -> InputError:
    return InputError(f"{what} has {length} characters; expected at most {MAX_VALUE}, as a program gets no more")
