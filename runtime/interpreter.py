"""The interpreter, the file and the environment with which a helper program is run. For all helpers.

`sys.executable` is not always an interpreter. In a frozen program it is the program itself, which would start itself
again and again; in a program that embeds Python it is that program, or empty. The runtime is not always in files: it
may be in a zip archive, or in a frozen program. An interpreter may need ``LD_LIBRARY_PATH`` to find its library.
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

PYTHON_VARIABLE: Final = "JOB_RUNTIME_PYTHON"
"""The environment variable that names the interpreter, for where none is found without it."""

_NAMES: Final = ("python", "pypy")
"""The prefixes of the file names of interpreters."""

_PROBE: Final = "import importlib.util, sys; sys.stdout.write(importlib.util.MAGIC_NUMBER.hex())"
_PROBE_TIMEOUT: Final = 30.0
"""Seconds that a candidate may take to report its version, which takes some 20 ms. Arbitrary: with a tenth, one on a
slow network file system could be missed; with ten times as many, one that hangs would delay the start by minutes."""


class NoInterpreterError(OSError):
    """No interpreter was found that can run a helper program. The message says how to name one."""


def interpreter() -> str:
    """Return the path of an interpreter of this version.

    Raises:
        NoInterpreterError: if there is none.
    """
    frozen = bool(getattr(sys, "frozen", False))
    given = os.environ.get(PYTHON_VARIABLE)
    if given is None and not frozen and os.path.basename(sys.executable or "").startswith(_NAMES):
        return sys.executable
    return _search(given, sys.executable or "", frozen)


# Cached, because a probe starts a process. The arguments are all that the result depends on, but for PATH.
@functools.cache
def _search(given: str | None, executable: str, frozen: bool) -> str:
    for path in _candidates(given, frozen):
        # Never `executable` itself: a frozen or embedding program would start itself again.
        if path and path != executable and _is_interpreter(path):
            return path
    version = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    if given is not None:
        msg = f"{PYTHON_VARIABLE} is {given!r}; expected the path of a {version}"
    else:
        what = f"is {executable!r}, which is no Python interpreter" if executable else "is empty"
        msg = (
            f"helper processes need a {version}, and none was found: sys.executable {what}, and there is no "
            f"python{sys.version_info[0]}.{sys.version_info[1]} in PATH; set {PYTHON_VARIABLE} to the path of one"
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
    """Whether a program is an interpreter that can read the bytecode of this one."""
    if not os.path.basename(path).startswith(_NAMES) or not os.access(path, os.X_OK):
        return False  # it may be any program, so it is not started
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],  # isolated: no variable, directory or package of the user takes part
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
    """Return the part of the environment that an interpreter may need to find its library, which may be empty."""
    name = "LD_LIBRARY_PATH"
    if getattr(sys, "frozen", False):
        # PyInstaller sets the variable to a directory of the program's own libraries, and keeps the former value here.
        value = os.environ.get(f"{name}_ORIG")
    else:
        value = os.environ.get(name)
    return {} if value is None else {name: value}


def environment() -> Mapping[str, str]:
    """Return the environment of this process, with the `library_path` of an interpreter."""
    return {**{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}, **library_path()}


def start_helper(args: Sequence[str], *, block_signals: bool = True, **options: Any) -> subprocess.Popen[bytes]:
    """Start an interpreter with these arguments, and return the process. Blocks for milliseconds: call it in a thread.

    Args:
        args: the arguments of the interpreter.
        block_signals: whether it starts with all signals blocked, so that a signal that is sent to every process does
            not end it before its program has set its handlers. Its children inherit the mask.
        options: for `subprocess.Popen`.

    Raises:
        NoInterpreterError: if there is no interpreter.
        OSError: if it cannot be started.
    """
    command = [interpreter(), *args]
    if not block_signals:
        return subprocess.Popen(command, **options)
    # The child inherits the mask of this thread. (A `preexec_fn` is not safe in a process with threads.)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        return subprocess.Popen(command, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---------------------------------------------------------------------- programs as files


def program(module: ModuleType) -> str:
    """Return the path of a file with which an interpreter can run a module.

    That is its bytecode file, if there is one that is up to date, which saves 20 ms; else its source. For a module
    without a source file, as in an archive, bytecode is written to a private directory, which is removed at exit.

    Raises:
        OSError: if the bytecode cannot be written, or the module has no code.
    """
    source, spec = module.__file__, module.__spec__
    if source is None or not os.path.isfile(source):
        return _unpacked(module.__name__)
    compiled = None if spec is None else spec.cached
    return compiled if compiled is not None and _is_compiled_from(source, compiled) else source


def directory(module: ModuleType) -> str:
    """Return a directory from which a module can be imported by its last name. Raises as `program`."""
    source = module.__file__
    return os.path.dirname(source if source is not None and os.path.isfile(source) else _unpacked(module.__name__))


@functools.cache
def _unpacked(name: str) -> str:
    spec = importlib.util.find_spec(name)
    loader: Any = None if spec is None else spec.loader
    code = None if loader is None else loader.get_code(name)
    if code is None:
        msg = f"{name} has neither a source file nor code of its loader; expected one of them, to run it as a helper"
        raise OSError(msg)
    import marshal  # here, as only archives and frozen programs need it

    path = os.path.join(_directory(), name.rpartition(".")[2] + ".pyc")
    with open(path, "wb") as file:
        # PEP 552: flags, time and size of a source, which there is not: an interpreter that runs the file ignores them.
        file.write(importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 0, 0) + marshal.dumps(code))
    return path


@functools.cache
def _directory() -> str:
    path = tempfile.mkdtemp(prefix="job-runtime-helpers-")
    atexit.register(_remove, path, os.getpid())
    return path


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a process that was forked from it, which inherits the call
        shutil.rmtree(path, ignore_errors=True)


def _is_compiled_from(source: str, compiled: str) -> bool:
    """Whether `compiled` is the bytecode of `source` as it is now, by the time and the size in its PEP 552 header.

    The import system checks the same, but it cannot replace an outdated file where it may not write.
    """
    try:
        with open(compiled, "rb") as file:
            header = file.read(16)
        status = os.stat(source)
    except OSError:
        return False
    numbers = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    return header == importlib.util.MAGIC_NUMBER + struct.pack("<III", *numbers)
