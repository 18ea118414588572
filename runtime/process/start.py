"""`start`: a new process, while the other threads of this one go on.

`subprocess` and `os.posix_spawn` hold the interpreter's lock until the child has become another program. That is most
of what a process costs, so launches in several threads go one after the other, and the event loop waits for each: of
2.1 ms per job of a local backend without containment, 1.8 were spent there. The C library's `posix_spawn` does all that
is needed (a session, a directory, descriptors, signals), and is called here without the lock.

It is glibc's from 2.34 on; with any other C library `is_available` is false, and `subprocess` has to do.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_SETSIGDEF: Final = 0x04
_SETSIGMASK: Final = 0x08
_SETSID: Final = 0x80
"""Flags, from glibc's spawn.h."""

_ROOM: Final = 64
"""Words for each of the opaque structures of spawn.h and signal.h, of which the largest has 42."""

_Structure: Final = ctypes.c_uint64 * _ROOM


class SharedEnvironment(dict[str, str]):
    """An environment that many processes get, and that does not change: it is put into the system's form only once."""

    @functools.cached_property
    def array(self) -> Any:
        """What the system wants, and at its end room for ``PWD``. Raises as `start` does."""
        return _array([*_variables({name: value for name, value in self.items() if name != "PWD"}), None])

    def array_in(self, directory: str) -> Any:
        """Return what the system wants, with that directory as ``PWD``, for as long as this object lives."""
        array = type(self.array).from_buffer_copy(self.array)
        array[len(array) - 2] = _variable("PWD", directory)
        return array


@functools.cache
def _libc() -> Any:
    """Return the C library, if it has all that is needed; it keeps the interpreter's lock."""
    try:
        libc = ctypes.PyDLL(None)
        libc.posix_spawn_file_actions_addchdir_np  # noqa: B018 - whether it is there is the question
        libc.posix_spawn_file_actions_addclosefrom_np  # noqa: B018 - as above
        libc.gnu_get_libc_version  # noqa: B018 - the numbers above are glibc's
    except (AttributeError, OSError, TypeError):
        return None
    return libc


@functools.cache
def _posix_spawn() -> Any:
    """Return the one function that lets go of the interpreter's lock."""
    return ctypes.CDLL(None).posix_spawn


def is_available() -> bool:
    """Whether this machine's C library can do it."""
    return _libc() is not None


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    errors: int | None = None,
    directory: int | None = None,
) -> int:
    """Start `argv` in a session of its own, with an empty standard input; return its process id. Blocks: for threads.

    Arguments as for `runtime.process.child.spawn`; the descriptors are none of the first three. In a
    `SharedEnvironment` ``PWD`` becomes `cwd`; any other is taken as it is.

    Raises:
        OSError: if it cannot be started; it is about the program, or about the directory if that is at fault.
        ValueError: if something of it is no text that a program can be given.
    """
    program = _text(argv[0])
    words = _array(map(_text, argv))
    if not isinstance(env, SharedEnvironment):
        environment = _array(_variables(env))
    else:
        environment = env.array if cwd is None else env.array_in(cwd)
    where = directory if directory is not None or cwd is None else _text(cwd)
    with _Actions(where, output, output if errors is None else errors) as actions:
        spawn, attributes, found = _posix_spawn(), _attributes(), errno.ENOENT
        for place in _places(program, env):
            pid = ctypes.c_int()
            error = spawn(ctypes.byref(pid), place, actions, attributes, words, environment)
            if error == 0:
                return pid.value
            if error not in (errno.ENOENT, errno.ENOTDIR):
                found = error  # goes before what was not found elsewhere
            if error not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                break
    is_there = cwd is None or directory is not None or (os.path.isdir(cwd) and os.access(cwd, os.X_OK))
    if not is_there and found in (errno.ENOENT, errno.EACCES):
        os.scandir(cwd).close()  # which says what is the matter with it
    raise OSError(found, os.strerror(found), argv[0] if is_there else cwd)


def _places(program: bytes, env: Mapping[str, str]) -> Iterable[bytes]:
    if b"/" in program:
        return [program]
    return [os.path.join(os.fsencode(directory), program) for directory in os.get_exec_path(env)]


def _text(text: str) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        msg = f"{text!r} has a NUL byte"
        raise ValueError(msg)
    return encoded


def _variable(name: str, value: str) -> bytes:
    if not name or "=" in name:
        msg = f"{name!r} is no name of an environment variable"
        raise ValueError(msg)
    return _text(f"{name}={value}")


def _variables(variables: Mapping[str, str]) -> Iterable[bytes]:
    return (_variable(name, value) for name, value in variables.items())


def _array(texts: Iterable[bytes | None]) -> Any:
    pointers = [*texts, None]
    return (ctypes.c_char_p * len(pointers))(*pointers)


class _Actions:
    """What the child does with its directory and its descriptors, before it becomes the program."""

    def __init__(self, directory: bytes | int | None, output: int, errors: int) -> None:
        self._wanted = (directory, output, errors)

    def __enter__(self) -> Any:
        libc, self._actions = _libc(), _Structure()
        directory, output, errors = self._wanted
        _check(libc.posix_spawn_file_actions_init(self._actions))
        _check(libc.posix_spawn_file_actions_addopen(self._actions, 0, os.fsencode(os.devnull), os.O_RDONLY, 0))
        _check(libc.posix_spawn_file_actions_adddup2(self._actions, output, 1))
        _check(libc.posix_spawn_file_actions_adddup2(self._actions, errors, 2))
        if isinstance(directory, int):
            _check(libc.posix_spawn_file_actions_addfchdir_np(self._actions, directory))
        _check(libc.posix_spawn_file_actions_addclosefrom_np(self._actions, 3))
        if isinstance(directory, bytes):
            _check(libc.posix_spawn_file_actions_addchdir_np(self._actions, directory))
        return self._actions

    def __exit__(self, *_: object) -> None:
        _libc().posix_spawn_file_actions_destroy(self._actions)


@functools.cache
def _attributes() -> Any:
    """Return what every child is like: in a session of its own, with all signals as usual, and none blocked.

    Python ignores SIGPIPE and SIGXFSZ, and whoever started us perhaps others, such as SIGINT in a shell's background.
    """
    libc, attributes, signals, none = _libc(), _Structure(), _Structure(), _Structure()
    _check(libc.posix_spawnattr_init(attributes))
    libc.sigemptyset(signals)
    for number in signal.valid_signals():
        libc.sigaddset(signals, int(number))
    _check(libc.posix_spawnattr_setsigdefault(attributes, signals))
    libc.sigemptyset(none)
    _check(libc.posix_spawnattr_setsigmask(attributes, none))
    _check(libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)))
    return attributes


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
