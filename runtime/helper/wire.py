"""Messages between this program and a helper process. A message is bytes, in most cases a marshalled tuple.

On a stream, each is a *frame*: preceded by its length. A socket that preserves the boundaries of messages
(`SOCK_SEQPACKET`) needs no frames.
"""

from __future__ import annotations

import marshal
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Final
else:
    # The Python modules around these take 10 ms to import.
    import _socket as socket

HEADER: Final = struct.Struct("<I")
CHUNK: Final = 1 << 16
_SIZE: Final = HEADER.size

_MAX_DESCRIPTORS: Final = 3
"""With one message, at most: the output of a job, and the two ends of its pipes to the jobserver."""
_DESCRIPTOR: Final = 4
"""Bytes of one."""
_ANCILLARY: Final = socket.CMSG_SPACE(_MAX_DESCRIPTORS * _DESCRIPTOR)


class EndOfStream(Exception):  # noqa: N818 - like `StopIteration`, it is no error
    """The other end of a socket has been closed."""


def encode(*message: Any) -> bytes:
    """Return a message as bytes."""
    return marshal.dumps(message)


def decode(data: bytes) -> tuple[Any, ...]:
    """Return the message of `encode`. Raises `EOFError`, `TypeError` or `ValueError` if `data` is none."""
    message = marshal.loads(data)
    if not isinstance(message, tuple):
        raise TypeError(message)
    return message


def frame(message: bytes) -> bytes:
    """Return a message, preceded by its length."""
    return HEADER.pack(len(message)) + message


def pack(*message: object) -> bytes:
    """Return a message of `encode` as a frame."""
    return frame(encode(*message))


class FrameBuffer:
    """Collects the bytes of a stream until frames are complete.

    Args:
        longest: the most bytes of a message; `None` for no limit.
    """

    def __init__(self, longest: int | None = None) -> None:
        self._longest = longest
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete with `data`. Raises `ValueError` if one is longer than the limit."""
        size = len(data) - _SIZE
        if size >= 0 and HEADER.unpack_from(data)[0] == size and not self._bytes and self._longest is None:
            return [data[_SIZE:]]  # the usual case: one message, as a whole
        self._bytes += data
        messages = []
        begin = 0
        with memoryview(self._bytes) as view:
            while len(view) >= begin + _SIZE:
                (size,) = HEADER.unpack_from(view, begin)
                if self._longest is not None and size > self._longest:
                    raise ValueError(f"a message of {size} bytes is too long; expected at most {self._longest}")
                end = begin + _SIZE + size
                if len(view) < end:
                    break
                messages.append(bytes(view[begin + _SIZE : end]))
                begin = end
        del self._bytes[:begin]
        return messages


def try_send(fd: int, message: bytes) -> bool:
    """Send a message on a `SOCK_SEQPACKET`, as a whole; return false if it is full.

    Raises:
        OSError: if the other end was closed.
    """
    try:
        os.write(fd, message)
    except BlockingIOError:
        return False
    return True


class Frames:
    """Receives frames, and at most three descriptors with each, from a stream.

    Args:
        stream: is read only here.
        longest: as for `FrameBuffer`.
    """

    def __init__(self, stream: socket.socket, longest: int | None = None) -> None:
        self._stream = stream
        self._buffer = FrameBuffer(longest)
        self.fds: list[int] = []
        """Received descriptors, in order. The caller that removes one closes it."""

    def receive(self) -> list[bytes]:
        """Return the messages that are complete after one more read, which may block.

        Raises:
            EndOfStream: at the end of the stream.
            ValueError: if a message is longer than the limit.
        """
        try:
            # Close-on-exec from the beginning: no program that is started meanwhile may inherit it.
            data, extra, _, _ = self._stream.recvmsg(CHUNK, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            raise EndOfStream from None  # ECONNRESET: the other end was closed with unread data
        for _, _, fds in extra:
            for start in range(0, len(fds) // _DESCRIPTOR * _DESCRIPTOR, _DESCRIPTOR):
                self.fds.append(int.from_bytes(fds[start : start + _DESCRIPTOR], sys.byteorder))
        if not data:
            raise EndOfStream
        return self._buffer.feed(data)
