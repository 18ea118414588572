"""File operations below a directory that is held open, which are safe against what jobs put in the place of files.

A job runs as the user of the runtime. So it can replace any file of a run, and any directory above it, by a symbolic
link, a FIFO, a hard link, a device or a socket, and can do so between two checks. A path is therefore no safe way to a
file. A *root* is: the descriptor of a directory that was opened before any job ran, as in Go's `os.Root` and libpathrs.
Everything below a root is opened in this module, and nowhere else, by these rules:

- No component of the path may be a symbolic link or lead out of the root: ``openat2`` with `RESOLVE_BENEATH` and
  `RESOLVE_NO_SYMLINKS`, in one system call. A kernel before 5.6 does not have it (ENOSYS), and a seccomp filter that
  does not know it refuses it (EPERM or ENOSYS); then the components are opened one by one with `O_NOFOLLOW`.
- Opening never blocks (`O_NONBLOCK`): neither for the other end of a FIFO nor for the holder of a lease.
- Before an existing file is truncated or written, it is checked to be a regular file of ours with one link: no flag
  refuses a hard link to another user's file.

Guards import this module, too (`runtime.helper.boot`). So it may import the standard library only, and little of that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than importing all of this module
    from typing import Final

_OPENAT2: Final = 437
"""The number of the system call, the same on every architecture."""
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_FALL_BACK: Final = (errno.ENOSYS, errno.EPERM, errno.EAGAIN)
"""Errors of ``openat2`` after which `_walk` opens the components one by one. EAGAIN: a concurrent rename, so that the
kernel cannot tell whether the path left the root."""

_ALWAYS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_EXCL: Final = os.O_EXCL
_FOR_NEW: Final = _ALWAYS & ~os.O_NONBLOCK
"""`_ALWAYS`, where only a new file is opened, which cannot block."""
_WITH_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""The flags that ``openat2`` accepts together with `O_PATH`, which never blocks."""
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class _How(ctypes.Structure):
    """``struct open_how``."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall: Final = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
_HOW_SIZE: Final = ctypes.sizeof(_How)
_hows: Final[dict[tuple[int, int], _How]] = {}
"""By flags and mode, of which a program uses a few: the kernel only reads them."""


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
        ValueError: if no path can be like this: it has a NUL, or a character that file names cannot have.
    """
    flags |= _FOR_NEW if flags & _EXCL else _ALWAYS
    raw = path if isinstance(path, bytes) else os.fsencode(path)
    if b"/" not in raw and raw != b"..":
        return os.open(path, flags, mode, dir_fd=root)  # for a single component as safe as `openat2`, and faster
    if b"\0" in raw:  # as `os.open` does; the system call would open the part before it
        raise ValueError("embedded null byte")
    if flags & os.O_PATH:
        flags &= _WITH_PATH
    how = _hows.get((flags, mode)) or _how(flags, mode)
    number = errno.EINTR
    while number == errno.EINTR:  # `os.open` retries after a signal by itself (PEP 475), `ctypes` does not
        fd: int = _syscall(_OPENAT2, root, raw, how, _HOW_SIZE)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
    if number in _FALL_BACK:
        return _walk(root, raw, path, flags, mode)
    raise OSError(number, os.strerror(number), path)


