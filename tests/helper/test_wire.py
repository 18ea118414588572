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
        data = wire.frame("a", 1) + wire.frame("b", b"x" * 100) + wire.frame("c")
        ours.sendall(data[:3])
        assert frames.receive() == []
        ours.sendall(data[3:-1])
        assert frames.receive() == [("a", 1), ("b", b"x" * 100)]
        ours.sendall(data[-1:])
        assert frames.receive() == [("c",)]
        ours.close()
        with pytest.raises(wire.EndOfStream):
            frames.receive()


def test_a_descriptor_that_comes_with_a_frame_is_not_for_programs(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "file", "w") as file:
        frames = wire.Frames(theirs)
        socket.send_fds(ours, [wire.frame("a")], [file.fileno()])
        assert frames.receive() == [("a",)]
        (fd,) = frames.fds
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        assert not os.get_inheritable(fd)
        os.close(fd)
