"""`RuntimeBackend`: behaviour that the conformance suite cannot see from outside."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from runtime.backend.contract.backend import RuntimeBackend, check_limit
from runtime.backend.contract.control import Control, JobEnd
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.contract.open_backend import BROKEN_DEADLINE, TEARDOWN_DEADLINE, BackendState
from runtime.backend.fake import FakeBackend, FakeDriver, FakeRun
from runtime.errors import BackendBrokenError, BackendClosedError, DuplicateJobError
from runtime.job import EventBatch, FailureKind, JobProgressEvent, JobStatus, JobStatusInfo
from runtime.testing.backends import Delay, Hang, Raise, ScriptedBackend, ScriptPoint
from tests.backend.manual import ManualBackend, ManualDriver, driven_by, job, opened

FOREVER = FakeRun(duration=math.inf)
BUG = RuntimeError("a bug of the backend")


def for_ever(_job: object, _attempt: int) -> FakeRun:
    return FOREVER


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize("value", [-1, 1.5, math.nan, math.inf, "4", True, [], -math.inf])
def test_an_invalid_limit_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"FakeBackend: max_parallelism is .*; expected None for the default, 0 for"):
        FakeBackend(max_parallelism=value)


@pytest.mark.parametrize(("given", "kept"), [(None, None), (0, None), (1, 1), (4.0, 4), (10**9, 10**9)])
def test_a_limit_is_a_number_or_none(given: Any, kept: int | None) -> None:
    assert FakeBackend(max_parallelism=given).max_parallelism == kept


@pytest.mark.parametrize("value", [-1, 1.5, math.nan, math.inf, "4", True, []])
def test_an_invalid_limit_is_refused_when_it_is_assigned(value: Any) -> None:
    backend = FakeBackend(max_parallelism=3)
    with pytest.raises(ValueError, match="FakeBackend: max_parallelism is"):
        backend.max_parallelism = value
    assert backend.max_parallelism == 3


@pytest.mark.parametrize(("value", "kept"), [(None, None), (0, None), (1, 1), (4.0, 4)])
def test_a_limit_can_be_assigned_and_lifted(value: Any, kept: int | None) -> None:
    backend = FakeBackend(max_parallelism=3)
    backend.max_parallelism = value
    assert backend.max_parallelism == kept


async def test_a_limit_that_is_lifted_in_the_block_counts_at_once() -> None:
    backend = FakeBackend(for_ever, max_parallelism=1)
    async with opened(backend):
        assert len(await backend.submit_many([job("a"), job("b")])) == 1
        backend.max_parallelism = 0
        assert len(await backend.submit_many([job("b"), job("c")])) == 2
        backend.close()


@pytest.mark.parametrize("attempt", [0, -1, 1.0, True, "1", None])
async def test_an_invalid_number_of_an_attempt_is_refused(attempt: Any) -> None:
    backend = FakeBackend()
    async with opened(backend) as history:
        with pytest.raises(ValueError, match=r"attempt .* of job 'b' is not valid; expected a whole number from 1"):
            await backend.submit_many([job("a"), job("b")], attempts={"a": 2, "b": attempt})
        with pytest.raises(ValueError, match="of job 'b'"):
            await backend.submit(job("b"), attempt=attempt)
        with pytest.raises(ValueError, match=r"attempts is \[2\]; expected a mapping"):
            await backend.submit_many([job("a")], attempts=[2])  # type: ignore[arg-type]  # that is the point
        assert backend.statistics().submitted == 0
    assert history.completions == []


async def test_to_close_from_a_thread_is_an_error_that_changes_nothing() -> None:
    backend = FakeBackend(for_ever)
    async with opened(backend):
        await backend.submit(job("a"))
        with pytest.raises(RuntimeError, match=r"close\(\) of <FakeBackend .* outside of the event loop"):
            await trio.to_thread.run_sync(outside_of_trio, backend.close)
        assert backend.statistics().state is BackendState.OPEN
        assert await backend.submit(job("b")) is not None
        await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(backend.close))
    assert backend.statistics().state is BackendState.CLOSED


def outside_of_trio(function: Callable[[], object]) -> None:
    """Call it in a thread that trio did not start."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


def test_a_backend_and_a_driver_share_no_private_name_with_the_contract() -> None:
    """So that no method of an author's is called in place of one of ours."""

    class Mine(Driver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None: ...
        def kill(self, jobs: Sequence[LiveJob]) -> None: ...

    for names in (vars(RuntimeBackend), vars(Driver), vars(FakeBackend()), vars(Mine(cast("Control", None)))):
        ours = {name for name in names if name.startswith("_") and not name.startswith(("__", "_RuntimeBackend__"))}
        assert ours <= {"_abc_impl"}, "which is Python's own"


def test_a_class_has_a_default_limit_and_zero_lifts_it() -> None:
    class Four(FakeBackend):
        default_parallelism = 4

    assert Four().max_parallelism == 4
    assert Four(max_parallelism=0).max_parallelism is None


def test_a_limit_that_need_not_be_whole() -> None:
    assert check_limit("x", 0.5, None, whole=False) == 0.5
    with pytest.raises(ValueError, match="x is an integer of 1329 bits; expected None for the default, 0 for no"):
        check_limit("x", 10**400, None, whole=False)
    with pytest.raises(
        ValueError, match=r"x is -0\.5; expected None for the default, 0 for no limit, or a number above 0"
    ):
        check_limit("x", -0.5, None, whole=False)


@pytest.mark.parametrize("value", [-1, math.nan, "1", True, None])
def test_a_drain_timeout_is_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match=r"drain_timeout is .*; expected seconds, from 0"):
        FakeBackend(drain_timeout=value)