def _how(flags: int, mode: int) -> _How:
    how = _hows[flags, mode] = _How(flags, mode if flags & os.O_CREAT else 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    return how


def _walk(root: int, raw: bytes, path: str | bytes, flags: int, mode: int) -> int:
    """Return what `open_below` does, without ``openat2``: open the components one by one."""
    here = root
    try:
        if raw.startswith(b"/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)  # as ``RESOLVE_BENEATH`` does
        *parents, name = [part for part in raw.split(b"/") if part]
        for part in parents:
            _refuse_parent(part, path)
            # With the flags of `_ALWAYS`, a symbolic link fails here with ENOTDIR. No job can put one in between: each
            # component is opened relative to the descriptor of the one before.
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
    """The directory that a path is in: a context that gives its descriptor, and the last component of the path.

    For system calls that take no flags such as `O_NOFOLLOW`, and never follow the last component.
    """

    def __init__(self, root: int, path: str | bytes) -> None:
        self._root = root
        self._path = path
        self._fd = root

    def __enter__(self) -> tuple[int, bytes]:
        directory, _, name = os.fsencode(self._path).rpartition(b"/")
        _refuse_parent(name, self._path)
        if directory:
            self._fd = open_below(self._root, directory, _DIRECTORY)
        return self._fd, name

    def __exit__(self, *_: object) -> None:
        if self._fd != self._root:
            os.close(self._fd)


def open_directory(root: int, path: str | bytes) -> int:
    """Return a descriptor of a directory, for paths below it, not for listing it. Raises as `open_below`."""
    return open_below(root, path, _DIRECTORY)


def make_new_directory(root: int, path: bytes, mode: int = 0o777) -> int:
    """Make a directory whose parent exists; return a descriptor as `open_directory` does.

    Raises:
        FileExistsError: if anything has that name.
        OSError: as `open_below`.
    """
    if b"/" in path:
        with _Parent(root, path) as (fd, name):
            return make_new_directory(fd, name, mode)
    os.mkdir(path, mode, dir_fd=root)
    return os.open(path, _DIRECTORY | _ALWAYS, dir_fd=root)


def make_directory(root: int, path: str) -> int:
    """Make a directory and its parents, unless they exist; return a descriptor as `open_directory` does.

    Raises:
        OSError: as `open_below`; also if one of them exists and is no directory.
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
            pass  # if it is no directory, the next line raises; to check it here would be a race
        return open_directory(parent, name)
    finally:
        if parent != root:
            os.close(parent)


def create(root: int, path: str | bytes, mode: int, flags: int = 0) -> int:
    """Return a descriptor for writing to a new file.

    Raises:
        FileExistsError: if anything has that name.
        OSError: as `open_below`.
    """
    return open_below(root, path, _NEW | flags, mode)


def create_in(directory: int, name: str | bytes, mode: int, flags: int = 0) -> int:
    """Do what `create` does, for a name without a slash in an opened directory. Quicker."""
    return os.open(name, _NEW | _FOR_NEW | flags, mode, dir_fd=directory)


def open_empty(root: int, path: str, mode: int, flags: int = 0) -> int:
    """Return a descriptor for writing to an empty file: a new one, or an existing one of ours, which is truncated.

    Raises:
        OSError: as `open_below`; or if what exists is no regular file, is not ours, or has further links. Then it was
            not changed.
    """
    try:
        return create(root, path, mode, flags)
    except FileExistsError:
        # Without O_TRUNC, which would empty a file before it is checked.
        fd = open_below(root, path, os.O_WRONLY | flags)
    try:
        _check_ours(root, fd, path)
        os.ftruncate(fd, 0)
        os.set_blocking(fd, True)  # `open_below` added O_NONBLOCK, which the job would inherit with its log
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_to_append(root: int, path: str, mode: int) -> int:
    """Return a descriptor for reading, and appending to, a regular file of ours, which is made unless it exists.

    Raises:
        OSError: as `open_empty`.
    """
    # Without O_EXCL: two processes that start together get the same file, and can lock it against each other.
    fd = open_below(root, path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        _check_ours(root, fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_ours(root: int, fd: int, path: str) -> None:
    """Raise `OSError` if an opened file may not be written: it is no regular file, not ours, or has further links."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path)
    if found.st_nlink != 1:
        raise OSError(errno.EMLINK, f"is a file with {found.st_nlink} names, which may be another user's", path)
    # File systems that map users (NFS with root_squash, vfat, a directory that a virtual machine shares) give our files
    # to another user, and the root, too.
    if found.st_uid != os.geteuid() and found.st_uid != os.fstat(root).st_uid:
        raise OSError(errno.EACCES, "belongs to another user", path)


def open_regular(root: int, path: str | bytes) -> int:
    """Return a descriptor for reading a regular file.

    Raises:
        OSError: as `open_below`; or if it is no regular file.
    """
    # Checked after opening, by the descriptor: before, a job could replace the file in between.
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
    """Make an empty file, unless something has that name; return whether a regular file is there then.

    What exists is not opened.

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
    """Write a file atomically: other processes see the old content or all of the new one. Raises as `open_below`."""
    # In the same directory, because `rename` is atomic only within one file system.
    temporary = f"{path}.new"
    unlink(root, temporary, missing_ok=True)  # left by a process that was killed, or planted by a job
    fd = create(root, temporary, mode)
    try:
        os.fchmod(fd, mode)  # the umask applies to `create`, and does not apply here
        write_all(fd, content)
        rename(root, temporary, path)
    except BaseException:
        unlink(root, temporary, missing_ok=True)
        raise
    finally:
        os.close(fd)


def rename(root: int, path: str, new: str) -> None:
    """Rename a file or directory; replace what has the new name, unless that is a directory. Raises as `open_below`."""
    with _Parent(root, path) as (fd, name), _Parent(root, new) as (new_fd, new_name):
        os.rename(name, new_name, src_dir_fd=fd, dst_dir_fd=new_fd)


def make_link(root: int, path: str, target: str) -> None:
    """Make a symbolic link with the content `target`, which is not looked at.

    Raises:
        FileExistsError: if anything has that name.
        OSError: as `open_below`.
    """
    with _Parent(root, path) as (fd, name):
        os.symlink(os.fsencode(target), name, dir_fd=fd)


def unlink(root: int, path: str, *, missing_ok: bool = False) -> None:
    """Remove a path that is no directory. Raises as `open_below`."""
    with _Parent(root, path) as (fd, name):
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            if not missing_ok:
                raise


def remove_empty(root: int, path: str) -> None:
    """Remove a directory that is empty. Raises as `open_below`; also if it is not empty, or no directory."""
    with _Parent(root, path) as (fd, name):
        os.rmdir(name, dir_fd=fd)


def remove(root: int, path: str) -> None:
    """Remove a file, or a directory with all that is in it, if it exists. Raises as `open_below`.

    Directories of ours that have no permission to be read or written, as tools leave them, get it first.
    """
    with _Parent(root, path) as (parent, name):
        if _unlink_file(parent, name):
            return
        _make_writable(parent, name)
        # A job can nest directories deeper than Python's stack or our limit of descriptors allows. So there is no
        # recursion: a directory inside of a directory is moved up to the top before its parent is removed.
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
                            _make_writable(directory, each)  # moving a directory changes its `..`, which is a write
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
    """Give the owner of a directory all permissions, if it is ours. If that fails, it keeps those that it has."""
    fd = open_below(parent, name, _DIRECTORY)
    try:
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            # By this path, because `fchmod` refuses a descriptor with `O_PATH`.
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
    except OSError:
        pass  # ``/proc`` may be missing. What needs the permission will fail with its own error.
    finally:
        os.close(fd)


def _unlink_file(directory: int, name: str | bytes) -> bool:
    """Remove a path that is no directory; return whether nothing has that name then."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        return False
    return True
