"""Reads TOML, JSON and JSON lines into plain tables, from files that may contain anything.

Reading always ends: the size, the depth and the length of keys are bounded, and only a regular file is read. What the
tables mean is the task of `runtime.jobfile.schema`.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NoReturn, TypeGuard

from runtime.jobfile.errors import InputError, bare, shown

MAX_TOML_BYTES: Final = 8 << 20
"""Bytes of a TOML file. Python's parser takes about a second for 2 MB; 20,000 jobs fit in 3 MB."""
MAX_JSON_BYTES: Final = 64 << 20
"""Bytes of a JSON file, or of all JSON lines together. Arbitrary: 300,000 jobs of 200 bytes. Ten times as many
could fill the memory."""
MAX_LIST_BYTES: Final = 8 << 20
"""Bytes of a file that lists values. Arbitrary: a million of eight bytes, as many as a run may have jobs."""
MAX_LINE: Final = 1 << 20
"""Bytes of one JSON line. Arbitrary: a command of megabytes belongs in a file; with a tenth, long ones would fail."""
MAX_DEPTH: Final = 32
"""Levels of nesting. Arbitrary: a job file has five, and options of a backend may have more. With ten times as many,
recursive code that shows a value could exceed Python's limit."""
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1
"""The largest seed. TOML requires 64 bits; an integer that is larger than any float breaks arithmetic with timeouts."""

# The memory that tomllib takes grows with the square of the length of a dotted key. So long keys are found before it
# parses. A key can only be at the start of a line or of a table.
# The quantifiers are possessive: without backtracking, the search takes linear time.
_LONG_KEY: Final = re.compile(
    r"""(?m)(?:^|[\[{,])[ \t]*+\[?(?:[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.)"""
    f"{{{MAX_DEPTH}}}"
)
_NO_FILE: Final = "JSON lines on standard input are read by 'run -'"
_TOO_LARGE: Final = "a program can give more jobs as JSON lines, with 'run -'"
_AT_END: Final = " (at end of document)"
BACKSLASH: Final = r"; expected single quotes, which take \ as it is: '\d', or each \ doubled: " + r'"\\d"'
_TOML_POSITION: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read_file(path: Path) -> tuple[str, dict[str, object]]:
    """Return the text and the tables of a job file: JSON if its name ends in ``.json``, else TOML.

    Raises:
        InputError: if it cannot be read, is no regular file, is too large or too deep, or is not TOML or JSON.
    """
    limit = MAX_JSON_BYTES if is_json(path) else MAX_TOML_BYTES
    text = _decode(_read_bytes(path, limit, _NO_FILE, _TOO_LARGE), str(path))
    return text, parse_file(text, path)


def parse_file(text: str, path: Path) -> dict[str, object]:
    """Return the tables of a job file with this text and path: JSON if its name ends in ``.json``, else TOML.

    Raises:
        InputError: if it is too deep, or is not TOML or JSON.
    """
    return (parse_json if is_json(path) else parse_toml)(text, str(path))


def is_json(path: Path) -> bool:
    """Whether a job file of this path is JSON, and not TOML."""
    return path.suffix.lower() == ".json"


