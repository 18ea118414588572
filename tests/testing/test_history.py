"""Tests of `History`: what is a violation, and what is not."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from runtime.job import (
    EventBatch,
    FailureKind,
    JobCompletionEvent,
    JobHandle,
    JobProgressEvent,
    JobStatus,
    JobStatusInfo,
)
from runtime.testing.history import History


def completion(job_id: str = "a", attempt: int = 1) -> JobCompletionEvent:
    return JobCompletionEvent(job_id, attempt, JobStatus.PASSED, None, 0, 0, 0)


def history(*events: JobCompletionEvent | JobProgressEvent, accepted: str = "", doubtful: str = "") -> History:
    made = History()
    made.accept(JobHandle(job_id, 1) for job_id in accepted)
    made.doubt(doubtful)
    for event in events:
        made.take((event,))
    return made


def test_one_completion_for_each_accepted_job_is_right() -> None:
    history(completion("a"), completion("b"), accepted="ab").check()
    assert history().violations() == []


def test_a_completion_that_never_came_is_a_violation() -> None:
    with pytest.raises(AssertionError, match=r"1 completions never came; of these: 'b' \(attempt 1\)"):
        history(completion("a"), accepted="ab").check()


def test_a_completion_too_many_is_a_violation() -> None:
    assert history(completion(), completion(), accepted="a").violations() == [
        "1 completions too many for attempt 1 at 'a'"
    ]


def test_a_completion_for_nobody_or_for_another_attempt_is_a_violation() -> None:
    assert history(completion()).violations() == ["1 completions too many for attempt 1 at 'a'"]
    assert len(history(completion("a", 2), accepted="a").violations()) == 2


def test_a_cancelled_submission_may_complete_once_or_not_at_all() -> None:
    assert history(doubtful="a").violations() == []
    assert history(completion(), doubtful="a").violations() == []
    assert history(completion(), completion(), doubtful="a").violations() != []


def test_undelivered_completions_make_up_for_those_that_did_not_come() -> None:
    two = history(completion("a"), accepted="abc")
    assert two.violations(undelivered=2) == []
    assert two.violations(undelivered=1) == ["1 completions never came; of these: 'b' (attempt 1), 'c' (attempt 1)"]
    assert two.violations(undelivered=3) == ["3 completions are counted as undelivered, but only 2 did not come"]
    assert history(doubtful="a").violations(undelivered=1) == []


def test_an_empty_batch_is_a_violation() -> None:
    made = History()
    made.take(())
    assert made.violations() == ["a batch is empty"]


def test_progress_after_the_end_is_a_violation() -> None:
    progress = JobProgressEvent("a", 1, JobStatus.RUNNING, 0)
    assert history(progress, completion(), accepted="a").violations() == []
    assert history(completion(), progress, accepted="a").violations() == [
        "progress of attempt 1 at 'a' came after its completion"
    ]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": JobStatus.RUNNING, "reason": JobStatusInfo("x")}, "a completion with status RUNNING"),
        ({"status": JobStatus.FAILED}, "exactly the jobs that did not pass have a reason"),
        ({"reason": JobStatusInfo("x")}, "exactly the jobs that did not pass have a reason"),
        (
            {"status": JobStatus.FAILED, "reason": JobStatusInfo("x", kind=FailureKind.TIMEOUT)},
            "kind timeout does not go with FAILED",
        ),
        ({"submitted": 1}, "times out of order"),
        ({"started": 1}, "times out of order"),
        ({"started": None, "ended": -1}, "times out of order"),
    ],
)
def test_an_event_that_makes_no_sense_is_a_violation(changes: dict[str, object], complaint: str) -> None:
    (found,) = history(attrs.evolve(completion(), **changes), accepted="a").violations()  # type: ignore[arg-type]  # wrong ones
    assert complaint in found


def test_progress_to_an_end_is_a_violation() -> None:
    (found,) = history(JobProgressEvent("a", 1, JobStatus.PASSED, 0)).violations()
    assert found.startswith("progress to PASSED")


def test_the_completion_of_an_attempt() -> None:
    made = history(completion("a"), completion("a", 2), accepted="a")
    assert made.completion("a", 2).attempt == 2
    with pytest.raises(AssertionError, match="0 completions came for attempt 3 at 'a'; expected 1"):
        made.completion("a", 3)


async def test_it_collects_until_the_channel_ends_even_when_cancelled() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    made = History()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.collect, receive)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), send:
            await send.send((completion("a"),))
            await made.wait_until(lambda: len(made.completions) == 1)
            await send.send((completion("b"), completion("c")))
    assert made.ended
    assert [event.job_id for event in made.events] == ["a", "b", "c"]


async def test_a_receiver_closed_under_it_is_no_end() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    made = History()
    with send:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.collect, receive)
            await trio.testing.wait_all_tasks_blocked()
            receive.close()
    assert not made.ended
