from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from runtime.helper import wire


def test_a_frame_may_come_in_pieces_and_several_in_one() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = wire.Frames(theirs)
        data = wire.frame(b"a") + wire.pack("b", b"x" * 100) + wire.frame(b"")
        ours.sendall(data[:3])
        assert frames.receive() == []
        ours.sendall(data[3:-1])
        first, second = frames.receive()
        assert (first, wire.decode(second)) == (b"a", ("b", b"x" * 100))
        ours.sendall(data[-1:])
        assert frames.receive() == [b""]
        ours.close()
        with pytest.raises(wire.EndOfStream):
            frames.receive()


def test_a_message_that_is_too_long_is_an_error_before_it_has_arrived() -> None:
    buffer = wire.FrameBuffer(longest=10)
    assert buffer.feed(wire.frame(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(ValueError, match="a message of 11 bytes is too long; expected at most 10"):
        buffer.feed(wire.frame(b"x" * 11)[:4])


@pytest.mark.parametrize("data", [b"", b"no message", wire.encode(1)[:1], wire.encode("a")[:-1]])
def test_bytes_that_are_no_message_are_an_error(data: bytes) -> None:
    with pytest.raises((EOFError, TypeError, ValueError)):
        wire.decode(data)


def test_a_descriptor_that_comes_with_a_frame_is_not_for_programs(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "file", "w") as file:
        frames = wire.Frames(theirs)
        socket.send_fds(ours, [wire.frame(b"a")], [file.fileno()])
        assert frames.receive() == [b"a"]
        (fd,) = frames.fds
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_three_descriptors_that_come_with_one_frame_keep_their_order(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = wire.Frames(theirs)
        sent = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in "abc"]
        socket.send_fds(ours, [wire.frame(b"a")], sent)
        frames.receive()
        assert [os.fstat(fd).st_ino for fd in frames.fds] == [os.fstat(fd).st_ino for fd in sent]
        for fd in [*sent, *frames.fds]:
            os.close(fd)