@pytest.mark.parametrize("value", ["", 3])
def test_a_name_is_text(value: Any) -> None:
    with pytest.raises(ValueError, match=r"name is .*; expected text that is not empty"):
        FakeBackend(name=value)


def test_a_name_replaces_that_of_the_class() -> None:
    assert (FakeBackend().name, FakeBackend(name="mine").name) == ("fake", "mine")
    assert repr(FakeBackend(name="mine")) == "<FakeBackend 'mine' new, 0 live>"


# ---------------------------------------------------------------------- opening


async def test_a_closed_channel_is_an_error_and_changes_nothing() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    send.close()
    receive.close()
    backend = FakeBackend()
    with pytest.raises(trio.ClosedResourceError):
        async with backend.open(send):
            raise AssertionError
    assert backend.statistics().state is BackendState.NEW
    async with opened(backend):
        assert await backend.submit(job())


class EndsInItsLaunch(ManualDriver):
    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        await trio.sleep(2)
        for each in jobs:
            if self.control.begin(each):
                reason = JobStatusInfo("no luck", kind=FailureKind.EXIT_CODE)
                ends: list[JobEnd] = [(each, JobStatus.FAILED, reason, None), (each, JobStatus.PASSED, None, None)]
                assert self.control.finish_all(ends, ran=True) == 1


async def test_a_job_that_ends_within_its_launch_has_one_end_and_has_run(autojump_clock: MockClock) -> None:
    backend = driven_by(EndsInItsLaunch, ManualBackend)
    async with opened(backend) as history:
        handle = await backend.submit(job())
        assert handle is not None
        assert handle.started == 2
        assert backend.statistics().late == 1
    assert [(event.status, event.started, event.ended) for event in history.completions] == [(JobStatus.FAILED, 2, 2)]


@pytest.mark.parametrize("end", [3, trio.open_memory_channel[EventBatch](0)[1]])
async def test_only_a_sending_end_is_taken_for_completions(end: Any) -> None:
    backend = FakeBackend()
    with pytest.raises(TypeError, match=r"completions is .*; expected the sending end of a trio\.open_mem"):
        async with backend.open(end):
            pass
    send, receive = trio.open_memory_channel[EventBatch](0)
    with send, receive:
        async with backend.open(send):  # the failed calls did not open it
            assert backend.statistics().live == 0


async def test_what_setup_raises_is_raised_by_open() -> None:
    backend = ScriptedBackend(script={ScriptPoint.SETUP: Raise(BUG)})
    send, receive = trio.open_memory_channel[EventBatch](0)
    with send, receive:
        with pytest.raises(RuntimeError) as caught:
            async with backend.open(send):
                raise AssertionError
        assert caught.value is BUG
        assert send.statistics().open_send_channels == 1
    assert backend.statistics().state is BackendState.CLOSED
    assert not backend.steps[ScriptPoint.TEARDOWN, ""]


async def test_a_backend_that_is_being_opened_takes_no_jobs(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={ScriptPoint.SETUP: Delay(1)})

    async def early() -> None:
        await trio.testing.wait_all_tasks_blocked()
        assert backend.statistics().state is BackendState.OPENING
        with pytest.raises(BackendClosedError):
            await backend.submit(job())
        await backend.kill("a")
        backend.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(early)
        async with opened(backend):
            with pytest.raises(BackendClosedError, match="before it is closed"):
                await backend.submit(job())


async def test_a_backend_can_be_opened_again_and_a_handle_of_the_first_block_is_stale() -> None:
    backend = FakeBackend(for_ever)
    async with opened(backend) as first:
        stale = await backend.submit(job())
        assert stale is not None
        backend.close()
    assert backend.statistics().completed == 1
    async with opened(backend) as second:
        assert backend.statistics().submitted == 0
        fresh = await backend.submit(job())
        assert fresh is not None
        await backend.kill(stale)
        assert backend.statistics().live == 1
        await backend.kill(fresh)
    assert [len(history.completions) for history in (first, second)] == [1, 1]


async def test_a_backend_that_could_not_be_opened_or_broke_can_be_opened_again() -> None:
    backend = ScriptedBackend(script={ScriptPoint.SETUP: Raise(BUG)})
    with pytest.raises(RuntimeError):
        async with opened(backend):
            raise AssertionError
    backend.script = {ScriptPoint.SERVE: Raise(BUG)}
    with pytest.raises(RuntimeError):
        async with opened(backend):
            await trio.sleep_forever()
    backend.script = {}
    async with opened(backend) as history:
        assert await backend.submit(job())
    assert history.completion("a").status is JobStatus.PASSED


async def test_a_backend_is_not_opened_while_it_is_open() -> None:
    backend = FakeBackend(for_ever)
    async with opened(backend):
        send, receive = trio.open_memory_channel[EventBatch](0)
        with send, receive, pytest.raises(BackendClosedError, match="is open already; wait for the end of that block"):
            async with backend.open(send):
                raise AssertionError
        assert await backend.submit(job()), "the first block goes on"
        backend.close()


async def test_the_driver_is_told_of_an_id_that_is_killed_and_not_live() -> None:
    forgotten: list[str] = []

    class Remembers(FakeDriver):
        def forget(self, job_id: str) -> None:
            forgotten.append(job_id)

    async with opened(backend := driven_by(Remembers, FakeBackend)):
        await backend.kill("refused")
    assert forgotten == ["refused"]


