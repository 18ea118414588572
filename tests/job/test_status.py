"""The statuses, the legal moves between them, and the kinds of failure."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Final

import pytest

from runtime.errors import StatusMoveError
from runtime.job import LEGAL_MOVES, FailureClass, FailureKind, JobStatus, check_move

S, Q, R, P, F, K = JobStatus
TERMINAL: Final = {P, F, K}

LEGAL: Final = {
    (S, Q), (S, P), (S, F), (S, K),
    (Q, R), (Q, P), (Q, F), (Q, K),
    (R, Q), (R, P), (R, F), (R, K),
}  # fmt: skip

KINDS: Final = {
    F: "exit_code signal fail_pattern pass_pattern_missing log_unreadable log_limit out_of_memory hook "
    "leftovers licence flaky",
    K: "timeout idle queue_timeout busy launch_error launcher_error dependency cancelled preempted node_failure lost "
    "backend_error",
}


def test_the_statuses_are_those_of_the_design() -> None:
    assert [status.name for status in JobStatus] == ["SCHEDULED", "QUEUED", "RUNNING", "PASSED", "FAILED", "KILLED"]


def test_each_status_has_a_letter_of_its_own() -> None:
    assert "".join(status.shorthand for status in JobStatus) == "SQRPFK"


def test_three_statuses_are_terminal() -> None:
    assert {status for status in JobStatus if status.is_terminal} == TERMINAL


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobStatus, JobStatus)))
def test_a_move_is_legal_or_it_raises(old: JobStatus, new: JobStatus) -> None:
    if (old, new) in LEGAL:
        assert check_move(old, new) is new
    else:
        with pytest.raises(StatusMoveError, match=f"cannot go from {old.name} to {new.name}"):
            check_move(old, new)


def test_the_message_lists_the_legal_moves() -> None:
    with pytest.raises(StatusMoveError, match=r"from RUNNING may follow: FAILED, KILLED, PASSED, QUEUED$"):
        check_move(R, S)
    with pytest.raises(StatusMoveError, match=r"from PASSED may follow: nothing: it has ended$"):
        check_move(P, R)


def test_the_table_has_every_status_and_no_move_from_a_terminal_one() -> None:
    assert set(LEGAL_MOVES) == set(JobStatus)
    assert all(not LEGAL_MOVES[status] for status in TERMINAL)


@pytest.mark.parametrize("status", [F, K])
def test_each_kind_goes_with_one_status(status: JobStatus) -> None:
    assert {kind.value for kind in FailureKind if kind.status is status} == set(KINDS[status].split())


INFRASTRUCTURE: Final = (
    "out_of_memory licence queue_timeout busy launch_error launcher_error preempted node_failure lost backend_error"
)


def test_each_kind_has_one_class() -> None:
    classes = {kind.value: kind.failure_class for kind in FailureKind}
    assert {name for name, each in classes.items() if each is FailureClass.INFRASTRUCTURE} == set(
        INFRASTRUCTURE.split()
    )
    assert {name for name, each in classes.items() if each is FailureClass.NEITHER} == {"cancelled", "dependency"}
    assert [kind for kind in FailureKind if kind.is_infrastructure] == [
        kind for kind in FailureKind if kind.value in INFRASTRUCTURE.split()
    ]


def test_a_kind_is_text() -> None:
    assert FailureKind("lost") is FailureKind.LOST
    assert f"{FailureKind.LOST}" == "lost"
    assert pickle.loads(pickle.dumps(FailureKind.LOST)) is copy.deepcopy(FailureKind.LOST) is FailureKind.LOST
