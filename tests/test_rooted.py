"""No path that a job puts in the place of a file, or of a directory above it, is followed, changed or waited for."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import rooted

PRECIOUS = "another user's"
DEPTH = 100


@pytest.fixture(params=["openat2", "ENOSYS", "EPERM"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``openat2``, without it, and with a seccomp filter that refuses it."""
    if request.param == "ENOSYS":
        monkeypatch.setattr(rooted, "_OPENAT2", 9999)
    elif request.param == "EPERM":

        def refuse(*_: object) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

        monkeypatch.setattr(rooted, "_syscall", refuse)


pytestmark = pytest.mark.usefixtures("_kernel")


class Place:
    """A root, and another user's directory next to it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "root"
        self.stranger = directory / "stranger"
        for each in (self.path, self.path / "sub", self.stranger):
            each.mkdir()
        self.file = self.stranger / "file"
        self.file.write_text(PRECIOUS)
        self.fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY)

    def is_unharmed(self) -> bool:
        return os.listdir(self.stranger) == ["file"] and self.file.read_text() == PRECIOUS


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    yield place
    assert len(os.listdir("/proc/self/fd")) == before  # also after errors
    os.close(place.fd)


def bind(path: Path, _: Place) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)  # the path may be too long for the address of a socket
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


PLANTED: dict[str, Callable[[Path, Place], Any]] = {
    "link": lambda path, place: path.symlink_to(place.file),
    "link to nothing": lambda path, place: path.symlink_to(place.stranger / "new"),
    "link to a directory": lambda path, place: path.symlink_to(place.stranger),
    "hard link": lambda path, place: path.hardlink_to(place.file),
    "fifo": lambda path, place: os.mkfifo(path),
    "socket": bind,
    "directory": lambda path, place: path.mkdir(),
}
if os.geteuid() == 0:
    PLANTED["device"] = lambda path, place: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))

planted = pytest.mark.parametrize("kind", PLANTED)
where = pytest.mark.parametrize("name", ["file", "sub/file"])


@planted
@where
def test_what_was_put_in_the_place_of_a_file_is_not_written(place: Place, kind: str, name: str) -> None:
    PLANTED[kind](place.path / name, place)
    with pytest.raises(OSError, match=r"."):
        os.close(rooted.open_empty(place.fd, name, 0o600))
    with pytest.raises(OSError, match=r"."):
        os.close(rooted.open_to_append(place.fd, name, 0o600))
    with pytest.raises(FileExistsError):
        os.close(rooted.create(place.fd, name, 0o600))
    assert place.is_unharmed()


def test_a_file_is_made_or_kept_and_only_appended_to(place: Place) -> None:
    for text in (b"one", b"two"):
        fd = rooted.open_to_append(place.fd, "sub/file", 0o600)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, text)
        assert os.pread(fd, 10, 0).endswith(text)
        os.close(fd)
    path = place.path / "sub" / "file"
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@planted
@where
def test_only_a_regular_file_is_a_stop_file(place: Place, kind: str, name: str) -> None:
    PLANTED[kind](place.path / name, place)
    assert rooted.touch(place.fd, name) == (kind == "hard link")
    assert place.is_unharmed()


@planted
@where
def test_only_a_regular_file_is_read(place: Place, kind: str, name: str) -> None:
    PLANTED[kind](place.path / name, place)
    if kind == "hard link":  # reading is harmless
        os.close(rooted.open_regular(place.fd, name))
    else:
        with pytest.raises(OSError, match=r"."):
            rooted.open_regular(place.fd, name)


@planted
@where
def test_a_directory_is_not_made_where_something_else_is(place: Place, kind: str, name: str) -> None:
    PLANTED[kind](place.path / name, place)
    for path in (name, f"{name}/below", f"{name}/far/below"):
        if kind == "directory":
            os.close(rooted.make_directory(place.fd, path))
            assert (place.path / path).is_dir()
        else:
            with pytest.raises(OSError, match=r"."):
                os.close(rooted.make_directory(place.fd, path))
    assert place.is_unharmed()


@planted
@where
def test_a_file_is_replaced_whatever_is_there(place: Place, kind: str, name: str) -> None:
    for planted_at in (name, f"{name}.new"):
        (place.path / name).unlink(missing_ok=True)
        PLANTED[kind](place.path / planted_at, place)
        if kind == "directory":
            with pytest.raises(OSError, match=r"."):
                rooted.replace(place.fd, name, b"text", 0o640)
            (place.path / planted_at).rmdir()
        else:
            rooted.replace(place.fd, name, b"text", 0o640)
            assert (place.path / name).read_text() == "text"
            assert stat.S_IMODE((place.path / name).lstat().st_mode) == 0o640
    assert place.is_unharmed()


@pytest.mark.parametrize("kind", ["link to a directory", "fifo", "socket", "hard link"])
def test_nothing_is_done_below_what_is_no_directory(place: Place, kind: str) -> None:
    PLANTED[kind](place.path / "way", place)
    root, path = place.fd, "way/file"
    calls: list[Callable[[], object]] = [
        lambda: rooted.open_below(root, path, os.O_RDONLY),
        lambda: rooted.open_directory(root, "way"),
        lambda: rooted.create(root, path, 0o600),
        lambda: rooted.open_empty(root, path, 0o600),
        lambda: rooted.open_to_append(root, path, 0o600),
        lambda: rooted.open_regular(root, path),
        lambda: rooted.status(root, path),
        lambda: rooted.touch(root, path),
        lambda: rooted.replace(root, path, b"x", 0o600),
        lambda: rooted.rename(root, path, "mine"),
        lambda: rooted.rename(root, "sub", path),
        lambda: rooted.unlink(root, path),
        lambda: rooted.remove(root, path),
        lambda: rooted.make_directory(root, "way/sub"),
    ]
    for call in calls:
        with pytest.raises(OSError, match=r".") as caught:
            call()
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert place.is_unharmed()


@pytest.mark.parametrize("path", ["..", "../stranger/file", "sub/../../stranger/file", "/etc/passwd"])
def test_no_path_leads_out(place: Place, path: str) -> None:
    for call in (
        lambda: rooted.open_below(place.fd, path, os.O_RDONLY),
        lambda: rooted.status(place.fd, path),
        lambda: rooted.make_directory(place.fd, f"{path}/x"),
    ):
        with pytest.raises(OSError, match=r".") as caught:
            call()
        assert caught.value.errno in (errno.EXDEV, errno.ENOENT)
    assert place.is_unharmed()


def test_a_root_that_was_moved_is_still_the_same_directory(place: Place) -> None:
    """What was put in its place is not used."""
    place.path.rename(place.path.with_name("moved"))
    place.path.symlink_to(place.stranger)
    os.close(rooted.make_directory(place.fd, "a/b"))
    os.close(rooted.open_empty(place.fd, "a/b/log", 0o600))
    assert (place.path.with_name("moved") / "a" / "b" / "log").exists()
    assert place.is_unharmed()


@where
def test_a_file_of_ours_is_emptied(place: Place, name: str) -> None:
    (place.path / name).write_text("old")
    fd = rooted.open_empty(place.fd, name, 0o600)
    assert os.get_blocking(fd)
    rooted.write_all(fd, b"new")
    os.close(fd)
    assert (place.path / name).read_text() == "new"


@pytest.mark.root
def test_a_file_of_another_user_is_not_changed(place: Place) -> None:
    (place.path / "log").write_text("theirs")
    os.chown(place.path / "log", 12345, 12345)
    with pytest.raises(PermissionError, match="another user"):
        rooted.open_empty(place.fd, "log", 0o600)
    assert (place.path / "log").read_text() == "theirs"
    os.chown(place.path, 12345, 12345)  # a file system that maps users: our files are theirs, too
    os.close(rooted.open_empty(place.fd, "log", 0o600))
    assert (place.path / "log").read_text() == ""


@planted
def test_whatever_is_there_can_be_removed(place: Place, kind: str) -> None:
    (place.path / "old" / "sub").mkdir(parents=True)
    for path in ("old/it", "old/sub/it", "it"):
        PLANTED[kind](place.path / path, place)
    rooted.remove(place.fd, "old")
    rooted.remove(place.fd, "it")
    assert sorted(os.listdir(place.path)) == ["sub"]
    assert place.is_unharmed()


@pytest.fixture
def ordinary_user(place: Place) -> Iterator[None]:
    """Run as a user who is not root, who may do anything, and who owns the place."""
    if os.geteuid():
        yield
        return
    for path in (place.path, place.path / "sub"):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444, 0o555, 0o755])
def test_what_is_ours_is_removed_whatever_its_mode(place: Place, mode: int) -> None:
    """As tools leave directories: without write permission they cannot be emptied or moved."""
    names = ["old", "old/empty", "old/full", "old/full/empty", "old/full/deep", "old/full/deep/empty"]
    for name in names:
        os.mkdir(name, dir_fd=place.fd)
        os.close(os.open(f"{name}/file", os.O_WRONLY | os.O_CREAT, dir_fd=place.fd))
        if name.endswith("empty"):
            os.unlink(f"{name}/file", dir_fd=place.fd)
    for name in reversed(names):
        os.chmod(name, mode, dir_fd=place.fd)
    rooted.remove(place.fd, "old")
    fd = os.open(".", os.O_RDONLY, dir_fd=place.fd)
    assert os.listdir(fd) == ["sub"]
    os.close(fd)


@pytest.mark.usefixtures("ordinary_user")
def test_removing_changes_no_mode_behind_a_link(place: Place) -> None:
    os.mkdir("old", dir_fd=place.fd)
    os.symlink("../sub", "old/link", dir_fd=place.fd)
    os.chmod("sub", 0o500, dir_fd=place.fd)
    rooted.remove(place.fd, "old")
    assert stat.S_IMODE(os.stat("sub", dir_fd=place.fd).st_mode) == 0o500


def test_a_tree_that_is_deeper_than_the_limit_of_descriptors_is_removed(
    place: Place,
) -> None:
    here = os.open(place.path, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("deeper", dir_fd=here)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (place.fd + DEPTH // 2, hard))
    try:
        rooted.remove(place.fd, "deeper")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not (place.path / "deeper").exists()


def test_a_call_that_a_signal_interrupted_is_repeated(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by Python, as `ctypes` makes the call; a FUSE file system may be interrupted so."""
    syscall, calls = rooted._syscall, 0

    def interrupted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            ctypes.set_errno(errno.EINTR)
            return -1
        return syscall(*args)

    (place.path / "sub" / "mine").touch()
    monkeypatch.setattr(rooted, "_syscall", interrupted)
    os.close(rooted.open_below(place.fd, "sub/mine", os.O_RDONLY))
    assert calls == 3
