"""A value made of a draft does not differ from one that its frozen class makes."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import attrs
import pytest

from runtime.errors import SpecError
from runtime.job import (
    JobCompletionEvent,
    JobHandle,
    JobPaths,
    JobResult,
    JobSpec,
    JobStatus,
    JobStatusInfo,
    JobUsage,
)
from runtime.job.drafts import SpecVariants, make_completion, make_handles, make_results

REASON = JobStatusInfo("why")
USAGE = JobUsage(exit_code=3)
PATHS = JobPaths("/out/a", "/out/a/job.log", "/work")


@attrs.define
class FakeJob:
    """A `LiveJob` and an `EndedJob`."""

    id: str = "a"
    attempt: int = 2
    status: JobStatus = JobStatus.FAILED
    submitted: float = 1.0
    started: float | None = 2.0
    paths: JobPaths | None = PATHS
    accepted: bool = True
    ticket: int = 5
    job: object = "a job"
    event: JobCompletionEvent | None = None


def completion() -> JobCompletionEvent:
    return make_completion(FakeJob(), REASON, 3.0, USAGE)


def handle(backend: object = None) -> JobHandle:
    return make_handles([FakeJob("refused", accepted=False), FakeJob()], backend)["a"]


def result(event: JobCompletionEvent) -> JobResult[object]:
    (made,) = make_results([FakeJob(), FakeJob(event=event)])
    return made


def test_a_draft_becomes_what_the_class_makes() -> None:
    made = completion()
    usual = JobCompletionEvent("a", 2, JobStatus.FAILED, REASON, 1.0, 2.0, 3.0, USAGE, PATHS)
    assert type(made) is JobCompletionEvent
    assert (made, hash(made), repr(made)) == (usual, hash(usual), repr(usual))
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == usual  # pickled by this test
    assert attrs.evolve(made, attempt=3).attempt == 3

    here = object()
    assert type(handle(here)) is JobHandle
    assert handle(here) == JobHandle("a", 2, 2.0, here, 5)

    end = result(made)
    assert type(end) is JobResult
    assert (end.job, end.event, end.id, end.attempt) == ("a job", made, "a", 2)


def test_a_refused_job_has_no_handle_and_a_job_that_runs_no_result() -> None:
    assert list(make_handles([FakeJob("refused", accepted=False), FakeJob("b")], None)) == ["b"]
    assert make_results([FakeJob()]) == []


def test_a_job_is_freed_when_its_handle_is_made() -> None:
    class Job(FakeJob):
        pass

    jobs: list[Any] = [Job("a"), Job("b")]
    there = [weakref.ref(job) for job in jobs]
    assert list(make_handles(jobs, None)) == ["a", "b"]
    assert (jobs, [job() for job in there]) == ([], [None, None])


@pytest.mark.parametrize("kind", [JobCompletionEvent, JobHandle, JobResult])
def test_every_field_is_set(kind: type) -> None:
    made = {JobCompletionEvent: completion(), JobHandle: handle()}.get(kind, result(completion()))
    for field in attrs.fields(kind):
        assert hasattr(made, field.name), field.name


def test_a_completion_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        completion().attempt = 3  # type: ignore[misc]  # what is tested


def test_a_variant_of_a_specification_is_what_the_class_makes() -> None:
    first = JobSpec(name="a", cmd="x", seed=1, tags=["t"], run_if="ended", timeout=5, odir="/a", retry=2)
    made = SpecVariants(first, ["full_name", "cmd", "seed", "odir"]).make(["a.2", ("y", "z"), 2, "/b"])
    usual = attrs.evolve(first, full_name="a.2", cmd=["y", "z"], seed=2, odir="/b")
    assert type(made) is JobSpec
    assert (made.id, repr(made)) == ("a.2", repr(usual))
    assert attrs.asdict(made, recurse=False) == attrs.asdict(usual, recurse=False)
    assert first.id == "a"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.seed = 3  # type: ignore[misc]  # what is tested


def test_a_specification_can_be_referred_to_weakly() -> None:
    """As backends do, which remember what is done of a job that they refused."""
    first = JobSpec(name="a", cmd="x")
    for spec in (first, SpecVariants(first, ["cmd"]).make(["y"])):
        assert weakref.ref(spec)() is spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cmd", " "),
        ("cmd", ("x", "\0")),
        ("odir", ""),
        ("cwd", "\0"),
        ("log_path", "\0"),
        ("exports", {"A": "\0"}),
        ("pass_patterns", ("(",)),
        ("fail_patterns", ("(",)),
        ("runtime_pattern", "x"),
        ("timeout_from", "("),
    ],
)
def test_a_variant_is_checked_as_the_first_one_is(field: str, value: Any) -> None:
    first = JobSpec(name="a", cmd="x")
    with pytest.raises(SpecError) as expected:
        attrs.evolve(first, **{field: value})
    with pytest.raises(SpecError) as caught:
        SpecVariants(first, [field]).make([value])
    assert str(caught.value) == str(expected.value)
