"""Paths that the user gives are resolved once; later, nothing that a job puts in their place is followed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import roots as module
from runtime.roots import Roots


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    before = len(os.listdir("/proc/self/fd"))
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    yield roots
    roots.close()
    assert len(os.listdir("/proc/self/fd")) == before


def write(roots: Roots, path: Path) -> str:
    """Write a file at a path; return its real path."""
    found = roots.resolve(str(path))
    assert str(found) == str(path)
    found.parent.make_directory()
    os.close(found.open_empty(0o600))
    return found.real


def test_a_path_below_the_run_directory_is_found_without_a_system_call(tmp_path: Path, roots: Roots) -> None:
    assert os.fspath(roots) == roots.run_dir == str(tmp_path / "run")
    found = roots.find(f"{roots.run_dir}/a/b")
    assert found is not None
    assert (found.root.number, found.relative, found.name, str(found)) == (0, "a/b", "b", f"{roots.run_dir}/a/b")
    assert [found.parent.relative, found.parent.parent.relative, found.with_name("c").relative] == ["a", ".", "a/c"]
    assert found.below("c/d").relative == "a/b/c/d"
    assert roots.run.below("x").relative == "x"
    assert roots.find(str(tmp_path / "elsewhere")) is None


def test_links_of_the_user_are_followed_once(tmp_path: Path, roots: Roots) -> None:
    for name in ("disk", "other"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("disk")
    roots.add(str(link / "new"))
    roots.add(str(link))
    link.unlink()
    link.symlink_to("other")
    assert write(roots, link / "new" / "log") == str(tmp_path / "disk" / "new" / "log")
    assert write(roots, link / "log") == str(tmp_path / "disk" / "log")
    assert os.listdir(tmp_path / "other") == []


def test_a_link_that_a_job_has_made_is_an_error(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "victim").mkdir()
    roots.resolve(str(tmp_path / "out" / "first")).make_directory()  # now `out` is known
    (tmp_path / "out" / "second").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="second") as caught:
        roots.resolve(str(tmp_path / "out" / "second")).make_directory()
    assert str(caught.value).endswith(f": '{tmp_path}/out/second'")
    assert os.listdir(tmp_path / "victim") == []


@pytest.mark.parametrize("name", ["a\0b", "a/b\0", "a\0/b", "\ud800", "a/\ud800/b"])
@pytest.mark.parametrize("inside", [True, False])
def test_what_no_path_can_be_like_is_an_error_of_the_system(
    tmp_path: Path, roots: Roots, name: str, inside: bool
) -> None:
    for directory in ("run", "outside"):
        (tmp_path / directory / "a" / "b").mkdir(parents=True)
    path = f"{tmp_path}/{'run' if inside else 'outside'}/{name}"
    for use in (
        lambda: roots.resolve(path).status(),
        lambda: roots.resolve(path).open_regular(),
        lambda: roots.resolve(path).make_directory(),
        lambda: roots.resolve(path).rename("c"),
        lambda: roots.resolve(path).read(1),
    ):
        with pytest.raises(OSError, match="is no possible path") as caught:
            use()
        assert str(caught.value.filename) in {path, os.path.dirname(path)}
    assert not roots.resolve(f"{roots.run_dir}/{name}").exists()


def test_a_root_that_was_moved_is_still_written_to(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "victim").mkdir()
    (tmp_path / "run").symlink_to("victim")
    write(roots, tmp_path / "run" / "job" / "log")
    assert (tmp_path / "moved" / "job" / "log").exists()
    assert os.listdir(tmp_path / "victim") == []


def test_few_directories_are_held_open(tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROOTS", 4)
    for number in range(6):
        (tmp_path / f"{number}").mkdir()
        assert write(roots, tmp_path / f"{number}" / "log") == str(tmp_path / f"{number}" / "log")
    assert len(roots.descriptors) == 4
    (tmp_path / "5").rename(tmp_path / "moved")
    (tmp_path / "5").symlink_to("moved")
    with pytest.raises(OSError, match="5/log"):
        roots.resolve(str(tmp_path / "5" / "log")).open_empty(0o600)


def test_the_root_directory_is_a_root(roots: Roots) -> None:
    assert roots.resolve("/nowhere").real == "/nowhere"
    assert not roots.resolve("/nowhere").exists()


def test_a_root_that_was_closed_opens_nothing(tmp_path: Path) -> None:
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    path = roots.run.below("file")
    roots.close()
    roots.close()
    assert not roots.is_open
    with pytest.raises(OSError, match="file"):
        path.create(0o600)


def test_a_path_below_closed_roots_is_found_and_cannot_be_used(tmp_path: Path) -> None:
    roots = Roots(str(tmp_path / "run"))
    with pytest.raises(OSError, match="is not open"):
        roots.find(f"{roots.run_dir}/file")
    roots.open()
    roots.resolve(str(tmp_path / "known" / "file"))
    roots.close()
    found = [roots.find(f"{roots.run_dir}/file"), roots.resolve(str(tmp_path / "known" / "file"))]
    for path in found:
        assert path is not None
        with pytest.raises(OSError, match="file"):
            path.create(0o600)
        with pytest.raises(OSError, match="file"):
            path.make_directory()
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="was closed"):
        roots.resolve(str(tmp_path / "other" / "file"))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not roots.is_open


def test_an_abandoned_call_that_returns_after_closing_changes_no_other_directory(
    tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread was stuck in a file system, and was abandoned."""
    begun, answered = threading.Event(), threading.Event()
    mkdir = os.mkdir

    def stuck(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        begun.set()
        assert answered.wait(60)
        mkdir(name, mode, dir_fd=dir_fd)

    stranger = tmp_path / "stranger"
    stranger.mkdir()
    monkeypatch.setattr(os, "mkdir", stuck)
    thread = threading.Thread(target=roots.run.below("a").make_directory)
    thread.start()
    assert begun.wait(60)
    roots.close()
    opened = [os.open(stranger, os.O_RDONLY) for _ in range(8)]  # takes all numbers that were closed
    answered.set()
    thread.join()
    for fd in opened:
        os.close(fd)
    assert os.listdir(stranger) == []
    assert os.listdir(tmp_path / "run") == ["a"]


def test_a_run_directory_that_was_removed_is_made_again_unless_something_has_its_name(
    tmp_path: Path, roots: Roots
) -> None:
    roots.run.below("a").make_directory()
    (tmp_path / "run" / "a").rmdir()
    (tmp_path / "run").rmdir()
    roots.run.below("b/c").make_directory()
    assert (tmp_path / "run" / "b" / "c").is_dir()
    (tmp_path / "run" / "b" / "c").rmdir()
    (tmp_path / "run" / "b").rmdir()
    (tmp_path / "run").rmdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "run").symlink_to("victim")
    with pytest.raises(NotADirectoryError):
        roots.run.below("d").make_directory()
    assert os.listdir(tmp_path / "victim") == []


