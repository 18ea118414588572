"""`Roots`: the directories that hold a run's files, each opened once; and `RootedPath`, a path below one of them.

A path that the user gives may contain the user's own symbolic links. So it is resolved, once: a path of a job file
before any job runs, another one when a backend first sees it. The directory that it led to is held open from then on,
and everything below it is opened by the rules of `runtime.rooted`.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import ExitStack
from typing import Final

from runtime import rooted
from runtime.descriptors import Descriptor

MAX_ROOTS: Final = 64
"""Directories that are held open per run, at most. Arbitrary: each takes a descriptor, and often 1024 are allowed. One
that is not held open is reached from ``/``, without following links; if it is renamed, its files are not found."""

SLASH_NUMBER: Final = 1
"""The `number` of the root that is ``/``."""

_SLASH: Final = "/"
_FLAGS: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """A directory that is held open.

    Args:
        fd: its descriptor, which this object owns and closes.
        path: its path when it was opened, without symbolic links.
        number: how many roots of the run were opened before it.
        slash: the root that is ``/``; `None` for that one itself.
    """

    __slots__ = ("_slash", "descriptor", "number", "path")

    def __init__(self, fd: int, path: str, number: int, slash: Root | None = None) -> None:
        self.descriptor: Final = Descriptor(fd)
        self.path: str = path
        self.number: int = number
        self._slash = slash

    def __repr__(self) -> str:
        return f"<Root {self.descriptor!r} {self.path!r}>"

    def close(self) -> None:
        """Close it when the last call that uses it has returned. Idempotent."""
        self.descriptor.close()

    def recreate(self) -> bool:
        """Make the directory again if it was removed; return whether it was. Blocks.

        Raises:
            OSError: if that fails, as when something else has its name now, or if it is closed.
        """
        if self._slash is None:
            return False
        with self.descriptor as here, self._slash.descriptor as slash:
            if os.fstat(here).st_nlink:
                return False
            fd = rooted.make_directory(slash, self.path[1:])
            # `dup2` replaces the descriptor atomically: with `close` and `open`, a thread that uses it at that moment
            # could get another file.
            os.dup2(fd, here, inheritable=False)
            os.close(fd)
        # Helper processes have inherited the directory that was removed: a number beyond theirs makes them use a path.
        self.number = MAX_ROOTS
        return True


class RootedPath:
    """A path below a root. It is no `os.PathLike`, so that `open` and `os` functions refuse it."""

    __slots__ = ("_text", "relative", "root")

    def __init__(self, root: Root, relative: str, text: str) -> None:
        self.root: Root = root
        self.relative: str = relative
        """The path relative to the root; ``.`` for the root itself."""
        self._text = text

    def __str__(self) -> str:
        """Return the absolute path as the user gave it, for messages and for the job."""
        return self._text

    def __repr__(self) -> str:
        return repr(self._text)

    @property
    def real(self) -> str:
        """The absolute path without symbolic links, as it was when the root was opened."""
        root = "" if self.root.path == _SLASH else self.root.path
        return self.root.path if self.relative == "." else f"{root}/{self.relative}"

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self._text.rpartition("/")[2]

    @property
    def parent(self) -> RootedPath:
        """The directory that contains it."""
        directory, _, _ = self.relative.rpartition("/")
        return RootedPath(self.root, directory or ".", self._text.rpartition("/")[0] or _SLASH)

    def with_name(self, name: str) -> RootedPath:
        """Return the path of `name` in the same directory."""
        directory, slash, _ = self.relative.rpartition("/")
        return RootedPath(self.root, f"{directory}{slash}{name}", f"{self._text.rpartition('/')[0]}/{name}")

    def is_in(self, directory: RootedPath) -> bool:
        """Whether `directory` is its parent."""
        return self.root is directory.root and (self.relative.rpartition("/")[0] or ".") == directory.relative

    def below(self, relative: str) -> RootedPath:
        """Return the path `relative` below this directory."""
        start = "" if self.relative == "." else f"{self.relative}/"
        return RootedPath(self.root, start + relative, f"{self._text.rstrip('/')}/{relative}")

    # Each method does what the function of the same name in `runtime.rooted` does; an error has the absolute path.

    def open_regular(self) -> int:
        """Return a descriptor for reading it."""
        with self._root_fd as root:
            return rooted.open_regular(root, self.relative)

    def open_directory(self) -> int:
        """Return a descriptor for paths below it."""
        with self._root_fd as root:
            return rooted.open_directory(root, self.relative)

    def make_directory(self) -> None:
        """Make it and its parents, unless they exist; also the root, if a job has removed that."""
        os.close(self.make_and_open_directory())

    def make_new_directory(self, mode: int) -> int:
        """Make it, whose parent exists; return a descriptor for paths below it."""
        with self._root_fd as root:
            return rooted.make_new_directory(root, os.fsencode(self.relative), mode)

    def open_to_list(self) -> int:
        """Return a descriptor of this directory for paths below it, and for listing it."""
        with self._root_fd as root:
            return rooted.open_below(root, self.relative, os.O_RDONLY | os.O_DIRECTORY)

    def make_and_open_directory(self) -> int:
        """Make it as `make_directory` does; return a descriptor for paths below it."""
        with self._root_fd as root:
            try:
                return rooted.make_directory(root, self.relative)
            except FileNotFoundError:
                # A directory that was removed while it is open accepts no entries.
                if not self.root.recreate():
                    raise
                return rooted.make_directory(root, self.relative)
        raise AssertionError

    def open_empty(self, mode: int, flags: int = 0, *, directory: int | None = None) -> int:
        """Return a descriptor for writing to it, empty.

        With `directory`, the descriptor of its parent, a new file takes one system call.
        """
        if directory is not None:
            try:
                return rooted.create_in(directory, self.relative.rpartition("/")[2], mode, flags)
            except FileExistsError:
                pass  # the checks of `rooted.open_empty` are needed
            except OSError as exc:
                exc.filename = self._text
                raise
        with self._root_fd as root:
            return rooted.open_empty(root, self.relative, mode, flags)

    def open_to_append(self, mode: int) -> int:
        """Return a descriptor for reading it and appending to it, a file of ours, which is made unless it exists."""
        with self._root_fd as root:
            return rooted.open_to_append(root, self.relative, mode)

    def create(self, mode: int) -> int:
        """Return a descriptor for writing to it, a new file."""
        with self._root_fd as root:
            return rooted.create(root, self.relative, mode)

    def replace(self, content: bytes, mode: int) -> None:
        """Write it atomically."""
        with self._root_fd as root:
            rooted.replace(root, self.relative, content, mode)

    def touch(self) -> bool:
        """Make it, an empty file, unless something has its name; return whether a regular file is there then."""
        with self._root_fd as root:
            return rooted.touch(root, self.relative)

    def status(self) -> os.stat_result:
        """Return what `os.lstat` would."""
        with self._root_fd as root:
            return rooted.status(root, self.relative)

    def exists(self) -> bool:
        """Whether anything has this path. False also if that cannot be determined."""
        try:
            self.status()
        except OSError:
            return False
        return True

    def rename(self, name: str) -> None:
        """Rename it, in the same directory."""
        with self._root_fd as root:
            rooted.rename(root, self.relative, self.with_name(name).relative)

    def names(self) -> list[str]:
        """Return the names of what is in this directory."""
        with self._root_fd as root:
            fd = rooted.open_below(root, self.relative, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return os.listdir(fd)
            finally:
                os.close(fd)

    def sync(self) -> None:
        """Write the names of what is in this directory to disk."""
        with self._root_fd as root:
            fd = rooted.open_below(root, self.relative, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def read(self, most: int) -> bytes:
        """Return the first `most` bytes of this regular file."""
        fd = self.open_regular()
        with open(fd, "rb", buffering=0) as file:
            return file.read(most)

    def make_link(self, target: str) -> None:
        """Make it, a symbolic link with the content `target`."""
        with self._root_fd as root:
            rooted.make_link(root, self.relative, target)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove it, which must not be a directory."""
        with self._root_fd as root:
            rooted.unlink(root, self.relative, missing_ok=missing_ok)

    def remove(self) -> None:
        """Remove it, a file or a directory with all that is in it, if it exists."""
        with self._root_fd as root:
            rooted.remove(root, self.relative)

    def remove_empty(self) -> None:
        """Remove it, a directory that is empty."""
        with self._root_fd as root:
            rooted.remove_empty(root, self.relative)

    @property
    def _root_fd(self) -> _RootFd:
        return _RootFd(self.root.descriptor, self._text)


