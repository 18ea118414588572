"""The descriptors that a job inherits have their numbers in it, whatever numbers they have here."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.process import FIRST_INHERITED, spawn
from runtime.process.guard import job_files
from runtime.process.inherited import InheritedSources

CAT = "cat /proc/self/fd/20 /proc/self/fd/21; echo; ls /proc/$$/fd; :"
NUMBERS = range(FIRST_INHERITED, FIRST_INHERITED + 4)


@pytest.fixture(autouse=True)
def free_numbers() -> Iterator[None]:
    """Let no descriptor of this process have one of `NUMBERS`."""
    moved = {}
    for number in NUMBERS:
        with suppress(OSError):
            moved[number] = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100)
            os.close(number)
    yield
    for number in NUMBERS:
        with suppress(OSError):
            os.close(number)
    for number, copy in moved.items():
        os.dup2(copy, number, inheritable=False)
        os.close(copy)


def opened(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor with a number that is none of `NUMBERS`."""
    fd = os.open(path, flags)
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
    os.close(fd)
    return high


@pytest.mark.parametrize("places", [(20, 21), (21, 20), (21, 22), (22, 20), (22, 23)])
@pytest.mark.parametrize("by_guard", [True, False], ids=["by a shim", "by the C library"])
def test_each_gets_its_number(tmp_path: Path, places: tuple[int, int], *, by_guard: bool) -> None:
    for name, number in zip(("first", "second"), places, strict=True):
        (tmp_path / name).write_text(name)
        fd = opened(tmp_path / name)
        os.dup2(fd, number, inheritable=False)
        os.close(fd)
    output = opened(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    words, environment = ["/bin/sh", "-c", CAT], {"PATH": "/usr/bin:/bin"}
    if by_guard:
        encoded = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        pid = job_files.start(list(map(os.fsencode, words)), encoded, output, places)
        assert os.waitpid(pid, 0)[1] == 0
    else:
        child = spawn(words, env=environment, cwd="/", output=output, inherited=places)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.destroy()
    os.close(output)
    text, *numbers = (tmp_path / "out").read_text().split()
    assert text == "firstsecond"
    assert {22, 23}.isdisjoint(map(int, numbers))


def test_duplicates_are_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = opened(tmp_path / "file")
    for number in (20, 21):
        os.dup2(fd, number, inheritable=False)
    before = len(os.listdir("/proc/self/fd"))
    with InheritedSources((21, 20)) as sources:
        assert {20, 21}.isdisjoint(sources)
        assert len(set(sources)) == 2
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)
