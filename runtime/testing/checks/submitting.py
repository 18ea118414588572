"""Checks of `submit_many` and `submit`."""

from __future__ import annotations

from typing import Final

import trio

from runtime.errors import BackendClosedError, DuplicateJobError
from runtime.job import FailureKind, JobProgressEvent, JobStatus
from runtime.testing.checks.assertions import expect, expect_equal, expect_raises, expect_status
from runtime.testing.fixture import CANNOT_LAUNCH, FAIL, IGNORE, PASS, RUN, Behaviour, CheckContext, cancel_after


async def a_backend_that_is_not_open_accepts_nothing(context: CheckContext) -> None:
    """Before the block, `submit_many` and `kill_many` raise `BackendClosedError`, and no job is live."""
    async with context.session() as session:
        (job,) = session.jobs(PASS)
        with expect_raises(BackendClosedError, "it is not open yet"):
            await session.backend.submit_many([job])
        with expect_raises(BackendClosedError, "it is not open yet"):
            await session.backend.kill_many(["a"])
        expect_equal(session.backend.statistics().live, 0, "live jobs")
        async with session.open():
            expect(await session.submit([job]), "refused, after a call before the block")


async def each_accepted_job_completes_once(context: CheckContext) -> None:
    """In a mixed call each job is in the mapping, and completes once, with its own status."""
    async with context.session() as session:
        async with session.open():
            handles = await session.start(*[PASS] * 4, *[FAIL] * 4)
        for handle in handles[:4]:
            event = session.history.completion(handle.job_id)
            expect_status(event, JobStatus.PASSED)
            expect(event.started is not None, f"a job that passed has a start time: {event!r}")
        for handle in handles[4:]:
            expect_status(session.history.completion(handle.job_id), JobStatus.FAILED)


async def a_start_is_reported(context: CheckContext) -> None:
    """The start of a job is in its handle, or in an event before its completion."""
    async with context.session() as session:
        async with session.open():
            (handle,) = await session.start(PASS)
        starts = [
            event
            for event in session.history.events
            if isinstance(event, JobProgressEvent) and event.status is JobStatus.RUNNING
        ]
        expect(handle.started is not None or starts, "the handle has no start, and there was no RUNNING event")


async def a_refused_job_has_no_event(context: CheckContext) -> None:
    """A job that a busy backend refuses is absent in the mapping, has no event, and may be submitted again."""
    async with context.session() as session:
        async with session.open() as backend:
            busy, other = session.jobs(Behaviour.BUSY_ONCE, PASS)
            handles = await session.submit([busy, other])
            expect(
                busy.id not in handles,
                "the fixture's job for BUSY_ONCE was accepted at its first submission; expected a refusal",
            )
            expect_equal(list(handles), [other.id], "accepted")
            await backend.drain()
            handles = await session.submit([busy])
            expect_equal(list(handles), [busy.id], "accepted at the second try")
        expect_status(session.history.completion(busy.id), JobStatus.PASSED)


async def submit_is_submit_many_for_one(context: CheckContext) -> None:
    """`submit` returns a handle, or `None` for a refusal."""
    async with context.session() as session:
        async with session.open() as backend:
            busy, job = session.jobs(Behaviour.BUSY_ONCE, PASS)
            expect_equal(await backend.submit(busy), None, "the handle of a refused job")
            handle = await backend.submit(job, attempt=7)
            if handle is None:
                raise AssertionError("refused below the limit")
            expect_equal((handle.job_id, handle.attempt), (job.id, 7), "the handle")
            session.history.accept([handle])
        expect_status(session.history.completion(job.id, 7), JobStatus.PASSED)


async def a_job_that_cannot_be_launched_completes(context: CheckContext) -> None:
    """It is accepted, and completes with the reason. Nothing is raised, and the other jobs of the call run."""
    async with context.session() as session:
        async with session.open():
            good, bad, also_good = await session.start(PASS, CANNOT_LAUNCH, PASS)
        event = session.history.completion(bad.job_id)
        expect_status(event, JobStatus.KILLED, FailureKind.LAUNCH_ERROR, FailureKind.LAUNCHER_ERROR)
        expect(event.reason is not None and event.reason.message, f"the reason should have a message: {event!r}")
        for handle in (good, also_good):
            expect_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def a_job_twice_in_a_call_is_an_error(context: CheckContext) -> None:
    """`DuplicateJobError`. No job of the call was launched, and all may be submitted again."""
    async with context.session() as session:
        async with session.open() as backend:
            first, second = session.jobs(PASS, PASS)
            with expect_raises(DuplicateJobError, "a job is twice in the call"):
                await session.submit([first, second, first])
            expect_equal(backend.statistics().live, 0, "live jobs after an erroneous call")
            expect_equal(len(await session.submit([first, second])), 2, "accepted afterwards")