class _RootFd:
    """A context that gives a root's descriptor, and that sets the file name of an `OSError` to the absolute path.

    That no path can be like this one is such an error, too: a journal, which a job can write, may say anything.
    """

    __slots__ = ("_root", "_text")

    def __init__(self, root: Descriptor, text: str) -> None:
        self._root = root
        self._text = text

    def __enter__(self) -> int:
        try:
            return self._root.__enter__()
        except OSError as exc:
            exc.filename = self._text
            raise

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._root.__exit__()
        if isinstance(error, OSError):
            error.filename = self._text
        elif isinstance(error, ValueError):
            raise _no_path(self._text) from error


def _no_path(text: str) -> OSError:
    return OSError(errno.EINVAL, "is no possible path", text)


def _resolved(path: str) -> str:
    """Return what `os.path.realpath` does; of what no path can be like, raise `OSError`."""
    try:
        return os.path.realpath(path)
    except ValueError as exc:
        raise _no_path(path) from exc


class Roots(os.PathLike[str]):
    """The roots of a run. As a path (`os.fspath`), it is the run directory.

    Args:
        run_dir: the absolute path of the run directory.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self._below = f"{run_dir.rstrip('/')}/"
        self._lock = threading.Lock()
        self._is_open = False
        self._opened: dict[str, Root] = {}
        """Real path to root, in the order in which they were opened."""
        self._known: dict[str, RootedPath] = {}
        """Path that the user gave to the directory that it led to."""
        self._real_parents: dict[str, str] = {}
        """Path to real path, of the parents of directories that were added."""

    def __fspath__(self) -> str:
        return self.run_dir

    def __str__(self) -> str:
        return self.run_dir

    def __repr__(self) -> str:
        return f"<Roots of {self.run_dir!r}, {len(self._opened)} open>"

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and not closed since."""
        return self._is_open

    @property
    def descriptors(self) -> list[Descriptor]:
        """The descriptors of all roots, in the order of their numbers: the run directory, ``/``, then others."""
        return [root.descriptor for root in self._opened.values()]

    def open(self) -> None:
        """Make the run directory, unless it exists, and open it. Blocks.

        Raises:
            OSError: if that fails.
        """
        os.makedirs(self.run_dir, exist_ok=True)
        real = os.path.realpath(self.run_dir)
        with ExitStack() as opened:  # if the run directory cannot be opened, ``/`` is closed again
            slash = Root(os.open(_SLASH, _FLAGS), _SLASH, SLASH_NUMBER)
            opened.callback(slash.close)
            run = slash if real == _SLASH else Root(os.open(real, _FLAGS), real, 0, slash)
            opened.pop_all()
        self._opened = {real: run, _SLASH: slash}
        self._known = {self.run_dir: RootedPath(run, ".", self.run_dir)}
        self._is_open = True

    def close(self) -> None:
        """Close all roots, each when no call uses it any more. Paths below them raise `OSError` then. Idempotent."""
        with self._lock:
            self._is_open = False
            roots, self._opened = self._opened, {}
        for root in roots.values():  # outside of the lock, because closing may block
            root.close()

    @property
    def run(self) -> RootedPath:
        """The run directory itself.

        Raises:
            OSError: if it was never opened.
        """
        try:
            return self._known[self.run_dir]
        except KeyError:
            raise OSError(errno.EBADF, "is not open", self.run_dir) from None

    def find(self, path: str) -> RootedPath | None:
        """Return `path`, which is absolute and normalized, if it is below a known directory. Makes no system call.

        Raises:
            OSError: if nothing was ever opened.
        """
        if path.startswith(self._below):
            return RootedPath(self.run.root, path[len(self._below) :], path)
        here = path
        while here and here != _SLASH:
            known = self._known.get(here)
            if known is not None:
                return known if here == path else known.below(path[len(here) + 1 :])
            here = here.rpartition("/")[0]
        return None

    def resolve(self, path: str) -> RootedPath:
        """Return `path`, which is absolute and normalized. If no directory above it is known, its parent becomes known.

        Blocks. The last component is not looked at.

        Raises:
            OSError: if no directory above it can be opened, or the roots are closed.
        """
        found = self.find(path)
        if found is None:
            directory, _, name = path.rpartition("/")
            real = _resolved(directory or _SLASH)
            found = self._remember(directory or _SLASH, real, real).below(name)
        return found

    def add(self, path: str) -> None:
        """Resolve a path that the user gave, before any job runs: all its symbolic links are followed now. Blocks.

        Raises:
            OSError: if no directory above it can be opened.
        """
        if not path.startswith(self._below) and path not in self._known:
            real = self._realpath(path)
            # Its parent is held open, not the directory itself, which a job may replace.
            self._remember(path, real, os.path.dirname(real))

    def _realpath(self, path: str) -> str:
        """Return what `os.path.realpath` does. The parent of several directories is resolved once."""
        above, _, name = path.rpartition("/")
        if above not in self._real_parents:
            self._real_parents[above] = _resolved(above or _SLASH)
        here = f"{self._real_parents[above].rstrip('/')}/{name}"
        return _resolved(here) if os.path.islink(here) else here

    def _remember(self, path: str, real: str, above: str) -> RootedPath:
        """Open `above`, or the nearest parent that exists; note that `path` leads to `real`, which is that or below."""
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        root = self._open(above)
        relative = real[len(root.path.rstrip("/")) :].lstrip("/")
        # If another thread was faster, its result stays: a path never changes its root.
        return self._known.setdefault(path, RootedPath(root, relative or ".", path))

    def _open(self, real: str) -> Root:
        """Return the root of a directory; that of ``/``, if `MAX_ROOTS` are open."""
        if real in self._opened:
            return self._opened[real]
        fd = os.open(real, _FLAGS)  # outside of the lock, because a file system that hangs must not block other threads
        with self._lock:
            # Checked again: another thread may have opened the same directory, or closed all roots, during `os.open`.
            is_new = self._is_open and real not in self._opened and len(self._opened) < MAX_ROOTS
            if is_new:
                self._opened[real] = Root(fd, real, len(self._opened), self._opened[_SLASH])
            root = self._opened.get(real) or self._opened.get(_SLASH)
        if not is_new:
            os.close(fd)
        if root is None:  # `close` ran meanwhile, and would not close a root that is added now
            raise OSError(errno.EBADF, "was closed", self.run_dir)
        return root
