"""A descriptor is open for as long as somebody uses it, and its number nobody else's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.descriptors import Descriptor


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_it_is_closed_when_the_last_one_has_ended_its_use(tmp_path: Path) -> None:
    descriptor = Descriptor(os.open(tmp_path, os.O_RDONLY))
    with descriptor as first:
        with descriptor as second:
            assert first == second == descriptor.fd
            descriptor.close()
            assert is_open(first)
            assert descriptor.fd == -1
        assert is_open(first)
        descriptor.close()
        with pytest.raises(OSError, match="Bad file descriptor") as caught, descriptor:
            pass
        assert caught.value.errno == errno.EBADF
        assert is_open(first)
    assert not is_open(first)


def test_one_that_nobody_uses_is_closed_at_once_and_once(tmp_path: Path) -> None:
    descriptor = Descriptor(os.open(tmp_path, os.O_RDONLY))
    fd = descriptor.fd
    descriptor.close()
    assert not is_open(fd)
    other = os.open(tmp_path, os.O_RDONLY)
    assert other == fd
    descriptor.close()
    assert is_open(other)
    os.close(other)