async def test_no_timeout_counts_once_a_job_has_ended(autojump_clock: MockClock) -> None:
    class BeingJudged(ManualDriver):
        def has_ended(self, job: LiveJob) -> bool:
            return job.id == "a"

    backend = driven_by(BeingJudged, ManualBackend)
    async with opened(backend) as history:
        await backend.submit_many([job("a", timeout=5), job("b", timeout=5)])
        await trio.sleep(6)
        assert backend.killed == ["b"]
        backend.end("a")
        backend.die("b")
    assert history.completion("a").status is JobStatus.PASSED


async def test_a_run_has_a_token() -> None:
    tokens = []
    for given in (None, None, "mine"):
        send, receive = trio.open_memory_channel[EventBatch](0)
        backend = FakeBackend()
        with send, receive:
            async with backend.open(send, given):
                tokens.append(backend.run_token)
    assert tokens[2] == "mine"
    assert tokens[0] != tokens[1]
    assert all(tokens)


# ---------------------------------------------------------------------- submitting


async def test_a_value_that_is_not_a_job_is_an_error_and_nothing_is_launched() -> None:
    backend = FakeBackend(for_ever)
    async with opened(backend):
        with pytest.raises(AttributeError):
            await backend.submit_many([job("a"), object()])  # type: ignore[list-item]  # mypy has to find it, too
        assert backend.statistics().submitted == 0


