"""The promises of `submit_many`."""

from __future__ import annotations

from typing import Final

import trio

from runtime.errors import BackendClosedError, DuplicateJobError
from runtime.job import FailureKind, JobProgressEvent, JobStatus
from runtime.testing.checks.assertions import want, want_equal, want_status, wanted
from runtime.testing.fixture import Behaviour, CheckContext

PASS: Final = Behaviour.PASS
FAIL: Final = Behaviour.FAIL
RUN: Final = Behaviour.RUN_UNTIL_KILLED


async def a_backend_that_is_not_open_takes_nothing(bench: CheckContext) -> None:
    """Constructing starts nothing, and `submit_many` and `kill_many` say that it is not open."""
    async with bench.session() as session:
        (job,) = session.jobs(PASS)
        with wanted(BackendClosedError, "it is not open yet"):
            await session.backend.submit_many([job])
        with wanted(BackendClosedError, "it is not open yet"):
            await session.backend.kill_many(["a"])
        want_equal(session.backend.statistics().live, 0, "live jobs")
        async with session.open():
            want(await session.submit([job]), "refused, after a call that came too early")


async def each_accepted_job_completes_once(bench: CheckContext) -> None:
    """A mixed call: each job is in the mapping, and completes once, with its own status."""
    async with bench.session() as session:
        async with session.open():
            handles = await session.start(*[PASS] * 4, *[FAIL] * 4)
        for handle in handles[:4]:
            event = session.history.completion(handle.job_id)
            want_status(event, JobStatus.PASSED)
            want(event.started is not None, f"it passed, so it has started: {event!r}")
        for handle in handles[4:]:
            want_status(session.history.completion(handle.job_id), JobStatus.FAILED)


async def a_start_is_told(bench: CheckContext) -> None:
    """A job that runs has said so: in its handle, or by an event that comes before its completion."""
    async with bench.session() as session:
        async with session.open():
            (handle,) = await session.start(PASS)
        told = [
            event
            for event in session.history.events
            if isinstance(event, JobProgressEvent) and event.status is JobStatus.RUNNING
        ]
        want(handle.started is not None or told, "the handle has no start, and no event told of it")


async def a_refused_job_leaves_no_trace(bench: CheckContext) -> None:
    """A busy backend's refusal is an absence in the mapping; no event; the same job may come again."""
    async with bench.session() as session:
        async with session.open() as backend:
            busy, other = session.jobs(Behaviour.BUSY_ONCE, PASS)
            handles = await session.submit([busy, other])
            want(
                busy.id not in handles,
                "the kit's job for BUSY_ONCE was accepted at its first submission; expected: a refusal",
            )
            want_equal(list(handles), [other.id], "accepted")
            await backend.drain()
            handles = await session.submit([busy])
            want_equal(list(handles), [busy.id], "accepted at the second try")
        want_status(session.history.completion(busy.id), JobStatus.PASSED)


async def submit_is_submit_many_for_one(bench: CheckContext) -> None:
    """`submit` returns a handle, or `None` for a refusal."""
    async with bench.session() as session:
        async with session.open() as backend:
            busy, job = session.jobs(Behaviour.BUSY_ONCE, PASS)
            want_equal(await backend.submit(busy), None, "the handle of a refused job")
            handle = await backend.submit(job, attempt=7)
            if handle is None:
                raise AssertionError("refused, with room for it")
            want_equal((handle.job_id, handle.attempt), (job.id, 7), "the handle")
            session.history.accept([handle])
        want_status(session.history.completion(job.id, 7), JobStatus.PASSED)


async def a_job_that_cannot_be_launched_completes(bench: CheckContext) -> None:
    """It is accepted, and completes with the reason; the others of the call go on; nothing is raised."""
    async with bench.session() as session:
        async with session.open():
            good, bad, also_good = await session.start(PASS, Behaviour.CANNOT_LAUNCH, PASS)
        event = session.history.completion(bad.job_id)
        want_status(event, JobStatus.KILLED, FailureKind.LAUNCH_ERROR, FailureKind.LAUNCHER_ERROR)
        want(event.reason is not None and event.reason.message, f"it should say why: {event!r}")
        for handle in (good, also_good):
            want_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def a_job_twice_in_a_call_is_an_error(bench: CheckContext) -> None:
    """`DuplicateJobError`; nothing of the call was launched, and all of it may come again."""
    async with bench.session() as session:
        async with session.open() as backend:
            first, second = session.jobs(PASS, PASS)
            with wanted(DuplicateJobError, "a job stands twice in the call"):
                await session.submit([first, second, first])
            want_equal(backend.statistics().live, 0, "live jobs after an erroneous call")
            want_equal(len(await session.submit([first, second])), 2, "accepted afterwards")


