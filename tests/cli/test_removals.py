"""The removal of output directories while a run goes on: what goes, when, and what a failure costs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from runtime.cli import removals as module
from runtime.cli.removals import Removals
from runtime.job import JobCompletionEvent, JobPaths, JobSpec, JobStatus
from runtime.job.attempts import paths_of_earlier
from runtime.roots import RootedPath, Roots
from runtime.scheduler.statuses import StatusChange

PASSED, FAILED = JobStatus.PASSED, JobStatus.FAILED


class Journal:
    """A journal that notes what was there when an intent was recorded."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.intents: list[list[str]] = []
        self.works = True

    async def record_removal(self, ids: Sequence[str]) -> bool:
        await trio.lowlevel.checkpoint()
        assert all((self.run / job_id).exists() for job_id in ids)
        self.intents.append(sorted(ids))
        return self.works


def job(name: str, *needs: str, **fields: Any) -> JobSpec:
    return JobSpec(name=name, cmd="x", dependencies=needs, **fields)


class Night:
    """A run of a few jobs, each with a directory with some files in it."""

    def __init__(self, roots: Roots, *jobs: JobSpec, keeping: Sequence[str] = (), **earlier: Any) -> None:
        self.run = Path(roots)
        self.journal = Journal(self.run)
        self.jobs = {each.id: each for each in jobs}
        for each in jobs:
            (self.run / each.id / "deep").mkdir(parents=True)
            (self.run / each.id / "deep" / "waves").write_bytes(b"x")
        odirs = {each.id: str(self.run / each.id) for each in jobs if each.id not in keeping}
        self.removals = Removals(jobs, odirs, roots, self.journal, **earlier)

    def event(self, job_id: str, status: JobStatus = PASSED, **fields: Any) -> JobCompletionEvent:
        odir = f"{self.run}/{job_id}"
        paths = JobPaths(odir, f"{odir}/job.log", "/src")
        return attrs.evolve(JobCompletionEvent(job_id, 1, status, None, 1.0, 2.0, 3.0, None, paths), **fields)

    def end(self, event: JobCompletionEvent) -> None:
        self.removals.see(
            StatusChange(self.jobs[event.job_id], event.job_id, JobStatus.RUNNING, event.status, 3.0, None, event)
        )

    async def all(self, *events: JobCompletionEvent) -> list[str]:
        """Let these jobs end, and the run; return which directories are left."""
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.removals.run)
                for event in events:
                    self.end(event)
                await self.removals.finish(events)
        return self.left()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.run.iterdir())


async def test_a_directory_goes_while_the_run_goes_on_and_not_before_the_last_job_that_needs_it(roots: Roots) -> None:
    night = Night(roots, job("build"), job("a", "build"), job("b", "build"))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(night.removals.run)
            night.end(night.event("build"))
            night.end(night.event("a"))
            while night.left() != ["b", "build"]:
                await trio.lowlevel.checkpoint()
            night.end(night.event("b"))
            await night.removals.finish([])
    assert night.left() == []
    assert night.journal.intents == [["a"], ["b", "build"]]
    assert night.removals.removed == {"a", "b", "build"}


async def test_what_did_not_pass_and_what_it_needs_stay(roots: Roots) -> None:
    night = Night(roots, job("build"), job("a", "build"), job("b", "build"))
    left = await night.all(night.event("build"), night.event("a"), night.event("b", FAILED))
    assert left == ["b", "build"]
    assert night.removals.removed == {"a"}


async def test_a_job_that_keeps_its_directory_counts_for_those_that_it_needs(roots: Roots) -> None:
    night = Night(roots, job("build"), job("a", "build"), keeping=["a"])
    assert await night.all(night.event("build"), night.event("a")) == ["a"]
    assert (night.removals.goes("build"), night.removals.goes("a")) == (True, False)


async def test_changes_that_were_dropped_are_made_good_at_the_end(roots: Roots) -> None:
    night = Night(roots, job("a"), job("b", "a"))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(night.removals.run)
            night.end(night.event("b"))
            await night.removals.finish([night.event("a"), night.event("b")])
    assert night.left() == []


async def test_without_the_intent_in_the_journal_nothing_is_removed(roots: Roots) -> None:
    night = Night(roots, job("a"))
    night.journal.works = False
    assert await night.all(night.event("a")) == ["a"]
    assert night.removals.removed == set()


