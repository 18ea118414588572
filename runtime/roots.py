"""`Roots`: the directories below which a run's files are, opened once; and `RootedPath`, a path below one of them.

A path that the user gave may lead through links of the user's own. So it is resolved, once: those of a job file before
any job of it runs, others when a backend first sees them. From then on the directory that it led to is a descriptor,
and what is below that is opened by the rules of `runtime.rooted`.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import ExitStack, suppress
from typing import Final

from runtime import rooted
from runtime.descriptors import Descriptor

MOST: Final = 64
"""Directories that are held open per run, at most. Arbitrary: a directory beyond them is named from ``/`` on, so links
are not followed to it either; but whoever moves it away takes its jobs' files along with the name."""

WHOLE: Final = 1
"""The number of the root that is ``/``."""

_WHOLE: Final = "/"
_FLAGS: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """A directory that is held open.

    Args:
        fd: its descriptor, which is the root's from now on.
        path: its path now, without any link.
        number: how many were opened before it.
        whole: the root that is ``/``; `None` for that itself.
    """

    __slots__ = ("_whole", "descriptor", "number", "path")

    def __init__(self, fd: int, path: str, number: int, whole: Root | None = None) -> None:
        self.descriptor = Descriptor(fd)
        self.path = path
        self.number = number
        self._whole = whole

    def __repr__(self) -> str:
        return f"<Root {self.descriptor!r} {self.path!r}>"

    def close(self) -> None:
        """Close it, as soon as nobody uses it. Idempotent."""
        self.descriptor.close()

    def renew(self) -> bool:
        """Make it again if it was removed; return whether it was. Blocks.

        Raises:
            OSError: if that cannot be done, as when something else has its name now, or it is closed.
        """
        if self._whole is None:
            return False
        with self.descriptor as here, self._whole.descriptor as whole:
            if os.fstat(here).st_nlink:
                return False
            fd = rooted.make_directory(whole, self.path[1:])
            os.dup2(fd, here, inheritable=False)  # in one step: another thread may be using it
            os.close(fd)
        self.number = MOST  # helper processes have the old one
        return True


