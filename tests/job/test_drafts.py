"""What is made as a draft is the frozen value itself."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from runtime.job import JobCompletionEvent, JobHandle, JobResult, JobStatus, JobStatusInfo, JobUsage
from runtime.job.drafts import make_completion, make_handle, make_result

REASON = JobStatusInfo("why")
USAGE = JobUsage(exit_code=3)


def completion() -> JobCompletionEvent:
    return make_completion("a", 2, JobStatus.FAILED, REASON, 1.0, 2.0, 3.0, USAGE)


def test_a_draft_becomes_what_the_class_makes() -> None:
    made = completion()
    usual = JobCompletionEvent("a", 2, JobStatus.FAILED, REASON, 1.0, 2.0, 3.0, USAGE)
    assert type(made) is JobCompletionEvent
    assert (made, hash(made), repr(made)) == (usual, hash(usual), repr(usual))
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == usual  # it was written here
    assert attrs.evolve(made, attempt=3).attempt == 3

    here = object()
    handle = make_handle("a", 2, None, here, 5)
    assert type(handle) is JobHandle
    assert handle == JobHandle("a", 2, None, here, 5)

    result = make_result("a job", made)
    assert type(result) is JobResult
    assert (result.job, result.event, result.id, result.attempt) == ("a job", made, "a", 2)


@pytest.mark.parametrize("kind", [JobCompletionEvent, JobHandle, JobResult])
def test_every_field_is_set(kind: type) -> None:
    made = {JobCompletionEvent: completion(), JobHandle: make_handle("a", 1, None, None, 0)}.get(
        kind, make_result("a job", completion())
    )
    for field in attrs.fields(kind):
        assert hasattr(made, field.name), field.name


def test_it_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        completion().attempt = 3  # type: ignore[misc]  # that is the question