async def test_a_failed_attempt_keeps_its_directory(roots: Roots) -> None:
    night = Night(roots, job("a"))
    failed = night.event("a", FAILED)
    assert failed.paths is not None
    moved = attrs.evolve(failed, paths=paths_of_earlier(night.jobs["a"], failed.paths, 1))
    (night.run / "a~attempt1").mkdir()
    assert await night.all(night.event("a", attempt=2, earlier=(moved,))) == ["a~attempt1"]


@pytest.mark.parametrize(
    "fields",
    [
        {"attempt": 2},
        {"earlier": "unknown"},
        {"paths": JobPaths("/elsewhere/a", "/elsewhere/a/job.log", "/")},
        {"paths": None},
    ],
    ids=["an odir that is not renewed", "nobody knows where the failed attempt is", "another directory", "none"],
)
async def test_a_directory_that_may_have_other_files_stays(roots: Roots, fields: dict[str, Any]) -> None:
    night = Night(roots, job("a", odir=f"{roots}/a"))
    if fields.get("earlier") == "unknown":
        fields = {"earlier": (night.event("a", FAILED, paths=None),)}
    assert await night.all(night.event("a", **fields)) == ["a"]
    assert night.journal.intents == []


async def test_a_directory_that_is_renewed_is_removed_on_any_attempt(roots: Roots) -> None:
    night = Night(roots, job("a", odir=f"{roots}/a", renew_odir=True))
    assert await night.all(night.event("a", attempt=2)) == []


async def test_no_link_is_followed(roots: Roots, tmp_path: Path) -> None:
    night = Night(roots, job("a"), job("b"))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").touch()
    (night.run / "a" / "link").symlink_to(mine)
    (night.run / "b").rename(tmp_path / "b")
    (night.run / "b").symlink_to(mine)
    assert await night.all(night.event("a"), night.event("b")) == []
    assert (mine / "precious").exists()


async def test_what_cannot_be_removed_is_told_once_and_the_others_go(
    roots: Roots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = RootedPath.remove

    def fail(path: RootedPath) -> None:
        if path.name in ("a~removed", "b~removed") and path.exists():
            raise OSError(39, "Directory not empty", str(path))
        remove(path)

    monkeypatch.setattr(RootedPath, "remove", fail)
    caplog.set_level(logging.WARNING)
    night = Night(roots, *map(job, "abc"))
    assert await night.all(*map(night.event, "abc")) == ["a~removed", "b~removed"]
    (message,) = caplog.messages
    assert (
        message
        == f"{night.run}/a, of a job that passed, cannot be removed: Directory not empty; others are not told of"
    )


async def test_a_file_system_that_does_not_answer_keeps_no_run_from_its_end(
    roots: Roots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(RootedPath, "remove", lambda _: os.read(reading, 1))
    monkeypatch.setattr(module, "_TIMEOUT", 0.1)
    caplog.set_level(logging.WARNING)
    night = Night(roots, *map(job, "abc"))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(night.removals.run)
            for name in "abc":
                night.end(night.event(name))
            await night.removals.finish([])
            nursery.cancel_scope.cancel()
    os.close(writing)  # the thread ends
    assert caplog.messages == ["output directories of jobs that passed are left, as their removal takes too long"]


async def test_what_an_earlier_segment_began_to_remove_is_removed_before_anything_starts(roots: Roots) -> None:
    begun = {"a": f"{roots}/a", "b": None, "c": "/elsewhere", "d": f"{roots}/d", "e": None}
    night = Night(roots, *map(job, "abcde"), keeping="d", before=["a"], begun=begun)
    (night.run / "b").rename(night.run / "b~removed")
    await night.removals.finish_begun()
    # Not where the journal alone says that a directory is, not if today's job file keeps it, and not what somebody has
    # made since.
    assert night.left() == ["c", "d", "e"]
    assert night.journal.intents == []
    # One is kept, and gone; the other one runs again, and passes.
    (night.run / "b").mkdir()
    assert await night.all(*map(night.event, "ab")) == ["c", "d", "e"]
    assert night.journal.intents == [["b"]]
    assert night.removals.removed == {"a", "b"}
