"""Each attempt has its own files: those of an earlier one are renamed before the next one begins."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime import JobPaths, JobSpec, JobStatus, LocalBackend, run_jobs
from runtime.backend.batch.job_files import JobFiles
from runtime.backend.job_paths import RootedJobPaths, job_paths, set_aside_earlier
from runtime.backend.local import group_starter
from runtime.job import Retry
from runtime.process import Child, SoftSteps
from runtime.roots import Roots
from tests.backend.local_jobs import local


def at_last(count: int, marker: Path) -> str:
    """A command that fails until it was run `count` times, and says in its log and in a file which time it is."""
    return f'echo x >> {marker}; n=$(wc -l < {marker}); echo "time $n"; echo "$n" > {{odir}}/n; test "$n" -ge {count}'


@pytest.mark.parametrize("containment", ["tree", "group"])
async def test_each_attempt_has_its_directory_and_the_last_one_has_the_usual_name(
    tmp_path: Path, containment: str
) -> None:
    run_dir = tmp_path / "run"
    cmd = at_last(3, tmp_path / "marker").replace("{odir}", str(run_dir / "a"))
    job = JobSpec(name="a", cmd=cmd, retry=Retry(2, delay=0))
    user = JobSpec(name="b", cmd=f"cat {run_dir}/a/n", dependencies=["a"])
    backend = LocalBackend(run_dir=run_dir, containment=containment)
    results = await run_jobs([job, user], backend)
    assert [result.status for result in results] == [JobStatus.PASSED, JobStatus.PASSED]
    tried = results[0]
    assert tried.is_flaky
    assert [each.attempt for each in (*tried.earlier, tried.event)] == [1, 2, 3]
    odirs = [Path(each.odir or "") for each in (*tried.earlier, tried.event)]
    assert odirs == [run_dir / "a~attempt1", run_dir / "a~attempt2", run_dir / "a"]
    for number, each in enumerate((*tried.earlier, tried.event), 1):
        assert Path(each.log_path or "").read_text() == f"time {number}\n"
        assert (Path(each.odir or "") / "n").read_text() == f"{number}\n"
    assert (run_dir / "b/job.log").read_text() == "3\n"


async def test_a_directory_that_others_may_have_stays_and_the_log_is_renamed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    cmd = at_last(2, tmp_path / "marker").replace("{odir}", str(shared))
    job = JobSpec(name="a", cmd=cmd, odir=str(shared), retry=Retry(1, delay=0))
    (result,) = await run_jobs([job], LocalBackend(run_dir=tmp_path / "run"))
    assert (result.status, result.odir) == (JobStatus.PASSED, str(shared))
    (earlier,) = result.earlier
    assert earlier.paths == JobPaths(str(shared), f"{shared}/job.log~attempt1", str(shared))
    assert [Path(each.log_path or "").read_text() for each in (earlier, result.event)] == ["time 1\n", "time 2\n"]


def files_of(spec: JobSpec, roots: Roots) -> RootedJobPaths:
    return RootedJobPaths.resolve(job_paths(spec, roots.run_dir), roots)


def test_a_batch_system_has_the_same_files(roots: Roots, tmp_path: Path) -> None:
    spec = JobSpec(name="a", cmd="true")
    files = JobFiles(roots, {}, None, SoftSteps(None, None))
    paths = files_of(spec, roots)
    for attempt in (1, 2, 3):
        files.prepare(spec, paths, attempt, renew=True)
        (tmp_path / "run/a/job.log").write_text(f"{attempt}")
        files.prepare(spec, paths, attempt, renew=False)  # it was refused, and is submitted again
        (tmp_path / "run/a/job.log").write_text(f"{attempt}")
    assert [(tmp_path / "run" / name / "job.log").read_text() for name in ("a~attempt1", "a~attempt2", "a")] == [
        "1",
        "2",
        "3",
    ]


def test_a_directory_that_is_begun_empty_is_renamed_and_not_rotated(roots: Roots, tmp_path: Path) -> None:
    odir = tmp_path / "own"
    spec = JobSpec(name="a", cmd="true", odir=str(odir), renew_odir=True)
    files = JobFiles(roots, {}, None, SoftSteps(None, None))
    for attempt in (1, 2):
        files.prepare(spec, files_of(spec, roots), attempt, renew=True)
        (odir / "job.log").write_text(f"{attempt}")
    assert (tmp_path / "own~attempt1/job.log").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "own~attempt1", "run"]


def test_what_an_older_run_left_under_that_name_is_removed(roots: Roots, tmp_path: Path) -> None:
    spec = JobSpec(name="a", cmd="true")
    for name in ("a", "a~attempt1"):
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "of").write_text(name)
    set_aside_earlier(spec, files_of(spec, roots), 2)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a~attempt1"]
    assert (tmp_path / "run/a~attempt1/of").read_text() == "a"


def test_a_link_that_a_job_has_planted_is_not_followed(roots: Roots, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    spec = JobSpec(name="a", cmd="true")
    (tmp_path / "run/a").symlink_to(precious)
    (tmp_path / "run/a~attempt1").symlink_to(precious)
    set_aside_earlier(spec, files_of(spec, roots), 2)
    assert os.readlink(tmp_path / "run/a~attempt1") == str(precious)
    assert not (tmp_path / "run/a").is_symlink()
    assert (precious / "file").read_text() == "x"


def test_an_earlier_attempt_that_left_nothing_is_no_error(roots: Roots, tmp_path: Path) -> None:
    set_aside_earlier(JobSpec(name="a", cmd="true"), files_of(JobSpec(name="a", cmd="true"), roots), 5)
    assert list((tmp_path / "run").iterdir()) == []


async def test_an_attempt_that_is_refused_and_submitted_again_keeps_the_files_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_resources(*_args: object, **_options: object) -> Child:
        raise OSError(errno.EAGAIN, "out of resources")

    spec = JobSpec(name="job", cmd="echo $$")
    async with local(tmp_path, containment="group") as here:
        (handle,) = (await here.session.submit([spec], {"job": 1})).values()
        await here.session.completed(handle)
        first = here.log()
        with monkeypatch.context() as patch:
            patch.setattr(group_starter, "spawn", out_of_resources)
            assert await here.session.submit([spec], {"job": 2}) == {}
        (handle,) = (await here.session.submit([spec], {"job": 2})).values()
        await here.session.completed(handle)
        assert here.log("job~attempt1") == first
        assert here.log() != first
