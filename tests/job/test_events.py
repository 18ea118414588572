"""Events are immutable values, and a result repeats the last event of its job."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from runtime.job import (
    JobCompletionEvent,
    JobHandle,
    JobPaths,
    JobProgressEvent,
    JobResult,
    JobStatus,
    JobStatusInfo,
    JobUsage,
)

INFO = JobStatusInfo("it failed", lines=[3, (5, 7)], context=["one", "two"])
USAGE = JobUsage(cpu_seconds=1.0, exit_code=2)
PATHS = JobPaths("/out/a", "/logs/a", "/work")
EVENT = JobCompletionEvent("a", 2, JobStatus.FAILED, INFO, 1.0, 2.0, 3.0, USAGE, PATHS)
VALUES = [
    INFO,
    USAGE,
    PATHS,
    EVENT,
    JobHandle("a", 1),
    JobProgressEvent("a", 1, JobStatus.RUNNING, 0.0),
    JobResult("spec", EVENT),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_event_cannot_be_changed(value: Any) -> None:
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("value", VALUES[:-1], ids=lambda value: type(value).__name__)
def test_events_with_equal_fields_are_equal(value: Any) -> None:
    assert attrs.evolve(value) == value


def test_what_is_not_known_is_none() -> None:
    assert attrs.astuple(JobUsage()) == (None,) * 7
    assert attrs.astuple(JobStatusInfo("m")) == ("m", *(None,) * 5)
    assert JobHandle("a", 1).started is None


def test_handles_of_two_backends_or_two_submissions_differ() -> None:
    mine, yours = object(), object()
    assert JobHandle("a", 1, backend=mine, ticket=1) == JobHandle("a", 1, backend=mine, ticket=1)
    assert JobHandle("a", 1, backend=mine) != JobHandle("a", 1, backend=yours)
    assert JobHandle("a", 1, backend=mine, ticket=1) != JobHandle("a", 1, backend=mine, ticket=2)
    assert "object" not in repr(JobHandle("a", 1, backend=mine)), "the repr of a handle leaves out its backend"


def test_a_completion_tells_where_the_files_are_if_that_is_known() -> None:
    for known in (EVENT, JobResult("spec", EVENT)):
        assert (known.odir, known.log_path) == ("/out/a", "/logs/a")
    unknown = attrs.evolve(EVENT, paths=None)
    for event in (unknown, JobResult("spec", unknown)):
        assert (event.odir, event.log_path) == (None, None)


def test_a_result_repeats_its_last_event() -> None:
    spec = object()
    result = JobResult(spec, EVENT)
    assert (result.job, result.id, result.attempt, result.status) == (spec, "a", 2, JobStatus.FAILED)
    assert (result.reason, result.usage) == (INFO, USAGE)
    assert (result.submitted, result.started, result.ended) == (1.0, 2.0, 3.0)


def test_a_job_without_an_attempt_was_never_submitted() -> None:
    never = attrs.evolve(EVENT, attempt=0, started=None)
    result = JobResult(object(), never)
    assert (result.attempt, result.submitted, result.started, result.ended) == (0, None, None, 3.0)