async def a_job_that_is_live_is_an_error(bench: CheckContext) -> None:
    """`DuplicateJobError`; nothing of the call was launched; afterwards the id is free again."""
    async with bench.session() as session:
        async with session.open() as backend:
            running, other = session.jobs(RUN, PASS)
            await session.submit([running])
            with wanted(DuplicateJobError, "the job is live"):
                await session.submit([other, running])
            want_equal(backend.statistics().live, 1, "live jobs")
            await backend.kill(running.id)
            await session.submit([running, other], attempts={running.id: 2})
            await backend.kill(running.id)
        want_equal(len(session.history.completions), 3, "completions")


async def the_number_of_the_attempt_comes_back(bench: CheckContext) -> None:
    """In the handle and in the event; 1 unless given."""
    async with bench.session() as session:
        async with session.open():
            first, second = session.jobs(PASS, FAIL)
            handles = await session.submit([first, second], attempts={second.id: 3})
            want_equal([handle.attempt for handle in handles.values()], [1, 3], "attempts")
        session.history.completion(first.id, 1)
        session.history.completion(second.id, 3)


async def an_empty_call_is_fine(bench: CheckContext) -> None:
    """No jobs, no handles, no events."""
    async with bench.session() as session:
        async with session.open() as backend:
            want_equal(await backend.submit_many([]), {}, "handles")
            await backend.kill_many([])
        want_equal(session.history.batches, [], "batches")


async def a_closed_backend_takes_nothing(bench: CheckContext) -> None:
    """`BackendClosedError` after `close()`, and after the block."""
    async with bench.session() as session:
        (job,) = session.jobs(PASS)
        async with session.open() as backend:
            backend.close()
            with wanted(BackendClosedError, "it was closed"):
                await session.submit([job])
        with wanted(BackendClosedError, "its block has ended"):
            await session.submit([job])
        want_equal(session.history.batches, [], "batches")


async def no_more_jobs_than_max_parallelism(bench: CheckContext) -> None:
    """What is over the limit is refused, and there is room again when a job has completed."""
    async with bench.session() as session:
        session.backend.max_parallelism = 2
        async with session.open() as backend:
            jobs = session.jobs(RUN, RUN, RUN)
            handles = await session.submit(jobs)
            want_equal(list(handles), [job.id for job in jobs[:2]], "accepted, with room for two")
            want_equal(await session.submit(jobs[2:]), {}, "accepted by a full backend")
            await backend.kill(jobs[0].id)
            want_equal(list(await session.submit(jobs[2:])), [jobs[2].id], "accepted when there was room again")
            await backend.kill_many(job.id for job in jobs)


async def a_submit_cancelled_before_it_begins(bench: CheckContext) -> None:
    """It raises `Cancelled`; whatever it had begun is ended without anybody's help."""
    async with bench.session() as session:
        async with session.open():
            with trio.CancelScope() as scope:
                scope.cancel()
                await session.submit(session.jobs(RUN, RUN, RUN))
            want(scope.cancelled_caught, "it should raise Cancelled")


async def a_submit_cancelled_half_way(bench: CheckContext) -> None:
    """Wherever the cancel meets it, what was accepted is killed and completes, and the rest was never launched."""
    async with bench.session() as session:
        async with session.open() as backend:
            for steps in (1, 2, 3, 5, 8):
                jobs = session.jobs(RUN, PASS, RUN, Behaviour.IGNORE_SIGTERM)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, steps, nursery.cancel_scope)
                    handles = await session.submit(jobs)
                    nursery.cancel_scope.cancel()
                    with trio.CancelScope(shield=True):
                        await backend.kill_many(handles.values())
                await backend.drain()
                want_equal(backend.statistics().live, 0, "live jobs")


async def _cancel_after(steps: int, scope: trio.CancelScope) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def a_time_limit_is_enforced(bench: CheckContext) -> None:
    """A job that runs for longer than its timeout is killed; another that is quicker is not."""
    async with bench.session() as session:
        limit = session.kit.timeout
        if limit is None:
            return
        async with session.open():
            slow = session.kit.job(RUN, "slow", timeout=limit)
            quick = session.kit.job(PASS, "quick", timeout=1e6)
            await session.submit([slow, quick])
        want_status(session.history.completion("slow"), JobStatus.KILLED, FailureKind.TIMEOUT)
        want_status(session.history.completion("quick"), JobStatus.PASSED)


SUBMITTING: Final = (
    a_backend_that_is_not_open_takes_nothing,
    each_accepted_job_completes_once,
    a_start_is_told,
    a_refused_job_leaves_no_trace,
    submit_is_submit_many_for_one,
    a_job_that_cannot_be_launched_completes,
    a_job_twice_in_a_call_is_an_error,
    a_job_that_is_live_is_an_error,
    the_number_of_the_attempt_comes_back,
    an_empty_call_is_fine,
    a_closed_backend_takes_nothing,
    no_more_jobs_than_max_parallelism,
    a_submit_cancelled_before_it_begins,
    a_submit_cancelled_half_way,
    a_time_limit_is_enforced,
)
