"""Framing: messages on a stream of bytes between this program and a helper process.

A message is a marshalled tuple, preceded by its length.
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

_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)


class EndOfStream(Exception):  # noqa: N818 - like `StopIteration`, it is no error
    """The other end of a socket has been closed."""


def frame(*message: Any) -> bytes:
    """Return a message as bytes, preceded by its length."""
    body = marshal.dumps(message)
    return HEADER.pack(len(body)) + body


def unframe(data: bytes, longest: int | None = None) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the complete messages in `data`, and the rest: the beginning of the next message.

    Raises:
        EOFError, TypeError, ValueError: if `data` is no such message, or a message is longer than `longest` bytes.
    """
    messages = []
    begin = 0
    while len(data) >= begin + HEADER.size:
        (size,) = HEADER.unpack_from(data, begin)
        end = begin + HEADER.size + size
        if longest is not None and size > longest:
            raise ValueError(size)
        if len(data) < end:
            break
        messages.append(marshal.loads(data[begin + HEADER.size : end]))
        begin = end
    return messages, data[begin:]


def try_write(pipe: int, answer: bytes) -> bool:
    """Write an answer to a pipe; return false if the pipe is full.

    Raises:
        OSError: if the reader has closed the pipe.
    """
    try:
        # At most `PIPE_BUF` bytes: written as a whole, or not at all.
        os.write(pipe, answer)
    except BlockingIOError:
        return False
    return True


class Frames:
    """Receives frames, and at most one descriptor with each, from a stream."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = b""
        self.fds: list[int] = []
        """Received descriptors, in order. The caller that removes one closes it."""

    def receive(self) -> list[tuple[Any, ...]]:
        """Return the messages that are complete after one more read, which may block.

        Raises:
            EndOfStream: at the end of the stream.
        """
        try:
            # Close-on-exec from the beginning: no program that is started meanwhile may inherit it.
            data, extra, _, _ = self._stream.recvmsg(CHUNK, _ONE_DESCRIPTOR, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            raise EndOfStream from None  # ECONNRESET: the other end was closed with unread data
        for _, _, fd in extra:
            self.fds.append(int.from_bytes(fd[:4], sys.byteorder))
        if not data:
            raise EndOfStream
        messages, self._buffer = unframe(self._buffer + data)
        return messages
