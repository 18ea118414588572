"""`start`: start a process without holding the GIL.

`subprocess` and `os.posix_spawn` hold the GIL until the child has executed its program. That is most of the cost of a
process, so launches in several threads run one after the other, and the event loop waits for each: of 2.1 ms per job of
a local backend without containment, 1.8 were spent there. The `posix_spawn` of the C library does all that is needed
(session, directory, descriptors, signals), and is called here without the GIL.

This needs glibc 2.34 or later. With any other C library `is_available` is false, and `subprocess` is used.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from runtime.process.inherited import FIRST_INHERITED, InheritedSources

_SETSIGDEF: Final = 0x04
_SETSIGMASK: Final = 0x08
_SETSID: Final = 0x80
"""Flags, from glibc's spawn.h."""

_STRUCTURE_WORDS: Final = 64
"""64-bit words for each of the opaque structures of spawn.h and signal.h, the largest of which has 42."""

_Structure: Final = ctypes.c_uint64 * _STRUCTURE_WORDS


class SharedEnvironment(dict[str, str]):
    """What the environments of many processes share, which does not change: it is converted to a C array only once."""

    @functools.cached_property
    def array(self) -> ctypes.Array[ctypes.c_char_p]:
        """The C array of the variables. Raises as `start` does."""
        return _array(_variables(self))

    def extended(self, own: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment of a process that has these variables, and those of `own`, which win."""
        return ExtendedEnvironment(self, own) if self.keys().isdisjoint(own) else {**self, **own}


class ExtendedEnvironment(dict[str, str]):
    """The environment of a process that adds some variables to those that it shares, and replaces none of them."""

    def __init__(self, shared: SharedEnvironment, own: Mapping[str, str]) -> None:
        super().__init__({**shared, **own})
        self._shared = shared
        self._own = own

    @property
    def array(self) -> ctypes.Array[ctypes.c_char_p]:
        """The C array of the variables, made of the shared one. Raises as `start` does.

        It is valid while this object exists.
        """
        shared = self._shared.array
        count = len(shared) - 1  # without the end of the array
        array = (ctypes.c_char_p * (count + len(self._own) + 1))()
        ctypes.memmove(array, shared, count * ctypes.sizeof(ctypes.c_char_p))
        for number, variable in enumerate(_variables(self._own), count):
            array[number] = variable
        return array


_NEEDED: Final = (
    "posix_spawn_file_actions_addchdir_np",
    "posix_spawn_file_actions_addclosefrom_np",
    "gnu_get_libc_version",  # the numbers above are glibc's
)


@functools.cache
def _libc() -> ctypes.PyDLL:
    """Return the C library. Its functions hold the GIL."""
    return ctypes.PyDLL(None)


@functools.cache
def _posix_spawn() -> Callable[..., int]:
    """Return `posix_spawn`, which releases the GIL."""
    return ctypes.CDLL(None).posix_spawn


@functools.cache
def is_available() -> bool:
    """Whether the C library has all that `start` needs."""
    try:
        return all(hasattr(_libc(), name) for name in _NEEDED)
    except (OSError, TypeError):
        return False


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    errors: int | None = None,
    directory: int | None = None,
    inherited: Sequence[int] = (),
) -> int:
    """Start `argv` in a session of its own, with an empty standard input; return its process id. Blocks: for threads.

    Arguments as for `runtime.process.child.spawn`; the descriptors must not be 0, 1 or 2.

    Raises:
        OSError: if it cannot be started; it names the program, or the directory if that is at fault.
        ValueError: if an argument or variable cannot be passed to a program, as one with a NUL byte.
    """
    if not inherited:
        return _start(argv, env, cwd, output, errors, directory)
    with InheritedSources(inherited) as sources:
        return _start(argv, env, cwd, output, errors, directory, sources)


def _start(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    errors: int | None,
    directory: int | None,
    inherited: Sequence[int] = (),
) -> int:
    program = _text(argv[0])
    words = _array(map(_text, argv))
    if isinstance(env, SharedEnvironment | ExtendedEnvironment):
        environment = env.array
    else:
        environment = _array(_variables(env))
    where = directory if directory is not None or cwd is None else _text(cwd)
    with _Actions(where, output, output if errors is None else errors, inherited) as actions:
        spawn, attributes, found = _posix_spawn(), _attributes(), errno.ENOENT
        for candidate in _candidates(program, env):
            pid = ctypes.c_int()
            error = spawn(ctypes.byref(pid), candidate, actions, attributes, words, environment)
            if error == 0:
                return pid.value
            if error not in (errno.ENOENT, errno.ENOTDIR):
                found = error  # says more than that there is no such file in the other directories
            if error not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                break
    is_there = cwd is None or directory is not None or (os.path.isdir(cwd) and os.access(cwd, os.X_OK))
    if not is_there and found in (errno.ENOENT, errno.EACCES):
        os.scandir(cwd).close()  # raises an error about the directory
    raise OSError(found, os.strerror(found), argv[0] if is_there else cwd)


def _candidates(program: bytes, env: Mapping[str, str]) -> Iterable[bytes]:
    if b"/" in program:
        return [program]
    return [os.path.join(os.fsencode(directory), program) for directory in os.get_exec_path(env)]


def _text(text: str) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        raise ValueError(f"{text!r} has a NUL byte")
    return encoded


def _variable(name: str, value: str) -> bytes:
    if not name or "=" in name:
        raise ValueError(f"{name!r} is no name of an environment variable")
    return _text(f"{name}={value}")


def _variables(variables: Mapping[str, str]) -> Iterable[bytes]:
    return (_variable(name, value) for name, value in variables.items())


def _array(texts: Iterable[bytes | None]) -> ctypes.Array[ctypes.c_char_p]:
    pointers = [*texts, None]
    return (ctypes.c_char_p * len(pointers))(*pointers)


class _Actions:
    """What the child does with its directory and its descriptors before it executes the program."""

    def __init__(self, directory: bytes | int | None, output: int, errors: int, inherited: Sequence[int]) -> None:
        self._arguments = (directory, output, errors)
        self._inherited = inherited

    def __enter__(self) -> ctypes.Array[ctypes.c_uint64]:
        libc, self._actions = _libc(), _Structure()
        directory, output, errors = self._arguments
        _check(libc.posix_spawn_file_actions_init(self._actions))
        _check(libc.posix_spawn_file_actions_addopen(self._actions, 0, os.fsencode(os.devnull), os.O_RDONLY, 0))
        _check(libc.posix_spawn_file_actions_adddup2(self._actions, output, 1))
        _check(libc.posix_spawn_file_actions_adddup2(self._actions, errors, 2))
        if isinstance(directory, int):
            # Before `closefrom`, which closes the descriptor.
            _check(libc.posix_spawn_file_actions_addfchdir_np(self._actions, directory))
        _check(libc.posix_spawn_file_actions_addclosefrom_np(self._actions, self._pass_on() if self._inherited else 3))
        if isinstance(directory, bytes):
            _check(libc.posix_spawn_file_actions_addchdir_np(self._actions, directory))
        return self._actions

    def _pass_on(self) -> int:
        """Give the child the descriptors that it inherits; return the number from which all others are to be closed."""
        libc = _libc()
        for number, source in enumerate(self._inherited, FIRST_INHERITED):
            _check(libc.posix_spawn_file_actions_adddup2(self._actions, source, number))
        for number in range(3, FIRST_INHERITED):  # it is no error if there is none of this number
            _check(libc.posix_spawn_file_actions_addclose(self._actions, number))
        return FIRST_INHERITED + len(self._inherited)

    def __exit__(self, *_: object) -> None:
        _libc().posix_spawn_file_actions_destroy(self._actions)


@functools.cache
def _attributes() -> ctypes.Array[ctypes.c_uint64]:
    """Return the attributes of every child: a session of its own, the default action for all signals, none blocked."""
    # Python ignores SIGPIPE and SIGXFSZ, and the process that started this one perhaps others, such as SIGINT in a
    # shell's background.
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