class RootedPath:
    """A path below a root. It is no `os.PathLike`, so that nothing opens it in any other way."""

    __slots__ = ("_text", "relative", "root")

    def __init__(self, root: Root, relative: str, text: str) -> None:
        self.root = root
        self.relative = relative
        """From the root; ``.`` for the root itself."""
        self._text = text

    def __str__(self) -> str:
        """Return the absolute path, as the user gave it: for messages, and for the job."""
        return self._text

    def __repr__(self) -> str:
        return repr(self._text)

    @property
    def real(self) -> str:
        """The absolute path without any link, as it was when the root was opened."""
        root = "" if self.root.path == _WHOLE else self.root.path
        return self.root.path if self.relative == "." else f"{root}/{self.relative}"

    @property
    def name(self) -> str:
        """The last component."""
        return self._text.rpartition("/")[2]

    @property
    def parent(self) -> RootedPath:
        """The directory that it is in."""
        directory, _, _ = self.relative.rpartition("/")
        return RootedPath(self.root, directory or ".", self._text.rpartition("/")[0] or _WHOLE)

    def beside(self, name: str) -> RootedPath:
        """Return what has the name `name` in the same directory."""
        directory, slash, _ = self.relative.rpartition("/")
        return RootedPath(self.root, f"{directory}{slash}{name}", f"{self._text.rpartition('/')[0]}/{name}")

    def is_in(self, directory: RootedPath) -> bool:
        """Whether it is in `directory`, and not deeper."""
        return self.root is directory.root and (self.relative.rpartition("/")[0] or ".") == directory.relative

    def below(self, relative: str) -> RootedPath:
        """Return what has the path `relative` in this directory."""
        start = "" if self.relative == "." else f"{self.relative}/"
        return RootedPath(self.root, start + relative, f"{self._text.rstrip('/')}/{relative}")

    # Each of these does what the function of `runtime.rooted` does that has its name; an error has the absolute path.

    def open_regular(self) -> int:
        """Return a descriptor for reading it."""
        with self._named as root:
            return rooted.open_regular(root, self.relative)

    def open_directory(self) -> int:
        """Return a descriptor for what is below it."""
        with self._named as root:
            return rooted.open_directory(root, self.relative)

    def make_directory(self) -> None:
        """Make it and its parents, unless they are there; and the root, if a job has removed that."""
        os.close(self.make_and_open_directory())

    def make_and_open_directory(self) -> int:
        """Do that; return a descriptor for what is below it."""
        with self._named as root:
            try:
                return rooted.make_directory(root, self.relative)
            except FileNotFoundError:
                if not self.root.renew():
                    raise
                return rooted.make_directory(root, self.relative)
        raise AssertionError

    def open_empty(self, mode: int, flags: int = 0, *, directory: int | None = None) -> int:
        """Return a descriptor for writing to it, which is empty then.

        With the descriptor of the directory that it is in, a new one takes one call to the system.
        """
        with self._named as root:
            if directory is not None:
                with suppress(FileExistsError):
                    return rooted.create(directory, self.relative.rpartition("/")[2], mode, flags)
            return rooted.open_empty(root, self.relative, mode, flags)

    def create(self, mode: int) -> int:
        """Return a descriptor for writing to it, which is new."""
        with self._named as root:
            return rooted.create(root, self.relative, mode)

    def replace(self, content: bytes, mode: int) -> None:
        """Write it, as a whole or not at all."""
        with self._named as root:
            rooted.replace(root, self.relative, content, mode)

    def touch(self) -> bool:
        """See that there is a file; return whether there is a regular one."""
        with self._named as root:
            return rooted.touch(root, self.relative)

    def status(self) -> os.stat_result:
        """Return what `os.lstat` would."""
        with self._named as root:
            return rooted.status(root, self.relative)

    def exists(self) -> bool:
        """Whether something is there, whatever it is. False, too, if that cannot be found out."""
        try:
            self.status()
        except OSError:
            return False
        return True

    def rename(self, name: str) -> None:
        """Give it another name, in the same directory."""
        with self._named as root:
            rooted.rename(root, self.relative, self.beside(name).relative)

    def names(self) -> list[str]:
        """Return what is in this directory."""
        with self._named as root:
            fd = rooted.open_below(root, self.relative, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return os.listdir(fd)
            finally:
                os.close(fd)

    def read(self, most: int) -> bytes:
        """Return what is in this regular file, less what is beyond `most` bytes."""
        fd = self.open_regular()
        with open(fd, "rb", buffering=0) as file:
            return file.read(most)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove it, if it is no directory."""
        with self._named as root:
            rooted.unlink(root, self.relative, missing_ok=missing_ok)

    def remove(self) -> None:
        """Remove it, whatever it is, with all that is in it."""
        with self._named as root:
            rooted.remove(root, self.relative)

    @property
    def _named(self) -> _Named:
        return _Named(self.root.descriptor, self._text)


class _Named:
    """Gives the descriptor of a root, and errors about a path below it the absolute one."""

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


class Roots(os.PathLike[str]):
    """The roots of a run. As a path, it is the run directory.

    Args:
        run_dir: the absolute path of the run directory.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self._below = f"{run_dir.rstrip('/')}/"
        self._lock = threading.Lock()
        self._is_open = False
        self._opened: dict[str, Root] = {}
        """By their real paths, in the order in which they were opened."""
        self._known: dict[str, RootedPath] = {}
        """Directories by the paths that the user gave."""
        self._above: dict[str, str] = {}
        """The real paths of directories that have some that were added."""

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
        """The descriptors of all roots, by their numbers: the run directory, ``/``, and others."""
        return [root.descriptor for root in self._opened.values()]

    def open(self) -> None:
        """Make the run directory, unless it is there, and open it. Blocks.

        Raises:
            OSError: if that cannot be done.
        """
        os.makedirs(self.run_dir, exist_ok=True)
        real = os.path.realpath(self.run_dir)
        with ExitStack() as opened:
            whole = Root(os.open(_WHOLE, _FLAGS), _WHOLE, WHOLE)
            opened.callback(whole.close)
            run = whole if real == _WHOLE else Root(os.open(real, _FLAGS), real, 0, whole)
            opened.pop_all()
        self._opened = {real: run, _WHOLE: whole}
        self._known = {self.run_dir: RootedPath(run, ".", self.run_dir)}
        self._is_open = True

    def close(self) -> None:
        """Close all, each when no call uses it any more; nothing works then at a path that was found. Idempotent."""
        with self._lock:
            self._is_open = False
            roots, self._opened = self._opened, {}
        for root in roots.values():
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
        """Return `path`, which is absolute and normalized, if it is below a directory that is known; asks nobody.

        Raises:
            OSError: if nothing was ever opened.
        """
        if path.startswith(self._below):
            return RootedPath(self.run.root, path[len(self._below) :], path)
        here = path
        while here and here != _WHOLE:
            known = self._known.get(here)
            if known is not None:
                return known if here == path else known.below(path[len(here) + 1 :])
            here = here.rpartition("/")[0]
        return None

    def resolve(self, path: str) -> RootedPath:
        """Return `path`, which is absolute and normalized. If no directory above it is known, its own is from now on.

        Blocks. What the path itself is, is not looked at.

        Raises:
            OSError: if nothing of it can be opened, or all is closed.
        """
        found = self.find(path)
        if found is None:
            directory, _, name = path.rpartition("/")
            real = os.path.realpath(directory or _WHOLE)
            found = self._remember(directory or _WHOLE, real, real).below(name)
        return found

    def add(self, path: str) -> None:
        """Resolve a path that the user gave, before any job runs: all links of it are followed now. Blocks.

        Raises:
            OSError: if nothing of it can be opened.
        """
        if not path.startswith(self._below) and path not in self._known:
            real = self._realpath(path)
            # A job may replace what is there: only what is above it is held on to.
            self._remember(path, real, os.path.dirname(real))

    def _realpath(self, path: str) -> str:
        """Return what `os.path.realpath` does; directories that are in one directory ask about that once."""
        above, _, name = path.rpartition("/")
        if above not in self._above:
            self._above[above] = os.path.realpath(above or _WHOLE)
        here = f"{self._above[above].rstrip('/')}/{name}"
        return os.path.realpath(here) if os.path.islink(here) else here

    def _remember(self, path: str, real: str, above: str) -> RootedPath:
        """Open `above`, or what there is of it, and note that `path` leads to `real`, which is there or below."""
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        root = self._open(above)
        relative = real[len(root.path.rstrip("/")) :].lstrip("/")
        return self._known.setdefault(path, RootedPath(root, relative or ".", path))

    def _open(self, real: str) -> Root:
        """Return the root of a directory; that of ``/``, if `MOST` are open. Two threads may want the same one."""
        if real in self._opened:
            return self._opened[real]
        fd = os.open(real, _FLAGS)  # not under the lock: who waits for a file system keeps nobody else waiting
        with self._lock:
            is_wanted = self._is_open and real not in self._opened and len(self._opened) < MOST
            if is_wanted:
                self._opened[real] = Root(fd, real, len(self._opened), self._opened[_WHOLE])
            root = self._opened.get(real) or self._opened.get(_WHOLE)
        if not is_wanted:
            os.close(fd)
        if root is None:  # closed meanwhile: nobody would close what is opened now
            raise OSError(errno.EBADF, "was closed", self.run_dir)
        return root
