"""Checks of `kill_many`, `kill` and `close`."""

from __future__ import annotations

from typing import Final

import trio

from runtime.job import FailureKind, JobHandle, JobStatus
from runtime.testing.checks.assertions import expect, expect_equal, expect_raises, expect_status
from runtime.testing.fixture import IGNORE, PASS, RUN, CheckContext, checkpoints


async def a_kill_takes_handles_and_ids(context: CheckContext) -> None:
    """Both, mixed. The kill returns when each job has completed, and the reason says who asked for it."""
    async with context.session() as session:
        async with session.open() as backend:
            first, second, third = await session.start(RUN, RUN, RUN)
            await backend.kill_many([first, second.job_id], by="the test")
            expect_equal(backend.statistics().live, 1, "live jobs after a kill of two of three")
            await backend.kill(third)
            expect_equal(backend.statistics().live, 0, "live jobs after a kill of the last")
        for handle in (first, second):
            event = session.history.completion(handle.job_id)
            expect_status(event, JobStatus.KILLED, FailureKind.CANCELLED)
            expect(event.reason and "the test" in event.reason.message, f"the reason should say who asked: {event!r}")


async def a_killed_job_completes_after_its_end(context: CheckContext) -> None:
    """When the completion has been received, and when the kill returns, no process of the job is running."""
    async with context.session() as session:
        alive = session.fixture.alive or _never
        async with session.open() as backend:
            for handle in await session.start(RUN, IGNORE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(backend.kill, handle)
                    await session.completed(handle)
                    expect(not alive(handle.job_id), f"{handle.job_id!r} is running after its completion")
                expect(not alive(handle.job_id), f"{handle.job_id!r} is running after its kill has returned")


def _never(_job_id: str) -> bool:
    return False


async def a_job_is_killed_once_however_often(context: CheckContext) -> None:
    """Kills are idempotent: one after another, at the same time, and twice in one call."""
    async with context.session() as session:
        async with session.open() as backend:
            first, second = await session.start(RUN, IGNORE)
            targets: list[JobHandle | str] = [first, second, first.job_id]
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(backend.kill_many, targets)
            await backend.kill_many(targets)
        expect_equal(len(session.history.completions), 2, "completions")


async def a_kill_of_a_completed_job_does_nothing(context: CheckContext) -> None:
    """The job keeps its true status. A kill of an unknown id does nothing, either."""
    async with context.session() as session:
        async with session.open() as backend:
            (handle,) = await session.start(PASS)
            await session.completed(handle)
            await backend.kill_many([handle, handle.job_id, "an unknown id"])
        expect_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def a_stale_handle_does_nothing_to_a_later_attempt(context: CheckContext) -> None:
    """The job runs again after its kill, and the old handle does not kill the new attempt."""
    async with context.session() as session:
        async with session.open() as backend:
            (job,) = session.jobs(RUN)
            stale = (await session.submit([job]))[job.id]
            await backend.kill(stale)
            fresh = (await session.submit([job], attempts={job.id: 2}))[job.id]
            await backend.kill(stale)
            expect_equal(backend.statistics().live, 1, "live jobs after a kill with a stale handle")
            await backend.kill(fresh)


async def a_handle_of_another_backend_is_a_type_error(context: CheckContext) -> None:
    """So is an object that is neither a handle nor an id. Such a call kills no job."""
    async with context.session() as session, context.session() as other:
        async with session.open() as backend, other.open() as another:
            (mine,), (foreign,) = await session.start(RUN), await other.start(RUN)
            with expect_raises(TypeError, "the handle is of another backend"):
                await backend.kill_many([mine, foreign])
            with expect_raises(TypeError, "3 is neither a handle nor an id"):
                await backend.kill_many([mine, 3])  # type: ignore[list-item]  # it is what is checked
            expect_equal(backend.statistics().live, 1, "live jobs")
            expect_equal(another.statistics().live, 1, "live jobs of the other backend")
            await backend.kill(mine)
            await another.kill(foreign)


async def kills_happen_at_the_same_time(context: CheckContext) -> None:
    """Ten jobs that ignore SIGTERM: killed one by one, they would exceed the budget."""
    async with context.session() as session:
        async with session.open() as backend:
            handles = await session.start(*[IGNORE] * 10)
            await backend.kill_many(handles)
            expect_equal(backend.statistics().live, 0, "live jobs after the kill")


async def a_job_is_killed_while_it_is_launched(context: CheckContext) -> None:
    """Wherever the kill meets the launch: it is killed when that returns, or never launched. It completes once."""
    async with context.session() as session:
        async with session.open() as backend:
            for steps in (0, 1, 2, 3, 5):
                jobs = session.jobs(RUN, IGNORE)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.submit, jobs)
                    await checkpoints(steps)
                    while not backend.statistics().live:
                        await trio.lowlevel.checkpoint()
                    await backend.kill_many(job.id for job in jobs)
                expect_equal(backend.statistics().live, 0, "live jobs after the kill")


async def a_cancelled_kill_goes_on(context: CheckContext) -> None:
    """Cancelling `kill_many` stops the waiting, not the kill."""
    async with context.session() as session:
        async with session.open() as backend:
            handles = await session.start(RUN, IGNORE)
            with trio.CancelScope() as scope:
                scope.cancel()
                await backend.kill_many(handles)
            expect(scope.cancelled_caught, "it should raise Cancelled")
            await backend.drain()


async def many_tasks_may_use_a_backend(context: CheckContext) -> None:
    """Submits, kills and waits of several tasks do not disturb each other."""
    async with context.session() as session:

        async def user(number: int) -> None:
            kept, killed = await session.start(PASS, RUN)
            if number % 2:
                await backend.kill(killed)
            else:
                await backend.kill_many([killed, kept.job_id])
            await session.completed(killed)
            await session.completed(kept)

        async with session.open() as backend:
            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(user, number)
        expect_equal(len(session.history.completions), 12, "completions")


async def close_kills_and_ends(context: CheckContext) -> None:
    """After `close()` the end of the block waits for the kills, and not for jobs to end by themselves."""
    async with context.session() as session:
        async with session.open() as backend:
            handles = await session.start(RUN, IGNORE)
            backend.close(by="the test")
            backend.close()
        for handle in handles:
            event = session.history.completion(handle.job_id)
            expect_status(event, JobStatus.KILLED, FailureKind.CANCELLED)
            expect(event.reason and "the test" in event.reason.message, f"the reason should say who asked: {event!r}")


async def close_works_from_another_task(context: CheckContext) -> None:
    """It ends a `drain()` of the body, also while a kill is in progress."""
    async with context.session() as session:

        async def close_soon(handle: JobHandle) -> None:
            await trio.lowlevel.checkpoint()
            session.backend.close()
            await session.backend.kill(handle)

        async with trio.open_nursery() as nursery:
            async with session.open() as backend:
                (handle, _) = await session.start(RUN, RUN)
                nursery.start_soon(close_soon, handle)
                await backend.drain()


KILLING: Final = (
    a_kill_takes_handles_and_ids,
    a_killed_job_completes_after_its_end,
    a_job_is_killed_once_however_often,
    a_kill_of_a_completed_job_does_nothing,
    a_stale_handle_does_nothing_to_a_later_attempt,
    a_handle_of_another_backend_is_a_type_error,
    kills_happen_at_the_same_time,
    a_job_is_killed_while_it_is_launched,
    a_cancelled_kill_goes_on,
    many_tasks_may_use_a_backend,
    close_kills_and_ends,
    close_works_from_another_task,
)