async def a_job_that_is_live_is_an_error(context: CheckContext) -> None:
    """`DuplicateJobError`. No job of the call was launched, and after the live job's end its id is free."""
    async with context.session() as session:
        async with session.open() as backend:
            running, other = session.jobs(RUN, PASS)
            await session.submit([running])
            with expect_raises(DuplicateJobError, "the job is live"):
                await session.submit([other, running])
            expect_equal(backend.statistics().live, 1, "live jobs")
            await backend.kill(running.id)
            await session.submit([running, other], attempts={running.id: 2})
            await backend.kill(running.id)
        expect_equal(len(session.history.completions), 3, "completions")


async def handles_and_events_carry_the_attempt(context: CheckContext) -> None:
    """The number of the attempt is in the handle and in the event; 1 by default."""
    async with context.session() as session:
        async with session.open():
            first, second = session.jobs(PASS, FAIL)
            handles = await session.submit([first, second], attempts={second.id: 3})
            expect_equal([handle.attempt for handle in handles.values()], [1, 3], "attempts")
        session.history.completion(first.id, 1)
        session.history.completion(second.id, 3)


async def an_empty_call_does_nothing(context: CheckContext) -> None:
    """No jobs, no handles, no events."""
    async with context.session() as session:
        async with session.open() as backend:
            expect_equal(await backend.submit_many([]), {}, "handles")
            await backend.kill_many([])
        expect_equal(session.history.batches, [], "batches")


async def a_closed_backend_accepts_nothing(context: CheckContext) -> None:
    """`BackendClosedError` after `close()`, and after the block."""
    async with context.session() as session:
        (job,) = session.jobs(PASS)
        async with session.open() as backend:
            backend.close()
            with expect_raises(BackendClosedError, "it was closed"):
                await session.submit([job])
        with expect_raises(BackendClosedError, "its block has ended"):
            await session.submit([job])
        expect_equal(session.history.batches, [], "batches")


async def no_more_jobs_than_max_parallelism(context: CheckContext) -> None:
    """Jobs above the limit are refused, and accepted when another job has completed."""
    async with context.session() as session:
        session.backend.max_parallelism = 2
        async with session.open() as backend:
            jobs = session.jobs(RUN, RUN, RUN)
            handles = await session.submit(jobs)
            expect_equal(list(handles), [job.id for job in jobs[:2]], "accepted, with a limit of two")
            expect_equal(await session.submit(jobs[2:]), {}, "accepted by a full backend")
            await backend.kill(jobs[0].id)
            expect_equal(list(await session.submit(jobs[2:])), [jobs[2].id], "accepted after a completion")
            await backend.kill_many(job.id for job in jobs)


async def a_submit_cancelled_before_it_begins(context: CheckContext) -> None:
    """It raises `Cancelled`. The backend kills by itself what it had begun."""
    async with context.session() as session:
        async with session.open():
            with trio.CancelScope() as scope:
                scope.cancel()
                await session.submit(session.jobs(RUN, RUN, RUN))
            expect(scope.cancelled_caught, "it should raise Cancelled")


async def a_submit_cancelled_half_way(context: CheckContext) -> None:
    """At whatever step it is cancelled, accepted jobs are killed and complete, and the others are never launched."""
    async with context.session() as session:
        async with session.open() as backend:
            for steps in (1, 2, 3, 5, 8):
                jobs = session.jobs(RUN, PASS, RUN, IGNORE)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, steps, nursery.cancel_scope)
                    handles = await session.submit(jobs)
                    nursery.cancel_scope.cancel()
                    with trio.CancelScope(shield=True):
                        await backend.kill_many(handles.values())
                await backend.drain()
                expect_equal(backend.statistics().live, 0, "live jobs")


async def a_time_limit_is_enforced(context: CheckContext) -> None:
    """A job that exceeds its timeout is killed, and one that does not passes."""
    async with context.session() as session:
        limit = session.fixture.timeout
        if limit is None:
            return
        async with session.open():
            slow = session.fixture.job(RUN, "slow", timeout=limit)
            quick = session.fixture.job(PASS, "quick", timeout=1e6)
            await session.submit([slow, quick])
        expect_status(session.history.completion("slow"), JobStatus.KILLED, FailureKind.TIMEOUT)
        expect_status(session.history.completion("quick"), JobStatus.PASSED)


SUBMITTING: Final = (
    a_backend_that_is_not_open_accepts_nothing,
    each_accepted_job_completes_once,
    a_start_is_reported,
    a_refused_job_has_no_event,
    submit_is_submit_many_for_one,
    a_job_that_cannot_be_launched_completes,
    a_job_twice_in_a_call_is_an_error,
    a_job_that_is_live_is_an_error,
    handles_and_events_carry_the_attempt,
    an_empty_call_does_nothing,
    a_closed_backend_accepts_nothing,
    no_more_jobs_than_max_parallelism,
    a_submit_cancelled_before_it_begins,
    a_submit_cancelled_half_way,
    a_time_limit_is_enforced,
)
