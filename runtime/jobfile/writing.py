"""`job_file_text`: a job file as text, in TOML, of values that a program has. `load` reads the same from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runtime.jobfile.errors import InputError, bare, shown
from runtime.jobfile.values import PLACEHOLDERS
from runtime.report.text import printable

_BRACE: Final = "brace"
"""The variable that stands for a brace which begins no placeholder."""
_LOOKS_LIKE_PLACEHOLDER: Final = re.compile(rf"(?<!\$)\{{(?=(?:{'|'.join(PLACEHOLDERS)})\}}|(?:var|env)\.[\w.-]*\}})")


def looks_like_placeholder(text: str) -> bool:
    """Whether a text has what a job file would take for a placeholder. A shell command may not have it everywhere."""
    return _LOOKS_LIKE_PLACEHOLDER.search(text) is not None


def job_file_text(
    jobs: Mapping[str, Mapping[str, object]],
    *,
    notes: Sequence[str] = (),
    name: str | None = None,
    defaults: Mapping[str, object] | None = None,
    resources: Mapping[str, object] | None = None,
) -> str:
    """Return the text of a job file.

    Args:
        jobs: the keys of each job, by its name. Texts are meant as they are: what looks like a placeholder is none.
        notes: sentences for its reader, as comments at its head.
        name: of the run.
        defaults: keys of all jobs, likewise.
        resources: limits.

    Raises:
        InputError: for text that no TOML file can have.
    """
    tables = [_table("jobs", each, keys) for each, keys in jobs.items()]
    # Names of files and targets are in notes, and TOML takes no control characters, not even in a comment.
    lines = [f"# {printable(line)}".rstrip() for note in notes for line in note.splitlines()]
    lines += [f"name = {_value(name)}"] if name is not None else []
    if any(f"{{var.{_BRACE}}}" in line for table in tables for line in table):
        lines += ["", "[vars]", f'{_BRACE} = "{{"']
    if defaults:
        lines += _table(None, "defaults", defaults)
    if resources:
        lines += _table(None, "resources", resources)
    return "\n".join([*lines, *(line for table in tables for line in table), ""])


def _table(parent: str | None, name: str, keys: Mapping[str, object]) -> list[str]:
    head = f"[{bare(name)}]" if parent is None else f"[{parent}.{_key(name)}]"
    return ["", head, *(f"{_key(key)} = {_value(value)}" for key, value in keys.items())]


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _text(text)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(_LOOKS_LIKE_PLACEHOLDER.sub(f"{{var.{_BRACE}}}", value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    assert isinstance(value, Iterable), value
    return "[" + ", ".join(map(_value, value)) + "]"


def _text(text: str) -> str:
    """Return a text in quotes. TOML has the escapes of JSON, but for DEL, which it does not take as it is."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InputError(f"{shown(text)} is not UTF-8; no job file can have it") from exc
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
