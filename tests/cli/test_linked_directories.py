from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.cli.linked_directories import add_origins, make_link, origin_directories, plan_links, remove_link
from runtime.job import JobSpec
from runtime.journal import Kept
from runtime.journal.resume import Decision
from runtime.roots import Roots
from tests.report.results import result
from tests.report.states import records, state_of

RUN = "/out/new"
KEEP, AGAIN = Decision(keep=True, reason=""), Decision(keep=False, reason="")


def job(name: str, odir: str | None = None, log_path: str | None = None) -> JobSpec:
    return JobSpec(name=name, cmd="x", odir=odir, log_path=log_path)


def planned(
    kept: Mapping[JobSpec, str | None], runs: list[JobSpec] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """The links and obstacles for jobs that are kept of directories, and others that run."""
    decisions = {**{each.id: KEEP for each in kept}, **{each.id: AGAIN for each in runs or []}}
    targets = {each.id: target for each, target in kept.items()}
    plan = plan_links([*(runs or []), *kept], decisions, targets, RUN)
    return dict(plan.links), dict(plan.obstacles)


def test_a_kept_job_has_a_link_at_its_place() -> None:
    kept = {job("build"): "/out/old/build", job("deep", f"{RUN}/a/b"): "/elsewhere"}
    assert planned(kept, [job("t")]) == ({f"{RUN}/build": "/out/old/build", f"{RUN}/a/b": "/elsewhere"}, {})


def test_a_directory_outside_of_both_runs_needs_no_link() -> None:
    assert planned({job("build", "/scratch/b"): "/scratch/b"}, [job("t", "/scratch/b/t")]) == ({}, {})


OUTSIDE = "its output directory is outside of the run directory, and another one in this run"
UNKNOWN = "its output directory is not in the journal"
WRITES = "'t' writes into its output directory"
IN_THAT = "its output directory is in that of 'a'"
X = f"{RUN}/x"


@pytest.mark.parametrize(
    ("kept", "runs", "obstacle"),
    [
        ({job("b"): None}, [], UNKNOWN),
        ({job("b"): "old/b"}, [], UNKNOWN),
        ({job("b"): "/old/\0"}, [], UNKNOWN),
        ({job("b", "/scratch/new"): "/scratch/old"}, [], OUTSIDE),
        ({job("b", RUN): "/out/old"}, [], OUTSIDE),
        ({job("b", f"{RUN}/passed"): "/x"}, [], "its output directory has a name that the run directory uses itself"),
        ({job("b", X): "/old/x"}, [job("t", X)], WRITES),
        ({job("b", X): "/old/x"}, [job("t", f"{X}/y/t")], WRITES),
        ({job("b"): "/old/b"}, [job("t", None, f"{RUN}/b/t.log")], WRITES),
        ({job("a", X): "/old/x", job("b", f"{X}/b"): "/other/b"}, [], IN_THAT),
        ({job("a", X): "/old/x", job("b", X): "/other/x"}, [], IN_THAT),
    ],
)
def test_what_cannot_be_linked_is_not_kept(
    kept: Mapping[JobSpec, str | None], runs: list[JobSpec], obstacle: str
) -> None:
    links, obstacles = planned(kept, runs)
    assert obstacles == {"b": obstacle}
    assert set(links) <= {f"{RUN}/x"}


def test_kept_directories_that_were_one_in_the_other_are_reached_by_one_link() -> None:
    kept = {
        job("inner", f"{RUN}/x/y"): "/old/x/y",
        job("outer", f"{RUN}/x"): "/old/x",
        job("same", f"{RUN}/x"): "/old/x",
    }
    assert planned(kept) == ({f"{RUN}/x": "/old/x"}, {})


def test_a_link_may_be_in_the_directory_of_a_job_that_runs() -> None:
    kept = {job("inner", f"{RUN}/x/inner"): "/old/x/inner"}
    assert planned(kept, [job("outer", f"{RUN}/x")]) == ({f"{RUN}/x/inner": "/old/x/inner"}, {})


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    found = Roots(str(tmp_path / "run"))
    found.open()
    return found


def test_a_link_takes_the_place_of_a_link_and_of_nothing_else(tmp_path: Path, roots: Roots) -> None:
    place, precious = tmp_path / "run" / "a" / "build", tmp_path / "precious"
    precious.mkdir()
    make_link(roots, str(place), "/nowhere")
    make_link(roots, str(place), str(precious))
    assert os.readlink(place) == str(precious)
    remove_link(roots, str(place))
    assert not place.is_symlink()
    place.mkdir()
    remove_link(roots, str(place))
    with pytest.raises(FileExistsError):
        make_link(roots, str(place), str(precious))
    assert place.is_dir()
    assert precious.exists()


def test_no_link_is_made_or_removed_through_a_link(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "link").symlink_to("x")
    (tmp_path / "run" / "a").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="run/a"):
        make_link(roots, str(tmp_path / "run" / "a" / "new"), "/x")
    remove_link(roots, str(tmp_path / "run" / "a" / "link"))
    remove_link(roots, str(tmp_path / "precious" / "link"))  # of the user, outside of the run directory
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["link"]


def test_below_the_directory_of_another_run_no_link_is_followed(tmp_path: Path, roots: Roots) -> None:
    old = tmp_path / "old"
    (old / "build").mkdir(parents=True)
    first, jobs, *others = records([result("build", run_dir=old)], tmp_path / "run", ended=None)
    state = state_of([first, jobs, Kept([0], "old"), *others[1:]], tmp_path / "run")
    assert origin_directories(state) == {str(old)}
    add_origins(roots, state)
    assert roots.resolve(str(old / "build")).status().st_ino == (old / "build").stat().st_ino
    (old / "build").rmdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "job.log").write_text("secret")
    (old / "build").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="build"):
        roots.resolve(str(old / "build" / "job.log")).open_regular()
