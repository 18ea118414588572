"""Doubtful submissions: what is submitted again, and what is known in the end."""

from __future__ import annotations

import math

import pytest

from runtime.backend.batch.array_index import ArrayEntry
from runtime.backend.batch.reactor import DOUBT_TIMEOUT
from runtime.backend.batch.submission import Submission
from runtime.backend.batch.system import Accepted, Doubtful, QueueFull, Refused, SubmitAnswer, Unanswered


@pytest.mark.parametrize("answer", [Accepted("7"), QueueFull("full"), Refused("no partition"), Unanswered("down")])
def test_an_answer_without_a_doubt_is_the_outcome(answer: SubmitAnswer) -> None:
    entry = ArrayEntry(["a"])
    assert Submission(entry).on_answer(answer) == answer
    assert entry.doubtful_until == -math.inf


def test_an_array_that_the_search_finds_was_accepted_and_is_not_submitted_again() -> None:
    entry = ArrayEntry(["a"])
    submission = Submission(entry)
    assert submission.on_answer(Doubtful("timed out")) is None
    assert entry.doubtful_until == math.inf  # the queue is asked for its name, however long that takes
    entry.ids.add("8")
    assert submission.on_search(100) == Accepted("8")
    assert entry.doubtful_until == 100 + DOUBT_TIMEOUT


def test_an_array_that_is_not_found_is_submitted_once_more_and_no_more() -> None:
    submission = Submission(ArrayEntry(["a"]))
    assert submission.on_answer(Doubtful("first")) is None
    assert submission.on_search(100) is None
    assert submission.on_answer(Doubtful("second")) is None
    assert submission.on_search(200) == Unanswered("second")


def test_an_array_that_a_full_queue_has_not_accepted_is_not_submitted_again() -> None:
    submission = Submission(ArrayEntry(["a"]))
    assert submission.on_answer(Doubtful("retrying", busy=True)) is None
    assert submission.on_search(100) == QueueFull("retrying")


def test_the_second_submission_may_be_clear() -> None:
    submission = Submission(ArrayEntry(["a"]))
    submission.on_answer(Doubtful("first"))
    submission.on_search(100)
    assert submission.on_answer(Accepted("9")) == Accepted("9")
