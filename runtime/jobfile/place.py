"""`Place`: where something stands in a job file, for messages: the file, the line and the table. Pure.

No parser of the standard library tells where a key stands. So its lines are looked for when a message needs one, in a
text that a parser has taken already.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Container, Mapping
from functools import cached_property
from typing import Final

import attrs

from runtime.jobfile.errors import bare

Keys = tuple[str, ...]

_GAP: Final = re.compile(r"(?:[\s,]|#[^\n]*)*+")
"""What stands between values, and between keys: white space, comments, commas."""
_KEY: Final = re.compile(
    r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')(?:[ \t]*+\.[ \t]*+(?!\n)|(?=[ \t]*+[=\]:\s]))"""
)
"""One part of a key, and the dot behind it."""
_VALUE: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""+|\'\'\'.*?\'\'\'+|"(?:[^"\\]|\\.)*+"|'[^'\n]*+'|[^\[\]{},#\s"'][^\[\]{},#\n]*+''',
    re.DOTALL,
)
"""A value without others in it. What it is does not matter."""


class KeyLines:
    """The lines on which the keys of a job file stand.

    Args:
        text: of the file, which is TOML, or JSON.
        is_json: which of the two.
    """

    def __init__(self, text: str, *, is_json: bool) -> None:
        self._text = text
        self._is_json = is_json

    def of(self, keys: Keys) -> int | None:
        """Return the number of the line of a key, or else of the innermost table around it; `None` for neither."""
        return next((self._lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self._lines), None)

    @cached_property
    def _lines(self) -> Mapping[Keys, int]:
        scan = _Scan(self._text, json.loads if self._is_json else _toml_text)
        return scan.json() if self._is_json else scan.toml()


@attrs.frozen
class Place:
    """Where something stands in a job file. Its text is what a message about it begins with, without the colon.

    The text is made when it is needed: finding the line takes as long as reading the file.
    """

    text: str
    """The file, or the line of standard input."""
    lines: KeyLines | None = attrs.field(default=None, eq=False, repr=False)
    keys: Keys = ()
    """The keys that lead to it from the top of the file."""
    words: Keys = ()
    """What stands between file and message, such as ``[jobs.a]``."""

    def __str__(self) -> str:
        line = self.lines.of(self.keys) if self.lines is not None else None
        return ": ".join([self.text if line is None else f"{self.text}:{line}", *self.words])

    def table(self, *keys: str) -> Place:
        """Return the place of a table of the file, which a message names: ``f.toml:3: [jobs.a]``."""
        return attrs.evolve(self, keys=keys, words=(f"[{'.'.join(map(bare, keys))}]",))

    def at(self, *keys: str) -> Place:
        """Return the place of a key in it, which the message names itself."""
        return attrs.evolve(self, keys=(*self.keys, *keys))

    def key(self, *keys: str) -> Place:
        """Return the place of a key in it, and name that: ``f.toml:4: [jobs.a]: cmd``."""
        return attrs.evolve(self.at(*keys), words=(*self.words, ".".join(map(bare, keys))))

    def inner(self, key: str) -> Place:
        """Return the place of a key inside of the value of a key that is named: ``f.toml:5: [jobs.a]: cmd.x``."""
        *words, last = self.words
        return attrs.evolve(self.at(key), words=(*words, f"{last}.{bare(key)}"))


def first_key(message: str, keys: Container[str]) -> str:
    """Return the first of the `keys` that a message names, which is mostly about that one; an empty text for none."""
    return next((word for word in re.findall(r"\w+", message) if word in keys), "")


def _toml_text(quoted: str) -> str:
    """Return what a quoted key of TOML stands for."""
    return next(iter(tomllib.loads(f"{quoted} = 0")))


class _Scan:
    """Goes through the text of a file, and notes the line of each key; of a key that stands twice, the first.

    It ends at the first thing that it does not know: a line is a help, and no reason for another error.
    """

    def __init__(self, text: str, unquote: Callable[[str], str]) -> None:
        self._text = text
        self._unquote = unquote
        self._place = 0
        self._counted = 0
        self._line = 1
        """The line of the character at `_counted`."""
        self._lines: dict[Keys, int] = {}

    def json(self) -> Mapping[Keys, int]:
        """Return the lines of the keys of a text that is JSON."""
        self._value(())
        return self._lines

    def toml(self) -> Mapping[Keys, int]:
        """Return the lines of the keys of a text that is TOML."""
        table: Keys = ()
        while self._goes_on():
            if self._takes("["):
                self._takes("[")
                found = self._key(())
                if found is None:
                    break
                table = found
                while self._takes("]"):
                    pass
            elif not self._pair(table):
                break
        return self._lines

    def _goes_on(self) -> bool:
        """Skip what is between values; return whether there is more."""
        gap = _GAP.match(self._text, self._place)
        self._place = self._place if gap is None else gap.end()
        return self._place < len(self._text)

    def _takes(self, character: str) -> bool:
        if self._goes_on() and self._text[self._place] == character:
            self._place += 1
            return True
        return False

    def _key(self, table: Keys) -> Keys | None:
        """Read a key with all its parts; return it behind those of its `table`."""
        self._goes_on()
        keys = table
        while found := _KEY.match(self._text, self._place):
            part = found[0].rstrip()
            more = part.endswith(".")
            part = part.removesuffix(".").rstrip() if more else part
            keys = (*keys, self._unquote(part) if part[0] in "\"'" else part)
            self._line += self._text.count("\n", self._counted, self._place)
            self._counted = self._place
            self._lines.setdefault(keys, self._line)
            self._place = found.end()
            if not more:
                return keys
        return None

    def _pair(self, table: Keys) -> bool:
        """Read a key and its value; return whether there were both."""
        keys = self._key(table)
        return keys is not None and (self._takes("=") or self._takes(":")) and self._value(keys)

    def _value(self, keys: Keys) -> bool:
        """Read a value, also one with others in it; return whether there was one. The parser has limited its depth."""
        if self._takes("{"):
            while not self._takes("}"):
                if not self._pair(keys):
                    return False
            return True
        if self._takes("["):
            while not self._takes("]"):
                if not self._value(keys):
                    return False
            return True
        found = _VALUE.match(self._text, self._place)
        self._place = self._place if found is None else found.end()
        return found is not None
