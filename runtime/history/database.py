"""`Database`: the database of SQLite, in memory, that an index is in.

What it is loaded from may be damaged, or written by a job: its schema has to be ours to the letter, every value is
checked, and whatever is wrong with it raises `DamagedIndexError`. No statement on it goes on for ever.
"""

from __future__ import annotations

import functools
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from runtime.history.rows import SCHEMA, VERSION, decoded

_T = TypeVar("_T")

CAN_BE_KEPT: Final = hasattr(sqlite3.Connection, "deserialize")
"""Whether a database has a `content`. The SQLite of an old system has no such call."""

_TRAILER_SIZE: Final = 9
"""Bytes behind the database: its CRC-32 as eight hexadecimal digits, and a line feed. SQLite does not read them."""
_MAX_STEPS: Final = 10_000
"""Times that SQLite is allowed to count to `_STEP` in one statement. Arbitrary: some minutes, which no statement on a
million runs takes; a file that somebody has made to have no end would keep it busy for ever."""
_STEP: Final = 1_000_000


class DamagedIndexError(Exception):
    """An index is not what this version has written; the message says why."""


class Database:
    """Every method blocks, and raises `DamagedIndexError` if what it finds is not what this version writes.

    Args:
        content: what `content` of another one has returned; `None` for an empty one.
    """

    def __init__(self, content: bytes | None = None) -> None:
        self._steps = 0
        self._connection: Final = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.text_factory = decoded
        self._connection.set_progress_handler(self._is_endless, _STEP)
        try:
            with _damage():
                if content is not None:
                    self._load(content)
                else:
                    self._connection.executescript(SCHEMA)
                    self._connection.execute(f"pragma user_version = {VERSION}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free its memory."""
        self._connection.close()

    def content(self) -> bytes:
        """Return what a database can be made of again."""
        data = self._connection.serialize()
        return b"%b%08x\n" % (data, zlib.crc32(data))

    def schema(self) -> list[object]:
        """Return what its tables are."""
        return self._connection.execute("select type, name, sql from sqlite_master order by name").fetchall()

    def rows(self, query: str, convert: Callable[[tuple[Any, ...]], _T], *values: object) -> list[_T]:
        """Return the rows of a query, each converted."""
        self._steps = 0
        with _damage():
            return [convert(row) for row in self._connection.execute(query, values)]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what `change` and `change_many` say in a block, or nothing if it raises."""
        self._steps = 0
        with _damage():
            self._connection.execute("begin")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def change(self, statement: str, *values: object) -> int:
        """Make a change in a transaction; return the number of the row that it has added, if it has."""
        return self._connection.execute(statement, values).lastrowid or 0

    def change_many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Make a change in a transaction with the values of each row."""
        self._connection.executemany(statement, rows)

    def vacuum(self) -> None:
        """Free what was deleted."""
        with _damage():
            self._connection.execute("vacuum")

    def _load(self, content: bytes) -> None:
        data, trailer = content[:-_TRAILER_SIZE], content[-_TRAILER_SIZE:]
        if trailer != b"%08x\n" % zlib.crc32(data):
            raise DamagedIndexError("its checksum does not match")
        # Of SQLite's own defences against a file that somebody has made, those that cost nothing.
        self._connection.execute("pragma trusted_schema = off")
        self._connection.execute("pragma cell_size_check = on")
        self._connection.deserialize(data)
        (version,) = self._connection.execute("pragma user_version").fetchone()
        if version != VERSION:
            raise DamagedIndexError(f"it has the version {version}; this one is {VERSION}")
        if self.schema() != _our_schema():
            raise DamagedIndexError("it is another database")

    def _is_endless(self) -> bool:
        self._steps += 1
        return self._steps > _MAX_STEPS


@contextmanager
def _damage() -> Iterator[None]:
    """Raise `DamagedIndexError` in place of what reading a damaged database, or values that are not ours, raises."""
    try:
        yield
    except sqlite3.Error as exc:
        raise DamagedIndexError(f"SQLite says: {exc}") from exc
    except (LookupError, TypeError, ValueError, OverflowError) as exc:
        raise DamagedIndexError(f"it has a value that is none of ours ({exc})") from exc


@functools.cache
def _our_schema() -> list[object]:
    database = Database()
    try:
        return database.schema()
    finally:
        database.close()
