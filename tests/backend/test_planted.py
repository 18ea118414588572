"""What a job plants in the paths of other jobs: no other file is changed, and nothing blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, Kind
from tests.backend.local_jobs import local

both = pytest.mark.parametrize("containment", ["group", "tree"])


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory that no job may change."""
    path = tmp_path / "victim"
    path.mkdir()
    for name in ("job.log", "env_vars"):
        (path / name).write_text("precious")
    return path


def is_unharmed(victim: Path) -> bool:
    return {path.name: path.read_text() for path in victim.iterdir()} == dict.fromkeys(
        ("job.log", "env_vars"), "precious"
    )


def kind(event: JobCompletionEvent) -> Kind | None:
    return None if event.reason is None else event.reason.kind


@both
@pytest.mark.parametrize("odir", [None, "deep/er/second", "elsewhere"])
async def test_a_link_in_the_place_of_a_directory_costs_the_job_that_wants_it(
    tmp_path: Path, victim: Path, containment: str, odir: str | None
) -> None:
    run_dir = tmp_path / "run"
    async with local(run_dir, containment=containment) as here:
        where = {None: run_dir / "second", "elsewhere": tmp_path / "out" / "second"}.get(odir, run_dir / str(odir))
        await here.run(name="first", odir=str(where.parent / "first"))
        link = run_dir / "deep" if odir == "deep/er/second" else where
        if link.is_dir():
            link.rename(run_dir / "away")
        link.symlink_to(victim)
        fields = {} if odir is None else {"odir": str(where)}
        for renew in (False, True):
            event = await here.run("echo overwritten; touch x", name="second", renew_odir=renew, **fields)
            if renew and odir != "deep/er/second":  # an old directory is renamed, whatever it is
                assert event.status is JobStatus.PASSED
            else:
                assert kind(event) is FailureKind.LAUNCH_ERROR
                assert event.reason is not None
                assert str(link.parent) in event.reason.message
    assert is_unharmed(victim)


@both
async def test_the_run_directory_may_be_moved_and_a_link_put_in_its_place(
    tmp_path: Path, victim: Path, containment: str
) -> None:
    run_dir = tmp_path / "run"
    async with local(run_dir, containment=containment) as here:
        moved = await here.run(f"cd /; mv {run_dir} {run_dir}.moved; ln -s {victim} {run_dir}", name="first")
        assert moved.status is JobStatus.PASSED
        event = await here.run("pwd -P; echo ERROR", name="second", fail_patterns=["ERROR"])
        assert kind(event) is FailureKind.FAIL_PATTERN
        assert (tmp_path / "run.moved" / "second" / "job.log").read_text() == f"{run_dir}.moved/second\nERROR\n"
    assert is_unharmed(victim)


@both
@pytest.mark.parametrize("name", ["job.log", "env_vars"])
async def test_a_hard_link_to_a_strangers_file_is_not_written(
    tmp_path: Path, victim: Path, containment: str, name: str
) -> None:
    async with local(tmp_path / "run", containment=containment) as here:
        (here.run_dir / "job").mkdir()
        (here.run_dir / "job" / name).hardlink_to(victim / name)
        event = await here.run("echo overwritten")
        assert kind(event) is FailureKind.LAUNCH_ERROR
        assert event.reason is not None
        assert "is a file with 2 names" in event.reason.message
    assert is_unharmed(victim)


@both
async def test_old_directories_are_renamed_and_removed_and_the_targets_of_their_links_are_not(
    tmp_path: Path, victim: Path, containment: str
) -> None:
    for _ in range(3):
        async with local(tmp_path / "run", containment=containment, max_output_dirs=1) as here:
            event = await here.run(f"ln -s {victim} d; mkfifo f; mkdir -p a/b; ln {victim}/job.log h", renew_odir=True)
            assert event.status is JobStatus.PASSED
    assert sorted(os.listdir(tmp_path / "run")) == ["job", "job.~1~"]
    assert is_unharmed(victim)


PLANTED = {
    "fifo": "mkfifo STOP",
    "link": "ln -s {victim}/new STOP",
    "link to a file": "ln -s {victim}/job.log STOP",
    "directory": "mkdir STOP",
    "parent": "ln -s {victim} sub",
}


@both
@pytest.mark.parametrize("what", PLANTED)
async def test_a_file_in_the_path_of_a_stop_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, victim: Path, containment: str, what: str
) -> None:
    stop = "sub/STOP" if what == "parent" else "STOP"
    options = {"soft_stop": stop, "soft_timeout": 30, "term_timeout": 5}
    async with local(tmp_path / "run", containment=containment, **options) as here:
        command = PLANTED[what].format(victim=victim) + "; touch ready; exec sleep 1000"
        handles = await here.session.submit([JobSpec(name="job", cmd=command)])
        await wait_for(here.run_dir / "job" / "ready")
        await here.backend.kill("job")  # the soft step fails, so it is over at once
        assert (await here.session.completed(handles["job"])).status is JobStatus.KILLED
    assert is_unharmed(victim)


@both
async def test_a_stop_file_that_its_user_named_is_made(tmp_path: Path, containment: str) -> None:
    stop = tmp_path / "not there yet" / "STOP"
    command = f"touch ready; while [ ! -e '{stop}' ]; do sleep 0.01; done"
    async with local(tmp_path / "run", containment=containment, soft_stop=str(stop), soft_timeout=30) as here:
        stop.parent.mkdir()
        for name in ("first", "second"):  # for the second, the directory is resolved already
            handles = await here.session.submit([JobSpec(name=name, cmd=command)])
            await wait_for(here.run_dir / name / "ready")
            await here.backend.kill(name)
            assert (await here.session.completed(handles[name])).status is JobStatus.KILLED
            stop.unlink()


async def wait_for(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110 - another process makes it
        await trio.sleep(0.001)
