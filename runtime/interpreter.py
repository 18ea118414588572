"""How a helper program is run: with which interpreter, from which file, with which variables. For all helpers.

`sys.executable` is not always an interpreter: in a frozen program it is the program itself, which would start itself
again and again, and in one that embeds Python it is that program, or nothing. The runtime is not always in files: it
may be in a zip archive, or in a frozen program. And an interpreter may need ``LD_LIBRARY_PATH`` to find its library.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

VARIABLE: Final = "JOB_RUNTIME_PYTHON"
"""The environment variable that names an interpreter, where none can be found."""

_NAMES: Final = ("python", "pypy")
"""How the file names of interpreters begin."""

_PROBE: Final = "import importlib.util, sys; sys.stdout.write(importlib.util.MAGIC_NUMBER.hex())"
_PROBE_TIMEOUT: Final = 30.0
"""Seconds that a program may take to say that it is an interpreter of our version. Arbitrary: it takes some 20 ms."""


class NoInterpreterError(OSError):
    """No interpreter was found that could run a helper program; the text says what is needed."""


def interpreter() -> str:
    """Return the path of an interpreter of this version.

    Raises:
        NoInterpreterError: if there is none.
    """
    frozen = bool(getattr(sys, "frozen", False))
    given = os.environ.get(VARIABLE)
    if given is None and not frozen and os.path.basename(sys.executable or "").startswith(_NAMES):
        return sys.executable
    return _search(given, sys.executable or "", frozen)


@functools.cache
def _search(given: str | None, executable: str, frozen: bool) -> str:
    for path in _candidates(given, frozen):
        if path and path != executable and _is_interpreter(path):
            return path
    version = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    if given is not None:
        msg = f"{VARIABLE} is {given!r}; expected: the path of a {version}"
    else:
        what = f"is {executable!r}, which is no Python interpreter" if executable else "is empty"
        msg = (
            f"helper processes need a {version}, and none was found: sys.executable {what}, and there is no "
            f"python{sys.version_info[0]}.{sys.version_info[1]} in PATH; set {VARIABLE} to the path of one"
        )
    raise NoInterpreterError(msg)


def _candidates(given: str | None, frozen: bool) -> Iterator[str | None]:
    if given is not None:
        yield given
        return
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if not frozen:
        yield getattr(sys, "_base_executable", None)
        for prefix in (sys.exec_prefix, sys.base_exec_prefix):
            yield os.path.join(prefix, "bin", name)
    yield shutil.which(name)
    yield shutil.which("python3")


def _is_interpreter(path: str) -> bool:
    """Whether a program is an interpreter that can read what ours compiles."""
    if not os.path.basename(path).startswith(_NAMES) or not os.access(path, os.X_OK):
        return False  # whatever else it is, it is not tried out
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=library_path(),
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout == importlib.util.MAGIC_NUMBER.hex().encode()


def library_path() -> dict[str, str]:
    """Return what of the environment an interpreter may need to find its own library.

    A program that PyInstaller has frozen has its own libraries there, and tells what was there before.
    """
    name = "LD_LIBRARY_PATH"
    if getattr(sys, "frozen", False):
        value = os.environ.get(f"{name}_ORIG")
    else:
        value = os.environ.get(name)
    return {} if value is None else {name: value}


def environment() -> Mapping[str, str]:
    """Return our environment for a helper that is to have it."""
    return {**{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}, **library_path()}


def start_helper(words: Sequence[str], *, deaf: bool = True, **options: Any) -> subprocess.Popen[bytes]:
    """Start an interpreter with these arguments. Blocks for milliseconds: for threads.

    Args:
        words: what follows the interpreter.
        deaf: whether it begins with all signals blocked, so that none that is sent to every process ends it before its
            program can see to that. Its own children would have them blocked, too.
        options: for `subprocess.Popen`.

    Raises:
        NoInterpreterError: if there is no interpreter.
        OSError: if it cannot be started.
    """
    command = [interpreter(), *words]
    if not deaf:
        return subprocess.Popen(command, **options)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        return subprocess.Popen(command, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---------------------------------------------------------------------- programs as files


def program(module: ModuleType) -> str:
    """Return the path of a file by which a module can be run.

    That is its compiled file, if it is there and up to date, which saves 20 ms; or its source; or, if it has neither,
    as in an archive, a file that is made of it in a private directory, which is removed when this process ends.

    Raises:
        OSError: if that cannot be made.
    """
    source, spec = module.__file__, module.__spec__
    if source is None or not os.path.isfile(source):
        return _unpacked(module.__name__)
    compiled = None if spec is None else spec.cached
    return compiled if compiled is not None and _is_compiled_from(source, compiled) else source


def directory(module: ModuleType) -> str:
    """Return a directory from which a module can be imported, by its last name. Errors as for `program`."""
    source = module.__file__
    return os.path.dirname(source if source is not None and os.path.isfile(source) else _unpacked(module.__name__))


@functools.cache
def _unpacked(name: str) -> str:
    spec = importlib.util.find_spec(name)
    loader: Any = None if spec is None else spec.loader
    code = None if loader is None else loader.get_code(name)
    if code is None:
        msg = f"{name} is in no file, and its loader has no code of it, so it cannot be run"
        raise OSError(msg)
    import marshal

    path = os.path.join(_directory(), name.rpartition(".")[2] + ".pyc")
    with open(path, "wb") as file:
        file.write(importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 0, 0) + marshal.dumps(code))
    return path


@functools.cache
def _directory() -> str:
    path = tempfile.mkdtemp(prefix="job-runtime-helpers-")
    atexit.register(_remove, path, os.getpid())
    return path


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # and no process that it has forked
        shutil.rmtree(path, ignore_errors=True)


def _is_compiled_from(source: str, compiled: str) -> bool:
    """Whether `compiled` is made of `source` as it is now: PEP 552's header with time and size says so.

    Our own import of it has seen to that only if it may write.
    """
    try:
        with open(compiled, "rb") as file:
            header = file.read(16)
        status = os.stat(source)
    except OSError:
        return False
    numbers = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    return header == importlib.util.MAGIC_NUMBER + struct.pack("<III", *numbers)
