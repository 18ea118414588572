"""Reads and writes the file of recorded figures, and finds the commit that changed it last."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from benchmarks.instructions.changes import Recorded
from benchmarks.model import BenchmarkError

FILE: Final = "benchmarks/instructions/recorded.toml"
"""The path in a checkout."""

_HEAD: Final = """\
# Instructions per job (of a log: per megabyte), counted with the versions below. `make instructions` compares with
# them, and `make instructions ARGS="--record 'the reason'"` writes this file. See docs/performance.md.
"""


@attrs.frozen
class Record:
    """The content of the file."""

    counted_with: Mapping[str, str]
    """The versions on which counts depend, besides this project, by name."""
    figures: Mapping[str, Recorded]


def read(path: Path) -> Record:
    """Return the content of the file; an empty record if there is no file.

    Raises:
        BenchmarkError: if it has another form than `write` writes.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        counted_with = {str(name): str(version) for name, version in tables["counted_with"].items()}
        figures = {name: _recorded(table) for name, table in tables["figures"].items()}
    except FileNotFoundError:
        return Record({}, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        msg = f"{path}: {exc!r}; expected the tables counted_with and figures, as --record writes them"
        raise BenchmarkError(msg) from exc
    return Record(counted_with, figures)


def _recorded(table: Mapping[str, object]) -> Recorded:
    instructions, reason = table["instructions"], table["reason"]
    if not isinstance(instructions, int) or instructions <= 0 or not isinstance(reason, str) or not reason.strip():
        msg = f"figure is {table}; expected a positive number of instructions, and a reason"
        raise ValueError(msg)
    return Recorded(instructions, reason)


def write(path: Path, record: Record) -> None:
    """Write the file, with a line for each figure."""
    lines = [_HEAD, "[counted_with]", *(f"{name} = {_text(text)}" for name, text in record.counted_with.items())]
    lines += ["", "[figures]"]
    for name, figure in record.figures.items():
        lines.append(f"{name} = {{ instructions = {figure.instructions}, reason = {_text(figure.reason)} }}")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a valid TOML string


def base_commit(tree: Path) -> str:
    """Return the commit that changed the file last. The figures were recorded for its code.

    Raises:
        BenchmarkError: if there is none, or the history does not show it.
    """
    if _git(tree, "status", "--porcelain", "--", FILE):
        msg = f"{FILE} has changes that are not committed, so no commit belongs to its figures: commit it"
        raise BenchmarkError(msg)
    if _git(tree, "rev-parse", "--is-shallow-repository") != "false":
        msg = f"the history is shallow, so the commit that changed {FILE} last is not known: git fetch --unshallow"
        raise BenchmarkError(msg)
    commit = _git(tree, "log", "-1", "--format=%H", "--", FILE)
    if not commit:
        msg = f"no commit has {FILE}: commit it"
        raise BenchmarkError(msg)
    return commit


def export(tree: Path, commit: str, directory: Path) -> None:
    """Write the files of `commit` that a count needs into `directory`.

    Raises:
        BenchmarkError: if git fails.
    """
    archive = directory / "base.tar"
    _git(tree, "archive", f"--output={archive}", commit, "runtime", "benchmarks")
    try:
        subprocess.run(["tar", "-xf", str(archive), "-C", str(directory)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = f"the files of {commit} cannot be unpacked: {getattr(exc, 'stderr', None) or exc}"
        raise BenchmarkError(msg) from exc


def _git(tree: Path, *arguments: str) -> str:
    try:
        command = ["git", "-C", str(tree), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = f"git {arguments[0]} fails: {(getattr(exc, 'stderr', None) or str(exc)).strip()}"
        raise BenchmarkError(msg) from exc
