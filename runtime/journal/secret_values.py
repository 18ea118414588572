"""`SecretValues`: what a run was given and its journal must not tell: values of variables, and texts that contain them.

They are in a file of their own, ``journal.secrets``, which only its owner can read, and which stays behind when a run
is packed for others. The journal has a digest of each value, made with a key that is in this file: so it can be seen
whether a value is another one today, but not, by trying likely ones, what it was.

The file has a line of JSON for each segment of the journal.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from typing import Final

import attrs

from runtime.journal.json_text import JSON, dumps, loads
from runtime.roots import RootedPath

SECRETS_NAME: Final = "journal.secrets"
"""The name of the file in its run directory."""

_MODE: Final = 0o600
_DIGITS: Final = 16
"""Hexadecimal digits of a digest: two values have the same one once in 10^19 pairs."""
_MAX_BYTES: Final = 1 << 28
"""Bytes that are read. Arbitrary: four times the largest job file; with ten times more, a job that writes into the file
could fill the memory."""


def _key() -> str:
    return secrets.token_hex(16)


@attrs.frozen(kw_only=True)
class SecretValues:
    """The secret values of one segment."""

    key: str = attrs.field(factory=_key, repr=False)
    """The key of all digests of a run."""
    files: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Path to text of each job file, in the order in which they were read; ``-`` for standard input."""
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The environment of the command line."""
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The variables that were given for the job files, by name."""
    lists: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """What the lists held that the job files name: where, to the values, separated by NUL."""
    options: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The options of the command line that decide what the jobs are and where they run: option to its values, separated
    by NUL. They are not secret, but they name programs: who may write to the journal alone must not choose these."""

    def digest(self, value: str) -> str:
        """Return 16 hexadecimal digits that are the same for equal values in all segments of a run."""
        encoded = value.encode("utf-8", "surrogatepass")
        return hmac.digest(self.key.encode(), encoded, hashlib.sha256).hex()[:_DIGITS]

    def digests(self, values: Mapping[str, str]) -> dict[str, JSON]:
        """Return a digest of each value."""
        return {name: self.digest(value) for name, value in values.items()}


def append_secrets(directory: RootedPath, values: SecretValues) -> None:
    """Add the values of a segment to the file in a run directory, which is made with mode 0600. Blocks.

    Raises:
        OSError: if it cannot be written, or is no file of ours.
    """
    fd = directory.below(SECRETS_NAME).open_to_append(_MODE)
    with open(fd, "wb") as file:
        # The line feed in front ends a line that a killed process has not finished.
        file.write(f"\n{dumps(attrs.asdict(values))}\n".encode("ascii"))


def read_secrets(directory: RootedPath, *, own: bool = False) -> list[SecretValues]:
    """Return the values of each segment, the first one first. A line that is not whole is left out. Blocks.

    Args:
        directory: the run directory.
        own: whether the file must belong to the user of this process, and nobody else may write to it: for who runs
            what it says.

    Raises:
        OSError: if the file cannot be read, or is no regular file.
    """
    found = []
    path = directory.below(SECRETS_NAME)
    with open(path.open_regular(), "rb") as file:
        status = os.fstat(file.fileno())
        if own and (status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise PermissionError(errno.EPERM, "others can write to it, or own it", str(path))
        content = file.read(_MAX_BYTES)
    for line in content.splitlines():
        values = _from_line(line)
        if values is not None:
            found.append(values)
    return found


def _from_line(line: bytes) -> SecretValues | None:
    """Return the values that a line holds; `None` if it is not what `append_secrets` writes."""
    try:
        table = loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(table, dict) or not isinstance(key := table.get("key"), str) or not key.isascii():
        return None
    texts = {
        name: {str(key): value for key, value in inner.items() if isinstance(value, str)}
        for name in ("files", "environment", "variables", "lists", "options")
        if isinstance(inner := table.get(name), dict)
    }
    return SecretValues(key=key, **texts)
