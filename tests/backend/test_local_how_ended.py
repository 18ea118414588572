"""How a local job has ended, from the end of its processes alone."""

from __future__ import annotations

import pytest

from runtime.backend.local.how_ended import Ending, how_ended, may_be_oom, out_of_memory, with_leftovers
from runtime.job import FailureKind
from runtime.process import Exit, TreeEnd
from runtime.verdict import PASSED, failed

OK = Exit(code=0)


@pytest.mark.parametrize(
    ("end", "is_stopped", "ending"),
    [
        (TreeEnd(OK), False, Ending.EXITED),
        (TreeEnd(OK), True, Ending.EXITED),  # the stop came too late
        (TreeEnd(OK, stopped=True), True, Ending.STOPPED),
        (TreeEnd(OK, stopped=True), False, Ending.STOPPED_EARLY),
        (TreeEnd(), False, Ending.REAPED_ELSEWHERE),
        (TreeEnd(), True, Ending.REAPED_ELSEWHERE),
        (TreeEnd(stopped=True), True, Ending.STOPPED),  # its exit does not matter
        (TreeEnd(broken="died"), False, Ending.BROKEN),
        (TreeEnd(broken="died"), True, Ending.BROKEN),
        (TreeEnd(broken="died", stopped=True), True, Ending.STOPPED),
        (TreeEnd(OK, left=[7]), False, Ending.LOST),
        (TreeEnd(left=[], broken="died", stopped=True), True, Ending.LOST),
    ],
)
def test_how_a_job_has_ended(end: TreeEnd, is_stopped: bool, ending: Ending) -> None:
    assert how_ended(end, is_stopped=is_stopped) is ending


@pytest.mark.parametrize(
    ("how", "may_be"),
    [
        (Exit(signal=9), True),
        (Exit(code=137), True),  # of a shell whose program was killed
        (Exit(signal=15), False),
        (Exit(code=9), False),
        (OK, False),
    ],
)
def test_only_sigkill_may_mean_out_of_memory(how: Exit, may_be: bool) -> None:
    assert may_be_oom(how) is may_be


def test_out_of_memory_keeps_what_was_known() -> None:
    reason = out_of_memory(failed(FailureKind.SIGNAL, "killed by SIGKILL")).reason
    assert reason is not None
    assert reason.kind is FailureKind.OUT_OF_MEMORY
    assert reason.message.startswith("killed by SIGKILL; ")


@pytest.mark.parametrize("leftovers", ["ignore", "warn"])
def test_leftovers_are_no_failure_unless_they_are_to_be(leftovers: str) -> None:
    end = TreeEnd(OK, left_behind=["sleep (7)", "tee (8)"])
    assert with_leftovers(leftovers, end) is PASSED
    assert with_leftovers("fail", TreeEnd(OK)) is PASSED
    reason = with_leftovers("fail", end).reason
    assert reason is not None
    assert reason.kind is FailureKind.LEFTOVERS
    assert reason.message.endswith("sleep (7), tee (8)")
