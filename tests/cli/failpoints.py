"""Runs the command line, and harms it at one operation on the files of its run: ``python -m … PLAN ARGUMENT ...``.

PLAN is what `Failpoint.plan` or `log_plan` returns. The command line itself is the real one: the functions of `os` that
change files are replaced, and do what they did, except at that operation.
"""

from __future__ import annotations

import builtins
import enum
import errno
import io
import json
import os
import re
import shutil  # noqa: F401 - it looks at functions of `os`, so it must be imported before they are replaced
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import attrs

_T = TypeVar("_T")

RUN_DIRECTORY: Final = "the run directory"

_NAMES: Final = (
    (re.compile(r"(journal\.(?:jsonl|lock|secrets))"), None),
    (re.compile(r"\.?(results\.json)(\.[0-9a-f]+)?"), None),
    (re.compile(r"(latest)|\.latest\.[^/]+"), "latest"),
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}"), RUN_DIRECTORY),
)
"""Names of files, and what they are called in an operation; by default as their first group."""


class Harm(enum.Enum):
    """What becomes of an operation."""

    BEFORE = "before"
    """The process is killed before it."""
    MIDDLE = "middle"
    """The process is killed when half of the bytes are written, so that a line is cut off."""
    AFTER = "after"
    """The process is killed after it."""
    FULL = "full"
    """The disk is full: half of the bytes are written, and it fails, as does each later operation on that file."""


@attrs.frozen
class Operation:
    """One call that changes a file of a run."""

    call: str
    """The name of a function of `os`."""
    file: str
    nth: int
    """How many calls of this function for this file come before it in its process."""

    def __str__(self) -> str:
        return f"{self.call} {self.nth} of {self.file}"

    @property
    def harms(self) -> Sequence[Harm]:
        """What can become of it."""
        return [harm for harm in Harm if harm is not Harm.MIDDLE or self.call == "write"]


@attrs.frozen
class Failpoint:
    """An operation, and what becomes of it."""

    operation: Operation
    harm: Harm

    def __str__(self) -> str:
        return f"{self.harm.value}: {self.operation}"

    @property
    def plan(self) -> str:
        """The first argument of the program."""
        return json.dumps([*attrs.astuple(self.operation), self.harm.value])


def log_plan(path: Path) -> str:
    """Return the first argument of the program, for a run that is not harmed and writes its operations to a file."""
    return json.dumps(str(path))


def operations(path: Path) -> list[Operation]:
    """Return the operations that such a run has written."""
    return [Operation(*json.loads(line)) for line in path.read_text().splitlines()]


def _called(path: object) -> str | None:
    """Return what a path or descriptor is called; `None` if it is none of the files."""
    try:
        text = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fsdecode(path)  # type: ignore[arg-type]  # what it raises is caught
    except (OSError, TypeError):
        return None
    name = os.path.basename(text)
    for pattern, called in _NAMES:
        if found := pattern.fullmatch(name):
            return called or found[1]
    return None


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Disk:
    """Replaces functions of `os`.

    Args:
        failpoint: what is harmed; `None` for nothing.
        log: called with each operation.
    """

    def __init__(self, failpoint: Failpoint | None, log: Callable[[Operation], object]) -> None:
        self._failpoint = failpoint
        self._log = log
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._is_full = False

    def install(self) -> None:
        """Replace the functions for good."""
        for name in ("ftruncate", "fdatasync", "fsync", "unlink"):
            self._replace(name, 0)
        for name in ("rename", "symlink"):
            self._replace(name, 1)
        self._replace_mkdir()
        self._replace_open()
        self._replace_write()

    def _replace(self, name: str, index: int) -> None:
        original = getattr(os, name)

        def replaced(*args: object, **options: object) -> object:
            return self._do(name, _called(args[index]), lambda: original(*args, **options))

        setattr(os, name, replaced)

    def _replace_mkdir(self) -> None:
        original = os.mkdir

        def replaced(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            file = None if os.path.lexists(path) else _called(path)
            self._do("mkdir", file, lambda: original(path, mode, dir_fd=dir_fd))

        os.mkdir = replaced  # type: ignore[assignment]  # it is called as here

    def _replace_open(self) -> None:
        original, original_file = os.open, builtins.open

        def replaced(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            file = _called(path) if flags & os.O_CREAT else None
            return self._do("open", file, lambda: original(path, flags, mode, dir_fd=dir_fd))

        class Raw(io.FileIO):
            def write(self, data: bytes, /) -> int:  # type: ignore[override]  # of a buffered writer: bytes-like
                return os.write(self.fileno(), data)

        def replaced_file(file: object, mode: str = "r", *args: object, **options: object) -> object:
            if isinstance(file, int) and mode == "wb" and _called(file) is not None:
                raw: io.RawIOBase = Raw(file, mode)
                return io.BufferedWriter(raw)
            return original_file(file, mode, *args, **options)  # type: ignore[call-overload]  # as it was given

        os.open = replaced  # type: ignore[assignment]  # it is called as here
        builtins.open = replaced_file  # type: ignore[assignment]  # as above

    def _replace_write(self) -> None:
        original = os.write

        def replaced(fd: int, data: bytes) -> int:
            half = bytes(data[: len(data) // 2]).removesuffix(b"\n")  # of several frames, half may be whole ones
            return self._do("write", _called(fd), lambda: original(fd, data), lambda: original(fd, half))

        os.write = replaced  # type: ignore[assignment]  # it is called as here

    def _do(self, call: str, file: str | None, do: Callable[[], _T], half: Callable[[], _T] | None = None) -> _T:
        """Make a call, or harm it."""
        if file is None:
            return do()
        with self._lock:
            operation = Operation(call, file, self._counts[call, file])
            self._counts[call, file] += 1
            self._log(operation)
        point = self._failpoint
        if point is None:
            return do()
        harm = point.harm if operation == point.operation else None
        if harm is Harm.FULL:
            self._is_full = True
            if half is not None:
                return half()  # a short write, as that of the last bytes that fit
            raise _full()
        if self._is_full and file == point.operation.file and call != "unlink":
            raise _full()
        if harm is Harm.BEFORE:
            _die()
        if harm is Harm.MIDDLE and half is not None:
            half()
            _die()
        result = do()
        if harm is Harm.AFTER:
            _die()
        return result


def _install(plan: str) -> None:
    found = json.loads(plan)
    if isinstance(found, str):
        write, fd = os.write, os.open(found, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _Disk(None, lambda each: write(fd, f"{json.dumps(attrs.astuple(each))}\n".encode())).install()
    else:
        *operation, harm = found
        _Disk(Failpoint(Operation(*operation), Harm(harm)), lambda _: None).install()


if __name__ == "__main__":
    _install(sys.argv.pop(1))
    from runtime.cli.main import main

    sys.exit(main())
