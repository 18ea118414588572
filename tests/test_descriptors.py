"""A descriptor stays open while a call uses it, so its number is not reused."""

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


def test_it_is_closed_when_its_last_use_has_ended(tmp_path: Path) -> None:
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


def test_an_unused_one_is_closed_at_once_and_only_once(tmp_path: Path) -> None:
    descriptor = Descriptor(os.open(tmp_path, os.O_RDONLY))
    fd = descriptor.fd
    descriptor.close()
    assert not is_open(fd)
    other = os.open(tmp_path, os.O_RDONLY)
    assert other == fd
    descriptor.close()
    assert is_open(other)
    os.close(other)
