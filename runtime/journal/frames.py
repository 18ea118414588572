"""Frames: how a record stands in the file, so that what was cut off, changed or zeroed is noticed. Pure.

A frame is one line: the length of its text in bytes and the CRC-32 of the text, in eight hexadecimal digits each; the
text; a line feed. The text is JSON in ASCII, so it contains no line feed, and the file can be read with ``cut -c19-``
and any JSON parser. A frame has exactly one form: other digits of the same value, ``A`` for ``a``, make it invalid. Its
text has at most `MAX_TEXT` bytes: a reader holds a frame in memory, and a job can write any length into a journal.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")

MAX_TEXT: Final = 1 << 28
"""Bytes of a text. Arbitrary: the ends of two million jobs that passed. Ten times more is more memory than many
machines can spare for a reader; ten times less, and records of large runs are written in parts, see `Committer`."""

_HEADER: Final = re.compile(rb"[0-9a-f]{8} [0-9a-f]{8} ")
_ZERO_HEADER: Final = b"00000000 00000000 "
_HEADER_SIZE: Final = len(_ZERO_HEADER)
_LINE_FEED: Final = ord("\n")


def encode(text: str) -> bytes:
    """Return the frame of a text, which must be ASCII without a line feed.

    Raises:
        UnicodeEncodeError: if it is not ASCII.
        ValueError: if it is longer than `MAX_TEXT`.
    """
    payload = text.encode("ascii")
    if len(payload) > MAX_TEXT:
        msg = f"a record of {len(payload)} bytes; expected at most {MAX_TEXT}"
        raise ValueError(msg)
    return b"%b%b\n" % (_header(payload), payload)


def _header(payload: bytes) -> bytes:
    return b"%08x %08x " % (len(payload), zlib.crc32(payload))


class Scanner(Generic[_T]):
    """Finds the frames in the bytes of a journal, which it is given piece by piece. No bytes make it raise.

    It stops for good at the first frame that is not valid: what follows may be anything.

    Args:
        parse: makes a value of the text of a frame; if it raises `ValueError`, the frame is not valid. Other exceptions
            leave `feed`.
        start: which byte of the journal is the first that `feed` is given.
    """

    def __init__(self, parse: Callable[[str], _T], start: int = 0) -> None:
        self._parse = parse
        self._end = start
        self._rest = bytearray()
        """What follows the last valid frame, as long as it may become one."""
        self._searched = 0
        """How many bytes of it were searched for zeros."""
        self._beyond = 0
        """Bytes that followed it when it was clear that they are no frame."""
        self._flaw: str | None = None

    @property
    def end(self) -> int:
        """Where the last valid frame ends: the length of the longest valid prefix, in bytes."""
        return self._end

    @property
    def is_broken(self) -> bool:
        """Whether what follows is no frame, and will be none, whatever follows it."""
        return self._flaw is not None

    @property
    def note(self) -> str | None:
        """Which byte begins what is no whole, valid frame, why, and how much that is, in a line; `None` if nothing."""
        if self._flaw is not None:
            return f"byte {self._end}: {self._flaw}; {_count(self._beyond, 'byte')} from there on cannot be read"
        if not self._rest:
            return None
        if len(self._rest) < _HEADER_SIZE:
            return f"byte {self._end}: a frame is cut off after {_count(len(self._rest), 'byte')}"
        return f"byte {self._end}: a frame of {_size(self._rest)} bytes is cut off after {len(self._rest)}"

    def feed(self, data: bytes) -> list[_T]:
        """Return the values of the frames that are whole with `data`."""
        if self._flaw is not None:
            self._beyond += len(data)
            return []
        self._rest += data
        found = []
        begin = 0
        while (payload := self._take(begin)) is not None:
            try:
                found.append(self._parse(payload.decode("ascii")))
            except UnicodeDecodeError:
                self._flaw = "the text of a frame is not ASCII"
                break
            except ValueError as exc:
                self._flaw = f"a frame is no record: {exc}"
                break
            begin += len(payload) + _HEADER_SIZE + 1
        self._end += begin
        del self._rest[:begin]
        if self._flaw is not None:
            self._beyond = len(self._rest)
            self._rest.clear()
        return found

    def skip_to(self, size: int) -> None:
        """Take note that the journal has `size` bytes, if what follows the last valid frame need not be read."""
        if self._flaw is not None:
            self._beyond = max(self._beyond, size - self._end)

    def _take(self, begin: int) -> bytes | None:
        """Return the text of the next frame; `None`, with the flaw, if there is no whole, valid one."""
        head = bytes(self._rest[begin : begin + _HEADER_SIZE])
        if not _HEADER.fullmatch(head + _ZERO_HEADER[len(head) :]):
            rest = self._rest[begin:]
            zeros = len(rest) - len(rest.lstrip(b"\0"))
            self._flaw = f"{_count(zeros, 'byte')} of zero" if zeros else "no frame begins here"
            return None
        if len(head) < _HEADER_SIZE:
            return None
        size = _size(head)
        if size > MAX_TEXT + _HEADER_SIZE + 1:
            self._flaw = f"a frame of {size} bytes, more than any that is written"
            return None
        if len(self._rest) < begin + size:
            # A hole of any size is made at no cost. So a frame that tells any size is not read into memory with it.
            if self._rest.find(b"\0", max(begin, self._searched)) >= 0:
                self._flaw = f"a frame of {size} bytes has zeros in it"
            self._searched = len(self._rest) - begin
            return None
        with memoryview(self._rest) as view:  # without another copy
            payload = bytes(view[begin + _HEADER_SIZE : begin + size - 1])
        if head != _header(payload):
            self._flaw = f"the checksum of a frame of {size} bytes does not match"
        elif self._rest[begin + size - 1] != _LINE_FEED:
            self._flaw = f"a frame of {size} bytes has no line feed at its end"
        else:
            return payload
        return None


def _size(head: bytes | bytearray) -> int:
    """Return the size of the whole frame that a header tells."""
    return int(head[:8], 16) + _HEADER_SIZE + 1


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
