"""Makes the files of a job, starts its program, and reads its log: the file system's side of a shim."""

from __future__ import annotations

import errno
import os

from runtime import rooted
from runtime.process.guard.messages import SHORT_LOG
from runtime.process.guard.system_calls import ALL_SIGNALS
from runtime.process.inherited import FIRST_INHERITED, InheritedSources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def make_files(root: int, directory: bytes, log: bytes, environment_file: bytes, dump: bytes) -> tuple[int, int]:
    """Make the directory of a job, its log, and a file with `dump` that only the user can read. None of them may exist.

    Returns:
        Descriptors of the directory, and for appending to the log.

    Raises:
        OSError: if one of them exists, or cannot be made; those that were made stay.
    """
    made = rooted.make_new_directory(root, directory)
    try:
        fd = rooted.create_in(made, environment_file, 0o600)
        try:
            # A disk that becomes full may take a part.
            if os.write(fd, dump) < len(dump):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), environment_file)
        finally:
            os.close(fd)
        return made, rooted.create_in(made, log, 0o666, os.O_APPEND)
    except BaseException:
        os.close(made)
        raise


def short_log(root: int, path: bytes) -> bytes | None:
    """Return the content of a log; `None` if it is longer than `SHORT_LOG`, not a regular file, or cannot be read."""
    try:
        return read_short(rooted.open_regular(root, path))
    except OSError:
        return None


def read_short(fd: int) -> bytes | None:
    """Return the content of a file that was just opened, and close it; `None` if it is longer than `SHORT_LOG`.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        text = os.read(fd, SHORT_LOG + 1)
    finally:
        os.close(fd)
    return text if len(text) <= SHORT_LOG else None


class StrandedError(Exception):
    """A thread cannot leave a cgroup that it has entered."""


class EnteredCgroup:
    """A ``with`` block in which this thread is in another cgroup: what it starts begins there, before its first step.

    Args:
        entry: the files in which a thread writes ``0`` to enter that cgroup, and to return to its own.

    Raises:
        OSError: when the block begins, if it cannot enter.
        StrandedError: when the block ends, if it cannot return, also in place of an exception of the block. What this
            thread starts from now on would begin there.
    """

    def __init__(self, entry: tuple[bytes, bytes]) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        enter, leave = self._entry
        self._leave = os.open(leave, os.O_WRONLY | os.O_CLOEXEC)  # first: it must not stay for want of a descriptor
        try:
            fd = os.open(enter, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, b"0")
            finally:
                os.close(fd)
        except BaseException:
            os.close(self._leave)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            os.write(self._leave, b"0")
        except OSError as exc:
            raise StrandedError(str(exc)) from exc
        finally:
            os.close(self._leave)


def start(
    argv: list[bytes],
    environment: dict[bytes, bytes],
    output: int,
    inherited: Sequence[int] = (),
    cgroup: tuple[bytes, bytes] | None = None,
) -> int:
    """Start a program in a session of its own, looked up in the ``PATH`` of `environment`; return its pid.

    Args:
        argv: the program and its arguments.
        environment: its environment.
        output: the descriptor that becomes its standard output and its standard error.
        inherited: the descriptors that it has beside that, from `FIRST_INHERITED` on.
        cgroup: as for `EnteredCgroup`; `None` for that of this process.
    """
    if cgroup is not None:
        return _start_in(cgroup, argv, environment, output, inherited)
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    if not inherited:
        return _start(argv, environment, actions)
    with InheritedSources(inherited) as sources:
        for number, source in enumerate(sources, FIRST_INHERITED):
            actions.append((os.POSIX_SPAWN_DUP2, source, number))
        return _start(argv, environment, actions)


def _start_in(
    cgroup: tuple[bytes, bytes],
    argv: list[bytes],
    environment: dict[bytes, bytes],
    output: int,
    inherited: Sequence[int],
) -> int:
    try:
        with EnteredCgroup(cgroup):
            return start(argv, environment, output, inherited)
    except StrandedError:
        # Whether or not the program was started: another job must not begin there. What this process leaves is killed
        # by its supervisor.
        os._exit(1)


def _start(argv: list[bytes], environment: dict[bytes, bytes], actions: list[tuple[int, int, int]]) -> int:
    program = argv[0]
    candidates = [program]
    if b"/" not in program:
        path = environment.get(b"PATH", os.fsencode(os.defpath))
        candidates = [directory + b"/" + program if directory else program for directory in path.split(b":")]
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    for candidate in candidates:
        try:
            return os.posix_spawn(
                candidate,
                argv,
                environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                # Python ignores two of them, and the process that started the runtime perhaps others, such as SIGINT in
                # a shell's background. All, because the C library has to look up the action of each that is not given,
                # which takes longer than to set it.
                setsigdef=ALL_SIGNALS,
            )
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise OSError(exc.errno, os.strerror(exc.errno or 0), program) from None
            if exc.errno == errno.EACCES:  # says more than that there is no such file in the other directories
                what = os.strerror(errno.EACCES)
                error = PermissionError(errno.EACCES, what, program)  # type: ignore[assignment]  # any `OSError` will do
    raise error