async def test_a_job_that_a_backend_does_not_begin_is_refused() -> None:
    class Forgetful(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            await super().launch(jobs[:1])

    backend = driven_by(Forgetful, FakeBackend)
    async with opened(backend):
        assert list(await backend.submit_many([job("a"), job("b")])) == ["a"]
        assert backend.statistics().refused == 1


async def test_an_interactive_job_runs_alone() -> None:
    backend = FakeBackend(for_ever)
    alone, other = job("alone", interactive=True), job("other")
    async with opened(backend):
        assert list(await backend.submit_many([other, alone])) == ["alone"]
        assert await backend.submit_many([other]) == {}
        await backend.kill("alone")
        assert list(await backend.submit_many([other])) == ["other"]
        assert await backend.submit_many([alone]) == {}
        assert list(await backend.submit_many([alone, job("third")])) == ["third"]
        backend.close()


async def test_a_duplicate_with_an_interactive_job_changes_nothing() -> None:
    backend = FakeBackend()
    async with opened(backend):
        with pytest.raises(DuplicateJobError, match="'a' is given twice in this call"):
            await backend.submit_many([job("alone", interactive=True), job("a"), job("a")])
        assert await backend.submit(job("a"))


async def test_an_interactive_job_fails_where_none_can_run() -> None:
    backend = ManualBackend()
    async with opened(backend) as history:
        assert await backend.submit(job(interactive=True))
    event = history.completion("a")
    assert event.reason == JobStatusInfo(
        "backend 'manual' cannot run an interactive job", kind=FailureKind.LAUNCH_ERROR
    )
    assert backend.statistics().late == 0


async def test_what_was_not_begun_when_the_submit_was_cancelled_is_never_launched(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={ScriptPoint.LAUNCH: Delay(1)})
    async with opened(backend) as history:
        with trio.move_on_after(1.5) as scope:
            await backend.submit_many([job("a"), job("b"), job("c")])
        assert scope.cancelled_caught
        assert trio.current_time() == 1.5
        await backend.drain()
        assert [backend.steps[ScriptPoint.LAUNCH, name] for name in "abc"] == [1, 1, 0]
        assert backend.statistics().refused == 1
    assert {event.job_id for event in history.completions} == {"a", "b"}
    reason = history.completion("b").reason
    assert reason is not None
    assert reason.message == "killed because its submission was cancelled"


async def test_a_submit_cancelled_at_once_launches_nothing() -> None:
    backend = ScriptedBackend(for_ever)
    async with opened(backend) as history:
        with trio.CancelScope() as scope:
            scope.cancel()
            await backend.submit_many([job("a", interactive=True), job("b")])
        await trio.testing.wait_all_tasks_blocked()
        assert not backend.steps[ScriptPoint.LAUNCH, "a"]
        assert await backend.submit(job("b"))
        await backend.kill("b")
    assert [event.job_id for event in history.completions] == ["b"]


# ---------------------------------------------------------------------- killing


async def test_a_job_is_killed_as_soon_as_its_launch_returns(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={ScriptPoint.LAUNCH: Delay(3)})
    async with opened(backend) as history, trio.open_nursery() as nursery:
        nursery.start_soon(backend.submit_many, [job("a"), job("b")])
        await trio.sleep(1)
        await backend.kill_many(["b"])
        assert trio.current_time() == 1, "b was not begun, so there is nothing to wait for"
        await backend.kill_many(["a"])
        assert trio.current_time() == 3
    assert [backend.steps[ScriptPoint.LAUNCH, name] for name in "ab"] == [1, 0]
    assert {event.job_id: event.started for event in history.completions} == {"a": 3, "b": None}


async def test_a_job_that_is_killed_while_launched_and_then_refused_completes(autojump_clock: MockClock) -> None:
    class BusyInTheEnd(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            for each in filter(self.control.begin, jobs):
                await trio.sleep(1)
                self.control.refuse(each)

    backend = driven_by(BusyInTheEnd, FakeBackend)
    handles: dict[str, object] = {}

    async def submit() -> None:
        handles.update(await backend.submit_many([job()]))

    async with opened(backend) as history, trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        await backend.kill("a")
    assert list(handles) == ["a"]
    assert history.completion("a").status is JobStatus.KILLED


async def test_a_backend_may_withdraw_a_launch() -> None:
    class Queued(ManualDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            for each in jobs:
                self.control.begin(each)
            await trio.sleep_forever()

        def take_back(self, job: LiveJob) -> bool:
            return job.id == "a"

    backend = driven_by(Queued, ManualBackend)
    async with opened(backend) as history, trio.open_nursery() as nursery:
        nursery.start_soon(backend.submit_many, [job("a")])
        await trio.testing.wait_all_tasks_blocked()
        await backend.kill("a")
        nursery.cancel_scope.cancel()
    assert history.completion("a").status is JobStatus.KILLED
    assert backend.killed == []


async def test_a_bug_in_withdrawing_a_launch_breaks_the_backend(autojump_clock: MockClock) -> None:
    class Slow(FakeDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            for each in filter(self.control.begin, jobs):
                await trio.sleep(1)
                self.launch_begun([each])

        def take_back(self, job: LiveJob) -> bool:
            raise BUG

    backend = driven_by(Slow, FakeBackend, for_ever)
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history, trio.open_nursery() as nursery:
            nursery.start_soon(backend.submit_many, [job("a")])
            await trio.testing.wait_all_tasks_blocked()
            await backend.kill("a")
    assert caught.value is BUG
    assert history.completion("a").status is JobStatus.KILLED


async def test_each_kill_is_asked_once() -> None:
    backend = ManualBackend()
    async with opened(backend), trio.open_nursery() as nursery:
        await backend.submit_many([job("a"), job("b")])
        nursery.start_soon(backend.kill_many, ["a", "b"])
        nursery.start_soon(backend.kill, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert backend.killed == ["a", "b"]
        assert backend.forced == []
        nursery.start_soon(lambda: backend.kill("a", force=True))
        await trio.testing.wait_all_tasks_blocked()
        assert backend.killed == ["a", "b"]
        assert backend.forced == ["a"]
        backend.close(force=True)
        assert backend.forced == ["a", "a", "b"]
        backend.die("a")
        backend.die("b")


async def test_a_forced_kill_reaches_a_job_that_is_being_launched(autojump_clock: MockClock) -> None:
    class Slow(ManualDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            await trio.sleep(1)
            await super().launch(jobs[1:])
            for each in filter(self.control.begin, jobs[:1]):
                self.backend.jobs[each.id] = each
                await trio.sleep(1)
                self.control.started(each)

        def force(self, jobs: Sequence[LiveJob]) -> None:
            super().force(jobs)
            for each in jobs:
                self.control.finish_stopped(each)

    backend = driven_by(Slow, ManualBackend)
    async with opened(backend) as history, trio.open_nursery() as nursery:
        nursery.start_soon(backend.submit_many, [job("a")])
        await trio.sleep(1.5)
        await backend.kill("a", force=True)
        assert trio.current_time() == 2
    assert backend.killed == backend.forced == ["a"]
    assert history.completion("a").status is JobStatus.KILLED


async def test_a_job_that_does_not_end_is_lost(autojump_clock: MockClock) -> None:
    backend = ManualBackend()
    async with opened(backend) as history:
        await backend.submit_many([job("a"), job("b")])
        await backend.kill_many(["a"])
        assert trio.current_time() == ManualDriver.kill_deadline == 30
        assert backend.end("a") is False, "it has completed"
        assert backend.statistics().late == 1
        backend.end("b")
    reason = history.completion("a").reason
    assert reason == JobStatusInfo(
        "did not end within 30 s of being asked to (killed by the caller)", kind=FailureKind.LOST
    )


async def test_a_launch_that_returns_after_its_job_was_abandoned_gets_false(autojump_clock: MockClock) -> None:
    results = []

    class LateBackend(ManualDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            for each in filter(self.control.begin, jobs):
                await trio.sleep(60)
                results.append(self.control.started(each))

    backend = driven_by(LateBackend, ManualBackend)
    async with opened(backend) as history:
        with trio.move_on_after(1):
            await backend.submit(job())
        await backend.drain()
        assert trio.current_time() == 31
        await trio.sleep(60)
    assert results == [False]
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.kind is FailureKind.LOST


async def test_survivors_become_a_note(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="on purpose") as caught:
        async with opened(backend := ManualBackend()):
            await backend.submit_many([job(f"job-{number}") for number in range(12)])
            raise ValueError("on purpose")
    (note,) = caught.value.__notes__
    assert note.startswith("backend 'manual': 12 jobs were lost and may be alive: job-0, job-1, ")
    assert note.endswith("job-9 and others")


async def test_a_job_that_ended_by_itself_keeps_its_true_status() -> None:
    backend = ManualBackend()
    async with opened(backend) as history, trio.open_nursery() as nursery:
        await backend.submit_many([job("a"), job("b")])
        nursery.start_soon(backend.kill_many, ["a", "b"])
        await trio.testing.wait_all_tasks_blocked()
        assert backend.end("a", JobStatus.FAILED)
        assert backend.end("b")
    assert history.completion("a").status is JobStatus.FAILED
    assert history.completion("b").status is JobStatus.PASSED


async def test_a_stale_handle_does_nothing_to_a_later_submission_of_the_same_number() -> None:
    backend = FakeBackend(for_ever)
    async with opened(FakeBackend()):
        pass
    send, receive = trio.open_memory_channel[EventBatch](math.inf)
    with send, receive:
        async with backend.open(send):
            stale = await backend.submit(job())
            assert stale is not None
            await backend.kill(stale)
            fresh = await backend.submit(job())
            assert fresh is not None
            assert (stale.job_id, stale.attempt) == (fresh.job_id, fresh.attempt)
            await backend.kill(stale)
            assert backend.statistics().live == 1
            await backend.kill(fresh)
            assert backend.statistics().live == 0


async def test_one_id_where_several_are_expected_is_an_error() -> None:
    backend = FakeBackend(for_ever)
    async with opened(backend):
        await backend.submit_many([job("a"), job("b")])
        with pytest.raises(TypeError, match=r"'ab' is one id; expected several handles or ids, or kill\(\) for one"):
            await backend.kill_many("ab")
        assert backend.statistics().live == 2
        backend.close()


async def test_the_caller_of_a_kill_does_not_see_a_bug_of_the_backend(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={(ScriptPoint.KILL, "a"): Raise(BUG)})
    seen: list[BaseException] = []
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            await backend.submit_many([job("a"), job("b")])
            try:
                await backend.kill("a")
            except BaseException as exc:
                seen.append(exc)
                raise
    assert caught.value is BUG
    assert [type(exc) for exc in seen] == [trio.Cancelled]
    assert trio.current_time() <= BROKEN_DEADLINE
    assert {event.job_id for event in history.completions} == {"a", "b"}


async def test_a_bug_in_the_kill_of_a_time_limit_breaks_the_backend(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={ScriptPoint.KILL: Raise(BUG)})
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            await backend.submit(job(timeout=5))
            await trio.sleep_forever()
    assert caught.value is BUG
    assert trio.current_time() <= 5 + BROKEN_DEADLINE
    assert history.completion("a").status is JobStatus.KILLED


# ---------------------------------------------------------------------- time limits and progress


async def test_a_timeout_counts_from_the_start_and_a_queue_timeout_from_the_queue(autojump_clock: MockClock) -> None:
    policy = {
        "runs": FakeRun(queued=5, duration=10),
        "waits": FakeRun(queued=50, duration=10),
        "quick": FakeRun(queued=5, duration=1.5),
    }
    backend = FakeBackend(lambda spec, _attempt: policy[spec.id])
    async with opened(backend) as history:
        await backend.submit_many([job(name, timeout=2, queue_timeout=8) for name in policy])
    runs, waits, quick = (history.completion(name) for name in policy)
    assert (runs.started, runs.ended) == (5, 7)
    assert runs.reason == JobStatusInfo("ran for longer than its timeout of 2 s", kind=FailureKind.TIMEOUT)
    assert (waits.started, waits.ended) == (None, 8)
    assert waits.reason == JobStatusInfo(
        "waited in the queue for longer than its queue_timeout of 8 s", kind=FailureKind.QUEUE_TIMEOUT
    )
    assert (quick.started, quick.ended, quick.status) == (5, 6.5, JobStatus.PASSED)


async def test_a_slow_launch_is_not_counted(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(lambda *_: FakeRun(duration=2), script={ScriptPoint.LAUNCH: Delay(10)})
    async with opened(backend) as history:
        handle = await backend.submit(job(timeout=3))
    assert handle is not None
    assert handle.started == 10
    event = history.completion("a")
    assert (event.submitted, event.started, event.ended, event.status) == (0, 10, 12, JobStatus.PASSED)


async def test_limits_begin_anew_when_a_job_is_requeued(autojump_clock: MockClock) -> None:
    backend = ManualBackend(running=False)
    async with opened(backend) as history:
        await backend.submit_many([job("a", timeout=5, queue_timeout=5), job("b", timeout=5, queue_timeout=5)])
        await trio.sleep(4)
        backend.run("a", "node7")
        backend.run("b")
        await trio.sleep(4)
        backend.queue("a", "its node failed")
        backend.queue("b")
        await trio.sleep(4)  # longer than both limits, which have restarted
        assert backend.killed == []
        backend.run("a")
        await trio.sleep(4)
        assert backend.killed == ["b"], "it has waited for too long, the second time"
        assert backend.end("a")
        assert backend.die("b")
    assert history.completion("a").started == 12
    b = history.completion("b")
    assert (b.started, b.reason and b.reason.kind) == (None, FailureKind.QUEUE_TIMEOUT)
    results = [
        (e.status.name, e.at, e.note) for e in history.events if isinstance(e, JobProgressEvent) and e.job_id == "a"
    ]
    assert results == [
        ("RUNNING", 4, "node7"),
        ("QUEUED", 8, "its node failed"),
        ("RUNNING", 12, ""),
    ]


async def test_the_reason_why_a_job_still_waits_is_an_event(autojump_clock: MockClock) -> None:
    backend = ManualBackend(running=False)
    async with opened(backend) as history:
        handle = await backend.submit(job())
        assert handle is not None
        assert handle.started is None
        backend.queue("a", "Priority")
        backend.run("a")
        backend.end("a")
        backend.queue("a", "after its end")
        backend.run("a")
    assert [getattr(event, "note", None) for event in history.events] == ["Priority", "", None]


@pytest.mark.parametrize("kill_first", [True, False])
async def test_of_a_kill_and_a_timeout_at_the_same_time_the_kill_is_the_cause(
    kill_first: bool, autojump_clock: MockClock
) -> None:
    backend = ManualBackend()
    async with opened(backend) as history, trio.open_nursery() as nursery:
        await backend.submit(job(timeout=5))
        spec = backend.jobs["a"]
        await trio.sleep(4)
        autojump_clock.autojump_threshold = math.inf
        autojump_clock.jump(1)
        if not kill_first:
            backend.control._timed_out(spec)
        nursery.start_soon(backend.kill, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert backend.killed == ["a"]
        backend.die("a")
    assert history.completion("a").reason == JobStatusInfo("killed by the caller", kind=FailureKind.CANCELLED)


@pytest.mark.parametrize("ended_first", [True, False])
async def test_l21_a_job_that_ends_at_the_time_of_its_timeout_has_ended(
    ended_first: bool, autojump_clock: MockClock
) -> None:
    backend = ManualBackend()
    async with opened(backend) as history:
        await backend.submit(job(timeout=5))
        await trio.sleep(4)
        autojump_clock.autojump_threshold = math.inf
        autojump_clock.jump(1)
        if not ended_first:
            await trio.testing.wait_all_tasks_blocked()
        backend.end("a")
        await trio.testing.wait_all_tasks_blocked()
        assert backend.killed == ([] if ended_first else ["a"])
    event = history.completion("a")
    assert (event.status, event.reason, event.ended) == (JobStatus.PASSED, None, 5)


async def test_the_first_request_is_the_cause(autojump_clock: MockClock) -> None:
    backend = ManualBackend()
    async with opened(backend) as history, trio.open_nursery() as nursery:
        await backend.submit(job(timeout=5))
        await trio.sleep(6)
        nursery.start_soon(backend.kill, "a")
        await trio.testing.wait_all_tasks_blocked()
        backend.die("a")
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.kind is FailureKind.TIMEOUT


async def test_an_illegal_completion_is_a_bug_and_breaks_the_backend(autojump_clock: MockClock) -> None:
    class Confused(ManualDriver):
        async def serve(self) -> None:
            await trio.sleep(1)
            self.control.finish(self.backend.jobs["a"], JobStatus.SCHEDULED)

        def kill(self, jobs: Sequence[LiveJob]) -> None:
            for each in jobs:
                self.control.finish_stopped(each)

    with pytest.raises(Exception, match="cannot go from RUNNING to SCHEDULED when it ends; expected a final status"):
        async with opened(backend := driven_by(Confused, ManualBackend)) as history:
            await backend.submit(job())
            with pytest.raises(RuntimeError, match="was not stopped; expected"):
                backend.die("a")
            await trio.sleep_forever()
    assert history.completion("a").status is JobStatus.KILLED


# ---------------------------------------------------------------------- a broken backend


async def test_a_broken_backend_kills_completes_and_raises_its_error(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={ScriptPoint.TEARDOWN: Delay(1)})
    seen: list[BaseException] = []
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            try:
                await backend.submit(job())
                backend.control.break_backend(BUG)
                await trio.sleep_forever()
            except BaseException as exc:
                seen.append(exc)
                raise
    assert caught.value is BUG
    assert [type(exc) for exc in seen] == [trio.Cancelled]
    assert history.completion("a").status is JobStatus.KILLED
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.kind is FailureKind.BACKEND_ERROR
    assert backend.steps[ScriptPoint.TEARDOWN, ""] == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), ExceptionGroup("a", [MemoryError(), ExceptionGroup("b", [MemoryError("std::bad_alloc")])])]
)
async def test_a_backend_that_has_no_memory_for_itself_says_so_and_no_more(error: Exception) -> None:
    message = "backend 'scripted' broke: there is not enough memory for the runtime itself"
    with pytest.raises(BackendBrokenError) as caught:
        async with opened(backend := ScriptedBackend(for_ever)) as history:
            await backend.submit(job())
            backend.control.break_backend(error)
            await trio.sleep_forever()
    assert str(caught.value) == message
    assert caught.value.__cause__ is error
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.message == message
    with pytest.raises(BackendBrokenError, match="'scripted' cannot be opened: there is not enough memory"):
        async with opened(ScriptedBackend(script={ScriptPoint.SETUP: Raise(error)})):
            raise AssertionError


async def test_a_bug_together_with_out_of_memory_is_reported_as_a_bug() -> None:
    error = ExceptionGroup("a", [MemoryError(), BUG])
    with pytest.raises(ExceptionGroup) as caught:
        async with opened(backend := ScriptedBackend()):
            backend.control.break_backend(error)
            await trio.sleep_forever()
    assert caught.value is error


async def test_a_broken_backend_takes_no_jobs() -> None:
    backend = ManualBackend()

    async def outsider() -> None:
        with pytest.raises(BackendClosedError, match="accepts no jobs") as caught:
            await backend.submit(job())
        assert caught.value.__cause__ is BUG

    async with trio.open_nursery() as nursery:
        with pytest.raises(RuntimeError) as caught:
            async with opened(backend):
                backend.control.break_backend(BUG)
                nursery.start_soon(outsider)
                await backend.submit(job())
                raise AssertionError
        assert caught.value is BUG, "and not that the backend is closed, which is but a consequence"


async def test_the_error_of_a_broken_backend_is_a_note_on_that_of_the_body() -> None:
    backend = ScriptedBackend(script={ScriptPoint.SERVE: Raise(BUG)})
    with pytest.raises(ValueError, match="on purpose") as caught:
        async with opened(backend):
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("on purpose")
    assert caught.value.__notes__ == [f"backend 'scripted' broke: {BUG!r}"]


@pytest.mark.parametrize("in_a_nursery", [False, True])
async def test_a_cancel_does_not_hide_that_the_backend_broke(in_a_nursery: bool) -> None:
    with pytest.raises(RuntimeError) as caught:
        with trio.CancelScope() as scope:
            async with opened(backend := ManualBackend()):
                if in_a_nursery:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(trio.sleep_forever)
                        scope.cancel()
                        backend.control.break_backend(BUG)
                else:
                    scope.cancel()
                    backend.control.break_backend(BUG)
    assert caught.value is BUG


async def test_a_broken_backend_kills_at_once_whatever_the_body_does(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever)
    with pytest.raises(RuntimeError):
        async with opened(backend):
            await backend.submit(job())
            backend.control.break_backend(BUG)
            with trio.CancelScope(shield=True):
                await backend.drain()
                backend.control.break_backend(ValueError("the first error counts"))


async def test_a_launch_that_raises_breaks_the_backend_at_once(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(for_ever, script={(ScriptPoint.LAUNCH, "b"): Raise(BUG)})
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            await backend.submit_many([job("a"), job("b"), job("c")])
            await trio.sleep_forever()
    assert caught.value is BUG
    assert trio.current_time() == 0
    assert {event.job_id: event.reason and event.reason.kind for event in history.completions} == dict.fromkeys(
        "abc", FailureKind.BACKEND_ERROR
    )
    assert not backend.steps[ScriptPoint.LAUNCH, "c"]


@pytest.mark.parametrize("error", [BUG, SystemExit(0)])
async def test_a_kill_that_raises_breaks_the_backend_and_not_its_caller(
    error: BaseException, autojump_clock: MockClock
) -> None:
    """Also if it ends the process: a run with other backends goes on, and the caller has a bug of its own otherwise."""

    class Raising(ManualDriver):
        kill_deadline = None  # else it would expire at the same time as `BROKEN_DEADLINE`

        def kill(self, jobs: Sequence[LiveJob]) -> None:
            raise error

    with pytest.raises(type(error)) as caught:
        async with opened(backend := driven_by(Raising, ManualBackend)) as history:
            await backend.submit(job())
            backend.close()
            await trio.sleep_forever()
    assert caught.value is error
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.kind is FailureKind.BACKEND_ERROR


@pytest.mark.parametrize("error", [BUG, SystemExit(0)])
async def test_a_launch_that_cannot_be_taken_back_because_of_a_bug_breaks_the_backend(
    error: BaseException, autojump_clock: MockClock
) -> None:
    class Raising(ManualDriver):
        async def launch(self, jobs: Sequence[LiveJob]) -> None:
            self.control.begin_all(jobs)
            await trio.sleep_forever()

        def take_back(self, job: LiveJob) -> bool:
            raise error

    with pytest.raises(type(error)) as caught:
        async with opened(backend := driven_by(Raising, ManualBackend)):
            with trio.move_on_after(1):
                await backend.submit(job())
            await trio.sleep_forever()
    assert caught.value is error


async def test_the_end_of_a_broken_backend_is_bounded(autojump_clock: MockClock) -> None:
    class Unbounded(ManualDriver):
        kill_deadline = None

    backend = driven_by(Unbounded, ManualBackend)
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            await backend.submit(job())
            backend.control.break_backend(BUG)
            await trio.sleep_forever()
    assert caught.value is BUG
    assert trio.current_time() == BROKEN_DEADLINE
    reason = history.completion("a").reason
    assert reason is not None
    assert reason.message.endswith("whether it ended is not known")


async def test_a_backend_that_breaks_while_it_ends_is_bounded(autojump_clock: MockClock) -> None:
    class Unbounded(ManualDriver):
        kill_deadline = None

        async def serve(self) -> None:
            await trio.sleep(100)
            raise BUG

    backend = driven_by(Unbounded, ManualBackend)
    with pytest.raises(ValueError, match="on purpose") as caught:
        async with opened(backend) as history:
            await backend.submit(job())
            raise ValueError("on purpose")
    assert trio.current_time() == 100 + BROKEN_DEADLINE
    assert caught.value.__notes__ == [f"backend 'manual' broke: {BUG!r}"]
    assert history.completion("a").status is JobStatus.KILLED


async def test_the_errors_of_a_group_break_the_backend() -> None:
    class Grouped(ManualDriver):
        async def serve(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.lowlevel.checkpoint()
                raise BUG

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug of the backend")):
        async with opened(driven_by(Grouped, ManualBackend)):
            await trio.sleep_forever()


async def test_an_exit_in_a_task_of_the_backend_is_raised_by_the_block() -> None:
    backend = ScriptedBackend(script={ScriptPoint.SERVE: Raise(SystemExit(3))})
    with pytest.raises(SystemExit):
        async with opened(backend):
            await trio.sleep_forever()


# ---------------------------------------------------------------------- the end


@pytest.mark.parametrize("step", [ScriptPoint.LAUNCH, ScriptPoint.KILL, ScriptPoint.TEARDOWN, ScriptPoint.SERVE])
@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_whatever_hangs_the_end_is_bounded(step: ScriptPoint, how: str, autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(
        for_ever, script={(step, "" if step in {ScriptPoint.TEARDOWN, ScriptPoint.SERVE} else "a"): Hang()}
    )
    error: BaseException | None = None
    handles: dict[str, object] = {}
    with trio.move_on_after(10):
        try:
            async with opened(backend) as history:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(backend.submit_many, [job("a"), job("b")])
                    await trio.sleep(1)
                    nursery.cancel_scope.cancel()
                if how == "close":
                    backend.close()
                else:
                    await trio.sleep_forever()
        except BackendBrokenError as exc:
            error = exc
    assert trio.current_time() <= 10 + 30 + TEARDOWN_DEADLINE
    assert {event.job_id for event in history.completions} <= {"a", "b"}
    assert backend.statistics().live == 0
    assert backend.statistics().state is BackendState.CLOSED
    assert (error is not None) == (step is ScriptPoint.TEARDOWN)
    if step in {ScriptPoint.LAUNCH, ScriptPoint.KILL}:
        reason = history.completion("a").reason
        assert reason is not None
        assert reason.kind is FailureKind.LOST
    del handles


async def test_a_setup_that_hangs_can_be_cancelled(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(script={ScriptPoint.SETUP: Hang()})
    with trio.move_on_after(1) as scope:
        async with opened(backend):
            raise AssertionError
    assert scope.cancelled_caught
    assert backend.statistics().state is BackendState.CLOSED


async def test_what_teardown_raises_is_raised_when_all_was_delivered() -> None:
    backend = ScriptedBackend(script={ScriptPoint.TEARDOWN: Raise(BUG)})
    with pytest.raises(RuntimeError) as caught:
        async with opened(backend) as history:
            await backend.submit(job())
    assert caught.value is BUG
    assert history.completion("a").status is JobStatus.PASSED


async def test_a_slow_teardown_is_waited_for(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(script={ScriptPoint.TEARDOWN: Delay(TEARDOWN_DEADLINE - 1)})
    with trio.CancelScope() as scope:
        async with opened(backend):
            scope.cancel()
    assert trio.current_time() == TEARDOWN_DEADLINE - 1


async def test_events_wait_for_the_drain_timeout_since_the_receiver_last_took_one(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    backend = ManualBackend(drain_timeout=2)
    taken: list[EventBatch] = []

    async def slow_reader() -> None:
        with trio.CancelScope(shield=True):
            for _ in range(2):
                await trio.sleep(1.5)
                taken.append(await receive.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow_reader)
        with send, pytest.raises(ValueError, match="on purpose") as caught:
            async with backend.open(send):
                await backend.submit_many([job("a"), job("b"), job("c")])
                backend.end("a")
                await trio.testing.wait_all_tasks_blocked()
                backend.end("b")
                await trio.sleep(1.5)
                await trio.testing.wait_all_tasks_blocked()
                backend.control.finish(backend.jobs["c"], JobStatus.PASSED)
                raise ValueError("on purpose")
        assert trio.current_time() == 3 + 2
    receive.close()
    assert [event.job_id for batch in taken for event in batch] == ["a", "b"]
    assert backend.undelivered == backend.statistics().undelivered == 1
    assert caught.value.__notes__ == ["backend 'manual': the receiver did not take 1 of the completions"]


async def test_what_a_cancel_hides_is_logged(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    backend = FakeBackend()
    with send, receive, trio.move_on_after(5), caplog.at_level(logging.WARNING, logger="runtime.backend"):
        async with backend.open(send):
            await backend.submit_many([job("a"), job("b")])
    assert caplog.messages == ["backend 'fake': the receiver did not take 2 of the completions"]
    assert trio.current_time() == 5 + 1


async def test_a_receiver_that_is_closed_by_an_error_of_the_run_is_not_reported() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    backend = FakeBackend(for_ever)
    with send, pytest.raises(ValueError, match="on purpose") as caught:
        async with backend.open(send):
            await backend.submit(job())
            receive.close()
            raise ValueError("on purpose")
    assert caught.value.__notes__ == ["backend 'fake': the receiver did not take 1 of the completions"]


async def test_a_receiver_that_was_closed_is_reported() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    backend = FakeBackend()
    with send, pytest.raises(trio.BrokenResourceError) as caught:
        async with backend.open(send):
            receive.close()
            await backend.submit(job())
    assert "backend 'fake': the receiver of the completions was closed" in caught.value.__notes__


def interrupt_twice(backend: RuntimeBackend) -> list[str]:
    """Press Ctrl-C in the block, and again while the block ends; return the notes of the `KeyboardInterrupt`."""

    async def main() -> None:
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        with send, receive:
            async with backend.open(send):
                await backend.submit(job())
                trio.lowlevel.spawn_system_task(again)
                signal.raise_signal(signal.SIGINT)

    async def again() -> None:
        await trio.sleep(1)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return caught.value.__notes__


def test_a_second_interrupt_leaves_no_shielded_task_behind() -> None:
    backend = ManualBackend()
    notes = interrupt_twice(backend)
    assert backend.statistics().state is BackendState.CLOSED
    assert backend.statistics().live == 0
    assert any("did not take 1" in note for note in notes) or backend.undelivered == 0


async def test_an_exception_group_of_the_body_stays_as_it_is() -> None:
    group = ExceptionGroup("mine", [ValueError("one"), KeyError("two")])
    with pytest.raises(ExceptionGroup) as caught:
        async with opened(FakeBackend()):
            raise group
    assert caught.value is group


async def test_statistics_count() -> None:
    backend = FakeBackend(lambda spec, _attempt: FakeRun(busy=spec.id == "busy"), name="x")
    async with opened(backend):
        await backend.submit_many([job("a"), job("b"), job("busy")])
        await backend.drain()
    statistics = backend.statistics()
    assert (statistics.name, statistics.state, statistics.live) == ("x", BackendState.CLOSED, 0)
    assert (statistics.submitted, statistics.refused, statistics.completed) == (3, 1, 2)
    assert (statistics.undelivered, statistics.late) == (0, 0)
    assert repr(backend) == "<FakeBackend 'x' closed, 0 live>"


async def test_jobs_may_come_while_the_block_waits_for_its_end(autojump_clock: MockClock) -> None:
    backend = FakeBackend(lambda *_: FakeRun(duration=2))

    async def submit_later() -> None:
        await trio.sleep(1)
        await backend.submit(job("b"))

    async with trio.open_nursery() as nursery:
        async with opened(backend) as history:
            nursery.start_soon(submit_later)
            await backend.submit(job("a"))
    assert [event.ended for event in history.completions] == [2, 3]
