"""Files below a directory that is held open: what jobs have put in their place is not opened, followed or waited for.

A job runs as the user of the runtime. So in the place of any file of a run, and of each directory above it, it may have
put a symbolic link, a FIFO, a hard link, a device, a socket, anything; and may do so between two looks. A path is
therefore no way to a file. A *root* is: the descriptor of a directory, opened before any job ran (Go's `os.Root` and
libpathrs have the same notion). Everything below it is opened here, and nowhere else, by these rules:

- No component of the path is a symbolic link, and none leads out of the root: ``openat2`` with `RESOLVE_BENEATH` and
  `RESOLVE_NO_SYMLINKS`, one call to the system. Where a kernel before 5.6 does not have it, or a seccomp filter that
  is older than it says EPERM or ENOSYS, one component after the other is opened with `O_NOFOLLOW`.
- Opening never waits (`O_NONBLOCK`): not for the other end of a FIFO, nor for whoever holds a lease.
- Before a file that was there already is truncated or written, it is seen to be a regular file, ours, with one link: a
  hard link to somebody's file passes all flags.

The helper programs, which never import `runtime`, load this file from its directory: so it needs the standard library
alone, and little of that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes longer to import than all of this
    from typing import Any, Final

_OPENAT2: Final = 437
"""Its number on each architecture."""
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_NOT_THERE: Final = (errno.ENOSYS, errno.EPERM, errno.EAGAIN)
"""Errors of ``openat2`` after which the path is walked. EAGAIN means a rename raced with it."""

_ALWAYS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_WITH_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""What ``openat2`` takes together with `O_PATH`; to open so waits for nobody anyway."""
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class _How(ctypes.Structure):
    """``struct open_how``."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall: Any = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def open_below(root: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Return a descriptor for `path`, which is relative to the directory `root`; it is closed in children.

    Args:
        root: the descriptor of a directory.
        path: without ``..``; ``.`` is the root itself.
        flags: as for `os.open`; `O_NOFOLLOW`, `O_NONBLOCK`, `O_CLOEXEC` and `O_NOCTTY` are added.
        mode: of a new file.

    Raises:
        OSError: if it cannot be opened; with `errno.ELOOP` or `errno.ENOTDIR` for a symbolic link, with `errno.EXDEV`
            for a path that leads out.
    """
    raw = os.fsencode(path)
    flags |= _ALWAYS
    if flags & os.O_EXCL:
        flags &= ~os.O_NONBLOCK  # nothing that is there is opened, so nothing is waited for
    if b"/" not in raw:
        _refuse_parent(raw, path)
        return os.open(path, flags, mode, dir_fd=root)  # no component but the last: as good as `openat2`, and quicker
    if flags & os.O_PATH:
        flags &= _WITH_PATH
    how = _How(flags, mode if flags & os.O_CREAT else 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    number = errno.EINTR
    while number == errno.EINTR:  # `os.open` begins again after a signal; this has to as well
        fd: int = _syscall(ctypes.c_long(_OPENAT2), root, raw, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
    if number in _NOT_THERE:
        return _walk(root, raw, path, flags, mode)
    raise OSError(number, os.strerror(number), path)


def _walk(root: int, raw: bytes, path: str | bytes, flags: int, mode: int) -> int:
    """Do what `open_below` does, component by component."""
    here = root
    try:
        if raw.startswith(b"/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        *parents, name = [part for part in raw.split(b"/") if part]
        for part in parents:
            _refuse_parent(part, path)
            below = os.open(part, _DIRECTORY | _ALWAYS, dir_fd=here)
            if here != root:
                os.close(here)
            here = below
        _refuse_parent(name, path)
        return os.open(name, flags, mode, dir_fd=here)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from None
    finally:
        if here != root:
            os.close(here)


def _refuse_parent(name: bytes, path: str | bytes) -> None:
    if name == b"..":
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


class _Parent:
    """The directory that something is in: a context with its descriptor and the name there, of the path's type."""

    def __init__(self, root: int, path: str | bytes) -> None:
        self._root = root
        self._path = path
        self._fd = root

    def __enter__(self) -> tuple[int, Any]:
        directory, name = os.path.split(self._path)
        _refuse_parent(os.fsencode(name), self._path)
        if directory:
            self._fd = open_below(self._root, directory, _DIRECTORY)
        return self._fd, name

    def __exit__(self, *_: object) -> None:
        if self._fd != self._root:
            os.close(self._fd)


def open_directory(root: int, path: str | bytes) -> int:
    """Return a descriptor of a directory, for what is below it; not for reading it. Raises as `open_below`."""
    return open_below(root, path, _DIRECTORY)


def make_new_directory(root: int, path: bytes) -> int:
    """Make a directory whose parent is there; return a descriptor as `open_directory` does.

    Raises:
        FileExistsError: if there is something, whatever it is.
        OSError: as `open_below`.
    """
    with _Parent(root, path) as (fd, name):
        os.mkdir(name, dir_fd=fd)
        return open_directory(fd, name)


def make_directory(root: int, path: str) -> int:
    """Make a directory and its parents, unless they are there; return a descriptor as `open_directory` does.

    Raises:
        OSError: as `open_below`; also if something else is there.
    """
    directory, _, name = path.rpartition("/")
    parent = root
    try:
        if directory:
            try:
                parent = open_directory(root, directory)
            except FileNotFoundError:
                parent = make_directory(root, directory)
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            pass  # it is a directory, or cannot be opened as one
        return open_directory(parent, name)
    finally:
        if parent != root:
            os.close(parent)


def create(root: int, path: str | bytes, mode: int, flags: int = 0) -> int:
    """Return a descriptor for writing to a new file.

    Raises:
        FileExistsError: if there is something, whatever it is.
        OSError: as `open_below`.
    """
    return open_below(root, path, _NEW | flags, mode)


def open_empty(root: int, path: str, mode: int, flags: int = 0) -> int:
    """Return a descriptor for writing to a file that is empty now: a new one, or one of ours that was there.

    Raises:
        OSError: as `open_below`; or if what is there is no regular file, is not ours, or has further links: then
            nothing was changed.
    """
    try:
        return create(root, path, mode, flags)
    except FileExistsError:
        fd = open_below(root, path, os.O_WRONLY | flags)
    try:
        _check_ours(root, fd, path)
        os.ftruncate(fd, 0)
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_ours(root: int, fd: int, path: str) -> None:
    """See that what was opened may be written.

    On file systems that map users (NFS without root, vfat, what a virtual machine shares) what we make is owned by
    somebody else, who then owns the root as well.
    """
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path)
    if found.st_nlink != 1:
        raise OSError(errno.EMLINK, f"is a file with {found.st_nlink} names, which may be somebody else's", path)
    if found.st_uid != os.geteuid() and found.st_uid != os.fstat(root).st_uid:
        raise OSError(errno.EACCES, "belongs to somebody else", path)


def open_regular(root: int, path: str | bytes) -> int:
    """Return a descriptor for reading a regular file.

    Raises:
        OSError: as `open_below`; or if it is no regular file.
    """
    fd = open_below(root, path, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is no regular file", path)
    return fd


def status(root: int, path: str | bytes) -> os.stat_result:
    """Return what `os.lstat` would. Raises as `open_below`."""
    with _Parent(root, path) as (fd, name):
        return os.stat(name, dir_fd=fd, follow_symlinks=False)


def touch(root: int, path: str | bytes) -> bool:
    """See that there is a file; return whether there is a regular one. What is there already is not even opened.

    Raises:
        OSError: as `open_below`.
    """
    try:
        os.close(create(root, path, 0o666))
    except FileExistsError:
        return stat.S_ISREG(status(root, path).st_mode)
    return True


def write_all(fd: int, content: bytes) -> None:
    """Write all of `content`."""
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def replace(root: int, path: str, content: bytes, mode: int) -> None:
    """Write a file that others see whole or not at all. Raises as `open_below`."""
    temporary = f"{path}.new"
    unlink(root, temporary, missing_ok=True)  # of a process that was killed, or planted
    fd = create(root, temporary, mode)
    try:
        os.fchmod(fd, mode)
        write_all(fd, content)
        rename(root, temporary, path)
    except BaseException:
        unlink(root, temporary, missing_ok=True)
        raise
    finally:
        os.close(fd)


def rename(root: int, path: str, new: str) -> None:
    """Rename something; what has the new name, if it is no directory, is gone. Raises as `open_below`."""
    with _Parent(root, path) as (fd, name), _Parent(root, new) as (new_fd, new_name):
        os.rename(name, new_name, src_dir_fd=fd, dst_dir_fd=new_fd)


def unlink(root: int, path: str, *, missing_ok: bool = False) -> None:
    """Remove what is no directory. Raises as `open_below`."""
    with _Parent(root, path) as (fd, name):
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            if not missing_ok:
                raise


def remove(root: int, path: str) -> None:
    """Remove whatever is there, with all that is in it, if it is anything. Raises as `open_below`.

    What a job has made may be deeper than Python's stack or our descriptors reach. So no descent is made: directories
    in directories are brought up first. Nor does it matter that one of ours may not be written or read, as tools leave
    it: that is changed.
    """
    with _Parent(root, path) as (parent, name):
        if _unlink_file(parent, name):
            return
        _make_writable(parent, name)
        top = open_below(parent, name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            waiting = os.listdir(top)
            brought_up = 0
            while waiting:
                inner = waiting.pop()
                if _unlink_file(top, inner):
                    continue
                _make_writable(top, inner)
                directory = open_below(top, inner, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    for each in os.listdir(directory):
                        if not _unlink_file(directory, each):
                            _make_writable(directory, each)  # its `..` is about to change
                            fresh = f".{os.urandom(6).hex()}-{brought_up}"
                            os.rename(each, fresh, src_dir_fd=directory, dst_dir_fd=top)
                            waiting.append(fresh)
                            brought_up += 1
                finally:
                    os.close(directory)
                os.rmdir(inner, dir_fd=top)
        finally:
            os.close(top)
        os.rmdir(name, dir_fd=parent)


def _make_writable(parent: int, name: str | bytes) -> None:
    """Let the owner of a directory do with it what he likes, if that is us. What cannot be changed is left as it is."""
    fd = open_below(parent, name, _DIRECTORY)
    try:
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(found.st_mode) | stat.S_IRWXU)  # `fchmod` takes no such `fd`
    except OSError:
        pass  # as without ``/proc``: then what needs it says so
    finally:
        os.close(fd)


def _unlink_file(directory: int, name: str) -> bool:
    """Remove what is no directory; return whether nothing is left."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        return False
    return True