def test_a_directory_that_does_not_answer_blocks_no_other(
    tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answered = threading.Event(), threading.Event()
    realpath = os.path.realpath

    def resolve(path: str) -> str:
        if path.endswith("/stuck"):
            begun.set()
            assert answered.wait(60)
        return realpath(path)

    monkeypatch.setattr(os.path, "realpath", resolve)
    waiting = threading.Thread(target=roots.resolve, args=[str(tmp_path / "stuck" / "log")])
    waiting.start()
    other = threading.Thread(target=roots.resolve, args=[str(tmp_path / "other" / "log")])
    try:
        assert begun.wait(60)
        other.start()
        other.join(10)
        assert roots.find(str(tmp_path / "other" / "log")) is not None
    finally:
        answered.set()
        waiting.join()
        other.join()


def test_two_threads_that_want_one_directory_get_one_root(
    tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, together = os.open, threading.Barrier(2)

    def open_together(path: str, flags: int) -> int:
        together.wait(60)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", open_together)
    names = ("a", "b")
    threads = [threading.Thread(target=roots.resolve, args=[str(tmp_path / name / "log")]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert len(roots.descriptors) == 3
    found = [roots.find(str(tmp_path / name / "log")) for name in names]
    assert len({path.root for path in found if path is not None}) == 1
