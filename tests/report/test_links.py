from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobStatus
from runtime.report.links import FOLDERS, Links, point_latest
from runtime.roots import Roots
from tests.report.results import result

S = JobStatus


def test_a_call_after_the_end_does_nothing(tmp_path: Path) -> None:
    """As of a thread that hung in a file system."""
    with made(tmp_path / "run") as links:
        links.close()
        links.move(("a", str(tmp_path), S.PASSED))
    assert links_of(tmp_path / "run") == {}


def links_of(run_dir: Path) -> dict[str, list[str]]:
    found = {folder: sorted(path.name for path in (run_dir / folder).iterdir()) for folder in FOLDERS.values()}
    return {folder: names for folder, names in found.items() if names}


@contextmanager
def made(run_dir: Path) -> Iterator[Links]:
    roots = Roots(str(run_dir))
    roots.open()
    links = Links(roots)
    links.make_folders()
    with closing(roots), closing(links):
        yield links


def move(links: Links, moves: Mapping[str, tuple[str | None, JobStatus]]) -> None:
    for job_id, (odir, status) in moves.items():
        links.move((job_id, odir, status))


@pytest.fixture
def links(tmp_path: Path) -> Iterator[Links]:
    with made(tmp_path) as links:
        yield links


def job(run_dir: Path, name: str) -> str:
    """Make the directory of a job, and return its path."""
    odir = run_dir / name
    odir.mkdir()
    return str(odir)


def test_a_link_moves_with_its_job_and_leads_to_its_directory(tmp_path: Path, links: Links) -> None:
    a = job(tmp_path, "a")
    (tmp_path / "a" / "job.log").write_text("log")
    for status, expected in (
        (S.QUEUED, {}),
        (S.RUNNING, {"running": ["a"]}),
        (S.QUEUED, {}),
        (S.RUNNING, {"running": ["a"]}),
        (S.FAILED, {"failed": ["a"]}),
    ):
        move(links, {"a": (a, status)})
        assert links_of(tmp_path) == expected
    assert (tmp_path / "failed" / "a").readlink() == Path("../a")
    assert (tmp_path / "failed" / "a" / "job.log").read_text() == "log"


def test_a_job_without_a_directory_has_no_link_that_leads_nowhere(tmp_path: Path, links: Links) -> None:
    move(links, {"a": (str(tmp_path / "a"), S.RUNNING), "b": (None, S.KILLED)})
    assert links_of(tmp_path) == {}


def test_links_are_named_by_safe_ids(tmp_path: Path, links: Links) -> None:
    move(links, {"../x\n": (str(tmp_path), S.PASSED)})
    assert links_of(tmp_path) == {"passed": ["@@2E.@@2Fx@@0A"]}


def test_the_last_move_makes_up_for_moves_that_were_missed(tmp_path: Path, links: Links) -> None:
    a, b = job(tmp_path, "a"), job(tmp_path, "b")
    job(tmp_path, "c")
    move(links, {"a": (a, S.RUNNING), "b": (b, S.RUNNING)})
    ends = result("a", run_dir=tmp_path), result("b", FailureKind.TIMEOUT, run_dir=tmp_path)
    for end in (*ends, result("c", FailureKind.EXIT_CODE, run_dir=tmp_path)):
        links.move((end.id, end.odir, end.status))
    assert links_of(tmp_path) == {"passed": ["a"], "killed": ["b"], "failed": ["c"]}


def test_a_folder_that_is_gone_costs_only_its_links(tmp_path: Path, links: Links) -> None:
    (tmp_path / "failed").rmdir()
    a, b = job(tmp_path, "a"), job(tmp_path, "b")
    move(links, {"a": (a, S.FAILED), "b": (b, S.PASSED)})
    assert sorted(path.name for path in (tmp_path / "passed").iterdir()) == ["b"]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from(JobStatus), max_size=3), max_size=8))
def test_each_job_has_at_most_one_link_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[Mapping[str, JobStatus]]
) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    jobs = {name: job(run_dir, name) for name in "abc"}
    last: dict[str, JobStatus] = {}
    with made(run_dir) as links:
        for moves in rounds:
            move(links, {name: (jobs[name], status) for name, status in moves.items()})
            last |= moves
            expected: dict[str, list[str]] = {}
            for name in sorted(last):
                if last[name] in FOLDERS:
                    expected.setdefault(FOLDERS[last[name]], []).append(name)
            assert links_of(run_dir) == expected


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path, links: Links) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "failed").rmdir()
    (tmp_path / "failed").symlink_to("precious")
    move(links, {"a": (job(tmp_path, "a"), S.FAILED)})
    assert os.listdir(tmp_path / "precious") == []


def test_latest_leads_to_the_last_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
        assert (tmp_path / "latest").readlink() == Path(name)
    assert sorted(os.listdir(tmp_path)) == ["latest", "one", "two"]


def test_a_latest_that_is_no_link_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "one").mkdir()
    with pytest.raises(FileExistsError):
        point_latest(tmp_path / "one")
    assert sorted(os.listdir(tmp_path)) == ["latest", "one"]


def test_a_latest_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("gone")
    (tmp_path / "one").mkdir()
    point_latest(tmp_path / "one")
    assert (tmp_path / "latest").readlink() == Path("one")


def test_a_move_is_due_if_it_would_change_a_link(tmp_path: Path, links: Links) -> None:
    odir = job(tmp_path, "a")
    assert links.is_due(("a", odir, S.RUNNING))
    assert not links.is_due(("a", None, S.RUNNING)), "there is none, and nothing to link to"
    links.move(("a", odir, S.RUNNING))
    assert not links.is_due(("a", odir, S.RUNNING))
    assert links.is_due(("a", odir, S.PASSED))
    assert links.is_due(("a", None, S.PASSED)), "it is removed"
    assert links.is_due(("a", odir, S.QUEUED)), "as before"
    links.move(("a", None, S.PASSED))
    assert not links.is_due(("a", None, S.PASSED))
