"""The promises of `kill_many`, `kill` and `close`."""

from __future__ import annotations

from typing import Final

import trio

from runtime.job import FailureKind, JobHandle, JobStatus
from runtime.testing.checks.assertions import want, want_equal, want_status, wanted
from runtime.testing.fixture import Behaviour, CheckContext

PASS: Final = Behaviour.PASS
RUN: Final = Behaviour.RUN_UNTIL_KILLED
IGNORE: Final = Behaviour.IGNORE_SIGTERM


async def a_kill_takes_handles_and_ids(bench: CheckContext) -> None:
    """Both, mixed; it returns when each has completed, and says who asked."""
    async with bench.session() as session:
        async with session.open() as backend:
            first, second, third = await session.start(RUN, RUN, RUN)
            await backend.kill_many([first, second.job_id], by="the night watch")
            want_equal(backend.statistics().live, 1, "live jobs after a kill of two of three")
            await backend.kill(third)
            want_equal(backend.statistics().live, 0, "live jobs after a kill of the last")
        for handle in (first, second):
            event = session.history.completion(handle.job_id)
            want_status(event, JobStatus.KILLED, FailureKind.CANCELLED)
            want(event.reason and "the night watch" in event.reason.message, f"it should say by whom: {event!r}")


async def a_killed_job_completes_after_its_end(bench: CheckContext) -> None:
    """When the completion is there, and when the kill returns, nothing of the job is running."""
    async with bench.session() as session:
        alive = session.kit.alive or _never
        async with session.open() as backend:
            for handle in await session.start(RUN, IGNORE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(backend.kill, handle)
                    await session.completed(handle)
                    want(not alive(handle.job_id), f"{handle.job_id!r} is running, and its completion is there")
                want(not alive(handle.job_id), f"{handle.job_id!r} is running, and its kill has returned")


def _never(_job_id: str) -> bool:
    return False


async def a_job_is_killed_once_however_often(bench: CheckContext) -> None:
    """Kills are idempotent, one after the other and at the same time, twice in a call as well."""
    async with bench.session() as session:
        async with session.open() as backend:
            first, second = await session.start(RUN, IGNORE)
            targets: list[JobHandle | str] = [first, second, first.job_id]
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(backend.kill_many, targets)
            await backend.kill_many(targets)
        want_equal(len(session.history.completions), 2, "completions")


async def a_kill_of_a_job_that_is_done_does_nothing(bench: CheckContext) -> None:
    """Its true status stands. Nor does a kill of an id that nobody knows."""
    async with bench.session() as session:
        async with session.open() as backend:
            (handle,) = await session.start(PASS)
            await session.completed(handle)
            await backend.kill_many([handle, handle.job_id, "nobody knows this one"])
        want_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def a_stale_handle_does_nothing_to_a_later_attempt(bench: CheckContext) -> None:
    """The id of a handle that was killed runs again, and the old handle does not reach it."""
    async with bench.session() as session:
        async with session.open() as backend:
            (job,) = session.jobs(RUN)
            stale = (await session.submit([job]))[job.id]
            await backend.kill(stale)
            fresh = (await session.submit([job], attempts={job.id: 2}))[job.id]
            await backend.kill(stale)
            want_equal(backend.statistics().live, 1, "live jobs after a kill with a stale handle")
            await backend.kill(fresh)


async def a_handle_of_another_backend_is_a_type_error(bench: CheckContext) -> None:
    """So is what is neither a handle nor an id; nothing of such a call is killed."""
    async with bench.session() as session, bench.session() as other:
        async with session.open() as backend, other.open() as another:
            (mine,), (foreign,) = await session.start(RUN), await other.start(RUN)
            with wanted(TypeError, "the handle is of another backend"):
                await backend.kill_many([mine, foreign])
            with wanted(TypeError, "3 is neither a handle nor an id"):
                await backend.kill_many([mine, 3])  # type: ignore[list-item]  # it is what is checked
            want_equal(backend.statistics().live, 1, "live jobs")
            want_equal(another.statistics().live, 1, "live jobs of the other backend")
            await backend.kill(mine)
            await another.kill(foreign)


async def kills_happen_at_the_same_time(bench: CheckContext) -> None:
    """Ten jobs that ignore the gentle step: one by one they would take longer than the budget."""
    async with bench.session() as session:
        async with session.open() as backend:
            handles = await session.start(*[IGNORE] * 10)
            await backend.kill_many(handles)
            want_equal(backend.statistics().live, 0, "live jobs after the kill")


async def a_job_is_killed_while_it_is_launched(bench: CheckContext) -> None:
    """Wherever the kill meets the launch: it is killed when that returns, or never launched. It completes once."""
    async with bench.session() as session:
        async with session.open() as backend:
            for steps in (0, 1, 2, 3, 5):
                jobs = session.jobs(RUN, IGNORE)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.submit, jobs)
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    while not backend.statistics().live:
                        await trio.lowlevel.checkpoint()
                    await backend.kill_many(job.id for job in jobs)
                want_equal(backend.statistics().live, 0, "live jobs after the kill")


async def a_cancelled_kill_goes_on(bench: CheckContext) -> None:
    """Cancelling `kill_many` stops the waiting, not the kill."""
    async with bench.session() as session:
        async with session.open() as backend:
            handles = await session.start(RUN, IGNORE)
            with trio.CancelScope() as scope:
                scope.cancel()
                await backend.kill_many(handles)
            want(scope.cancelled_caught, "it should raise Cancelled")
            await backend.drain()


async def many_tasks_may_use_a_backend(bench: CheckContext) -> None:
    """Submits, kills and waits of several tasks do not disturb each other."""
    async with bench.session() as session:

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
        want_equal(len(session.history.completions), 12, "completions")


async def close_kills_and_ends(bench: CheckContext) -> None:
    """After `close()` the block's end waits for the kills, and no longer for natural ends."""
    async with bench.session() as session:
        async with session.open() as backend:
            handles = await session.start(RUN, IGNORE)
            backend.close(by="the caretaker")
            backend.close()
        for handle in handles:
            event = session.history.completion(handle.job_id)
            want_status(event, JobStatus.KILLED, FailureKind.CANCELLED)
            want(event.reason and "the caretaker" in event.reason.message, f"it should say by whom: {event!r}")


async def close_works_from_another_task(bench: CheckContext) -> None:
    """It ends a wait of the body, and a kill may go on at the same time."""
    async with bench.session() as session:

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
    a_kill_of_a_job_that_is_done_does_nothing,
    a_stale_handle_does_nothing_to_a_later_attempt,
    a_handle_of_another_backend_is_a_type_error,
    kills_happen_at_the_same_time,
    a_job_is_killed_while_it_is_launched,
    a_cancelled_kill_goes_on,
    many_tasks_may_use_a_backend,
    close_kills_and_ends,
    close_works_from_another_task,
)
