"""`Matrices`: the values of the parameters of job tables, also those that stand in a file or are the names of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import Final

from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.place import Place
from runtime.jobfile.read import read_list
from runtime.jobfile.template import substitute, variables_in
from runtime.jobfile.values import Listing, Scalar
from runtime.jobfile.variables import Variables

MAX_FOUND: Final = 1_000_000
"""Files that a glob may match. Arbitrary: as many as a run may have jobs."""


class Matrices:
    """Reads each list once, whatever the number of tables that have it.

    Args:
        variables: of the run, which may stand in the names of files.
        recorded: what `lists` was in an earlier run: then nothing is read. `None` to read.
    """

    def __init__(self, variables: Variables, recorded: Mapping[str, str] | None = None) -> None:
        self._variables = variables
        self._recorded = recorded
        self.lists: dict[str, str] = {}
        """What was listed, by a key that says where: the values, separated by NUL, which is in none of them."""

    def values(
        self, matrix: Mapping[str, tuple[Scalar, ...] | Listing], directory: Path, where: Place
    ) -> dict[str, tuple[Scalar, ...]]:
        """Return the values of each parameter.

        Args:
            matrix: of a job table.
            directory: that of the job file; names of files are relative to it.
            where: the file and the table, for messages.

        Raises:
            InputError: if a file cannot be read, has no value or has one twice, or a glob is wrong or matches nothing.
        """
        return {
            name: self._listed(each, directory, where.key("matrix", name, each.kind))
            if isinstance(each, Listing)
            else each
            for name, each in matrix.items()
        }

    def _listed(self, listing: Listing, directory: Path, where: Place) -> tuple[str, ...]:
        used = {name: self._variables.value(name, where).text for name in variables_in(listing.text)}
        text = substitute(listing.text, {"file_dir": str(directory), **used})
        key = "\0".join((listing.kind, listing.value, str(directory), text))
        if key not in self.lists:
            self.lists[key] = "\0".join(self._read(listing, text, directory, where, key))
        return tuple(self.lists[key].split("\0"))

    def _read(self, listing: Listing, text: str, directory: Path, where: Place, key: str) -> Sequence[str]:
        if self._recorded is None:
            return (_in_file if listing.kind == "file" else _found)(listing, text, directory, where)
        if key not in self._recorded:
            raise InputError(f"{where}: what {shown(text)} listed was not recorded")
        return self._recorded[key].split("\0")


def _in_file(_: Listing, name: str, directory: Path, where: Place) -> tuple[str, ...]:
    """Return the values in the file `name`, a line each."""
    if not name:
        raise InputError(f"{where} is empty; expected the name of a file, relative to the job file")
    path = directory / name
    try:
        lines = read_list(path)
    except InputError as exc:
        raise InputError(f"{where}: {exc}") from exc
    first: dict[str, int] = {}
    for number, value in lines:
        if "\0" in value:  # no program can get it
            raise InputError(f"{where}: {path}:{number}: has a NUL character; expected text")
        if first.setdefault(value, number) != number:
            raise InputError(f"{where}: {path}:{number}: {shown(value)} stands twice; first in line {first[value]}")
    if not first:
        raise InputError(f"{where}: {path}: has no values; expected one a line")
    return tuple(first)


def _found(listing: Listing, pattern: str, directory: Path, where: Place) -> tuple[str, ...]:
    """Return what the files are called that `pattern` matches, sorted by their paths."""
    expected = "expected a path relative to the job file, which may have * and ?"
    parts = PurePath(pattern)
    if not parts.parts or parts == PurePath(parts.anchor):
        raise InputError(f"{where} is {shown(pattern)}; {expected}")
    base = Path(parts.anchor) if parts.anchor else directory
    # Not `str(parts)`: it has lost the slash at the end, with which only directories match.
    relative = pattern.lstrip("/") if parts.anchor else pattern
    try:
        matches = list(islice(base.glob(relative), MAX_FOUND + 1))
    except (OSError, ValueError, NotImplementedError, IndexError, RecursionError) as exc:
        raise InputError(f"{where} is {shown(pattern)}: {exc}; {expected}") from exc
    if len(matches) > MAX_FOUND:
        raise InputError(f"{where} is {shown(pattern)}: it matches more than {MAX_FOUND} files")
    named = sorted(matches) if parts.anchor else [path.relative_to(base) for path in sorted(matches)]
    if not any(_is_hidden(part) for part in parts.parts):  # as in a shell, where `*` matches no `.gitignore`
        named = [path for path in named if not any(map(_is_hidden, path.parts))]
    if not named:
        raise InputError(f"{where} is {shown(pattern)}, which matches no file in {base}")
    return _distinct(listing, named, where)


def _distinct(listing: Listing, paths: Iterable[Path], where: Place) -> tuple[str, ...]:
    """Return the part of each path that is a value."""
    first: dict[str, Path] = {}
    for path in paths:
        value = {"path": str(path), "name": path.name, "stem": path.stem}[listing.value]
        if (other := first.setdefault(value, path)) is not path:
            both = f"{shown(str(other))} and {shown(str(path))}"
            raise InputError(f'{where}: {both} have one {listing.value}, {shown(value)}; expected value = "path"')
    return tuple(first)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."
