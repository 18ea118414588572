"""The interpreter and the environment with which a helper is run.

`sys.executable` is not always an interpreter. In a frozen program it is the program itself, which would start itself
again and again; in a program that embeds Python it is that program, or empty. An interpreter may need
``LD_LIBRARY_PATH`` to find its library.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

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
            env=loader_path(),
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout == importlib.util.MAGIC_NUMBER.hex().encode()


def loader_path() -> dict[str, str]:
    """Return the part of the environment that an interpreter may need to find its library, which may be empty."""
    name = "LD_LIBRARY_PATH"
    if getattr(sys, "frozen", False):
        # PyInstaller sets the variable to a directory of the program's own libraries, and keeps the former value here.
        value = os.environ.get(f"{name}_ORIG")
    else:
        value = os.environ.get(name)
    return {} if value is None else {name: value}


def environment() -> Mapping[str, str]:
    """Return the environment of this process, with the `loader_path` of an interpreter."""
    return {**{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}, **loader_path()}


def start_helper(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    fds: Sequence[int],
    output: int | None,
    errors: int | None,
    block_signals: bool,
) -> subprocess.Popen[bytes]:
    """Start an interpreter, in a session of its own and with an empty standard input; return the process.

    Blocks for milliseconds: call it in a thread.

    Args:
        args: the arguments of the interpreter.
        env: its environment.
        fds: descriptors that it inherits.
        output: the descriptor of its standard output, as for `subprocess`; `None` for ours.
        errors: as `output`, of its standard error.
        block_signals: whether it starts with all signals blocked, so that a signal that is sent to every process does
            not end it before its program has set its handlers. Its children inherit the mask.

    Raises:
        NoInterpreterError: if there is no interpreter.
        OSError: if it cannot be started.
    """
    command = [interpreter(), *args]
    # The child inherits the mask of this thread. (A `preexec_fn` is not safe in a process with threads.)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() if block_signals else ())
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=fds,
            start_new_session=True,
            env=env,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
