"""The ledger of live jobs."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from runtime.backend.contract.live import Ledger, LiveJob, Stage, make_live
from runtime.errors import DuplicateJobError
from runtime.job import JobStatus
from tests.backend.manual import job


def live(name: str) -> LiveJob:
    return make_live([job(name)], 2.5)[0]


def test_a_job_begins_queued_and_waiting() -> None:
    (entry,) = make_live([job("a")], 2.5, attempts={"a": 3})
    assert (entry.id, entry.attempt, entry.submitted) == ("a", 3, 2.5)
    assert (entry.status, entry.stage, entry.started, entry.stop) == (JobStatus.QUEUED, Stage.WAITING, None, None)
    assert repr(entry) == "<LiveJob 'a' attempt 3 WAITING QUEUED>"


def test_all_enter_or_none() -> None:
    ledger = Ledger()
    ledger.admit([live("a"), live("b")])
    with pytest.raises(DuplicateJobError, match="job 'b' is live in this backend; nothing of the call was launched"):
        ledger.admit([live("c"), live("b")])
    with pytest.raises(DuplicateJobError, match="job 'c' is given twice in this call; nothing of the call was launch"):
        ledger.admit([live("c"), live("d"), live("c")])
    assert [entry.id for entry in ledger] == ["a", "b"]
    assert len(ledger) == 2
    assert ledger.get("c") is None


def test_a_job_that_has_left_may_enter_again() -> None:
    ledger = Ledger()
    first = live("a")
    ledger.admit([first])
    assert ledger.get("a") is first
    ledger.remove(first, accepted=False)
    assert (first.stage, first.accepted) == (Stage.DONE, False)
    assert ledger.get("a") is None
    ledger.admit([live("a")])
    assert len(ledger) == 1


def test_jobs_may_leave_while_it_is_walked() -> None:
    ledger = Ledger()
    ledger.admit([live(name) for name in "abc"])
    for entry in ledger:
        ledger.remove(entry, accepted=True)
    assert len(ledger) == 0


async def test_waiting_for_the_end_of_a_job() -> None:
    ledger = Ledger()
    entry = live("a")
    ledger.admit([entry])
    woken = []

    async def wait() -> None:
        await entry.wait_ended()
        woken.append(entry.stage)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert woken == []
        ledger.remove(entry, accepted=True)
    assert woken == [Stage.DONE, Stage.DONE]
    with trio.testing.assert_no_checkpoints():
        await entry.wait_ended()


async def test_idle_means_that_nothing_is_live_when_the_waiter_wakes() -> None:
    ledger = Ledger()
    first, second = live("a"), live("b")
    ledger.admit([first])
    seen = []

    async def wait() -> None:
        await ledger.wait_idle()
        seen.append(len(ledger))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        ledger.remove(first, accepted=True)
        ledger.admit([second])  # before the waiter has run
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        ledger.remove(second, accepted=True)
    assert seen == [0]
    with trio.testing.assert_checkpoints():
        await ledger.wait_idle()