def read_list(path: Path) -> list[tuple[int, str]]:
    """Return the numbers and the texts of the lines of a file, without those that are empty or begin with ``#``.

    White space at both ends of a line is removed.

    Raises:
        InputError: if it cannot be read, is no regular file, is too large, or is not UTF-8.
    """
    data = _read_bytes(path, MAX_LIST_BYTES, "expected a file that has a value a line", "expected a value a line")
    # Not `splitlines`, for which a form feed or a character of Unicode ends a line, too.
    lines = ((number, line.strip()) for number, line in enumerate(_decode(data, str(path)).split("\n"), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def read_lines(stream: BinaryIO, where: str) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield the number, the text and the table of each JSON line. Empty lines are skipped.

    Raises:
        InputError: at the first line that is no JSON object, is too long, or exceeds the limit of all lines together.
    """
    total = number = 0
    while line := stream.readline(MAX_LINE + 1):  # a line without an end would fill the memory
        number += 1
        total += len(line)
        place = f"{where}:{number}"
        if len(line) > MAX_LINE:
            raise InputError(
                f"{place}: the line is longer than {MAX_LINE} bytes; expected one JSON object for each job, a line each"
            )
        if total > MAX_JSON_BYTES:
            raise InputError(f"{place}: more than {MAX_JSON_BYTES >> 20} MiB of jobs")
        text = _decode(line, where, first_line=number).strip()
        if text:
            yield number, text, parse_json(text, place)


def parse_toml(text: str, where: str) -> dict[str, object]:
    """Return the tables of TOML text.

    Raises:
        InputError: if it is not TOML; the message starts with file, line and column.
    """
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(f"{where}:{line}: a key has more than {MAX_DEPTH} parts")
    return _parse(functools.partial(tomllib.loads, parse_float=_finite), text, where, "TOML")


def parse_json(text: str, where: str) -> dict[str, object]:
    """Return the tables of JSON text: an object without duplicate keys.

    Raises:
        InputError: if it is not; the message starts with file, line and column.
    """
    return _parse(_JSON.decode, text, where, "JSON")


def _parse(parse: Callable[[str], object], text: str, where: str, language: str) -> dict[str, object]:
    try:
        tables = parse(text)
    except RecursionError as exc:
        raise _too_deep(where) from exc
    except ValueError as exc:  # also such as an integer of more than 4300 digits, and what our own hooks raise
        place, reason = _place_and_reason(exc, text)
        raise InputError(f"{where}{place}: not {language}: {reason}") from exc
    if not isinstance(tables, dict):
        raise InputError(f"{where}: holds {shown(tables)}; expected an object, {{…}}")
    _check_values(tables, where)
    return tables


def _place_and_reason(error: ValueError, text: str) -> tuple[str, str]:
    """Return the place of a parser's error, such as ``:3:7``, and what is wrong there."""
    reason = str(error)
    if isinstance(error, json.JSONDecodeError):
        return f":{error.lineno}:{error.colno}", error.msg
    if reason.endswith(_AT_END):
        return f":{text.count(chr(10)) + 1}", reason.replace(_AT_END, ": the file ends here")
    if place := _TOML_POSITION.search(reason):
        reason = reason[: place.start()]
        hint = BACKSLASH if "\\" in reason and "scape" in reason else ""
        return f":{place[1]}:{place[2]}", f"{reason}{hint}"
    return "", reason


def _too_deep(where: str) -> InputError:
    return InputError(f"{where}: nested too deeply; {MAX_DEPTH} levels are enough for any job file")


def _read_bytes(path: Path, limit: int, no_file: str, too_large: str) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; the texts are what else an error says."""
    try:
        # Without O_NONBLOCK, opening a FIFO would block until a writer opens it. The type is checked by the descriptor,
        # because the path may stand for another file a moment later.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{path}: is no regular file; {no_file}")
            data = file.read(limit + 1)  # not `st_size`: the file may grow meanwhile
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(f"{path}: cannot be read: {reason}") from exc
    if len(data) > limit:
        raise InputError(f"{path}: is larger than {limit >> 20} MiB; {too_large}")
    return data


def _decode(data: bytes, where: str, *, first_line: int = 1) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = first_line + data.count(b"\n", 0, exc.start)
        raise InputError(f"{where}:{line}: not UTF-8: byte 0x{data[exc.start]:02x} at offset {exc.start}") from exc


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):  # `json` keeps the last of two values silently
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {shown(key)} stands twice in one object")
            seen.add(key)
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    """Return the float that `text` stands for. ``inf`` is one; ``1e999``, which would become infinite, is an error."""
    number = float(text)
    if math.isinf(number) and "inf" not in text:
        raise ValueError(f"the number {shown(text)} is too large; expected at most {sys.float_info.max:.1e}")
    return number


# Made once, as `json.loads` makes one for each text.
_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
)

_Container = dict[str, object] | list[object]
"""A table or an array."""


def _check_values(tables: dict[str, object], where: str) -> None:
    """Raise `InputError` if a value of any key is nested too deeply, or is a number that is too large."""
    # Level by level instead of recursively, as the depth is what is checked.
    level: list[_Container] = [tables]
    for _ in range(MAX_DEPTH):
        inner: list[_Container] = []
        for value in level:
            for each in value.values() if isinstance(value, dict) else value:
                if isinstance(each, (dict, list)):
                    inner.append(each)
                elif type(each) is int and _is_too_large(each):
                    keys, number = _first_too_large(tables)
                    expected = f"whole numbers from {MIN_INTEGER} to {MAX_INTEGER}"
                    raise InputError(f"{where}: {keys} is {shown(number)}; expected {expected}")
        level = inner
        if not level:
            return
    raise _too_deep(where)


def _is_too_large(value: object) -> TypeGuard[int]:
    return type(value) is int and not MIN_INTEGER <= value <= MAX_INTEGER


def _first_too_large(tables: dict[str, object]) -> tuple[str, int]:
    """Return the path of keys to the first number that is too large, and the number. There must be one."""
    level: list[tuple[str, _Container]] = [("", tables)]
    while level:
        inner = [each for keys, value in level for each in _items(keys, value)]
        for keys, value in inner:
            if _is_too_large(value):
                return keys, value
        level = [(keys, value) for keys, value in inner if isinstance(value, dict | list)]
    raise AssertionError


def _items(keys: str, value: _Container) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(f"{keys}.{bare(key)}" if keys else bare(key), each) for key, each in value.items()]
    return [(f"{keys}[{number}]", each) for number, each in enumerate(value)]
