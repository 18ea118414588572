"""Messages between this program and a helper process. A message is a marshalled tuple.

On a stream of bytes, each is a *frame*: preceded by its length. A socket that preserves the boundaries of messages
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

_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)


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


def frame(*message: Any) -> bytes:
    """Return a message as bytes, preceded by its length."""
    body = encode(*message)
    return HEADER.pack(len(body)) + body


def unframe(data: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the complete messages in `data`, and the rest: the beginning of the next message."""
    messages = []
    begin = 0
    while len(data) >= begin + HEADER.size:
        (size,) = HEADER.unpack_from(data, begin)
        end = begin + HEADER.size + size
        if len(data) < end:
            break
        messages.append(decode(data[begin + HEADER.size : end]))
        begin = end
    return messages, data[begin:]


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
