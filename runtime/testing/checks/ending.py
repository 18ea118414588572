"""Checks of the end of a backend's block."""

from __future__ import annotations

from typing import Final

import trio

from runtime.errors import BackendClosedError
from runtime.job import FailureKind, JobStatus
from runtime.testing.checks.assertions import expect, expect_equal, expect_raises, expect_status
from runtime.testing.fixture import IGNORE, PASS, RUN, CheckContext, cancel_after


class OnPurposeError(Exception):
    """The exception that a check raises in its block."""


async def a_backend_can_be_opened_again(context: CheckContext) -> None:
    """After its block, also a cancelled one; but not inside its block, which that does not disturb."""
    async with context.session() as session:
        with trio.CancelScope() as scope:
            async with session.open():
                with expect_raises(BackendClosedError, "it is open"):
                    async with session.open():
                        pass
                (stale,) = await session.start(RUN)
                scope.cancel()
        async with session.open() as backend:
            expect_equal(backend.statistics().live, 0, "live jobs when it was opened again")
            (handle,) = await session.start(PASS)
            await backend.kill(stale)
            expect_status(await session.completed(handle), JobStatus.PASSED)


async def a_normal_end_waits_for_the_jobs(context: CheckContext) -> None:
    """Leaving the block waits, as leaving a nursery does, and the jobs end by themselves."""
    async with context.session() as session:
        async with session.open() as backend:
            handles = await session.start(PASS, PASS, PASS)
        expect_equal(backend.statistics().live, 0, "live jobs after the block")
        for handle in handles:
            expect_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def an_exception_leaves_as_it_is(context: CheckContext) -> None:
    """The same object, in no group. All jobs are killed, and their events delivered."""
    error = OnPurposeError("on purpose")
    async with context.session() as session:
        try:
            async with session.open() as backend:
                handles = await session.start(RUN, IGNORE)
                raise error
        except BaseException as exc:  # noqa: BLE001 - any other exception fails the check
            expect(exc is error, f"expected the exception of the block, unwrapped: {exc!r}")
        else:
            raise AssertionError("the exception of the block was swallowed")
        expect_equal(backend.statistics().live, 0, "live jobs after the block")
        for handle in handles:
            expect_status(session.history.completion(handle.job_id), JobStatus.KILLED, FailureKind.CANCELLED)


async def a_cancel_kills_and_delivers(context: CheckContext) -> None:
    """All jobs are killed, and a shielded receiver sees every event."""
    async with context.session() as session:
        with trio.CancelScope() as scope:
            async with session.open() as backend:
                handles = await session.start(RUN, RUN, IGNORE)
                scope.cancel()
        expect(scope.cancelled_caught, "the cancel should leave the block")
        expect_equal(backend.statistics().live, 0, "live jobs after the block")
        expect_equal(backend.undelivered, 0, "undelivered events, with a receiver that reads on")
        for handle in handles:
            expect_status(session.history.completion(handle.job_id), JobStatus.KILLED, FailureKind.CANCELLED)


async def a_cancel_ends_the_wait_for_the_jobs(context: CheckContext) -> None:
    """A cancel also kills the jobs of a block that has come to its end and waits for them."""
    async with context.session() as session, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with session.open():
                await session.start(RUN, RUN)
                nursery.start_soon(cancel_after, 5, scope)  # by then the block waits for the jobs
        expect(scope.cancelled_caught, "the cancel should leave the block")


async def drain_waits_for_live_jobs(context: CheckContext) -> None:
    """It returns when no job is live; at once, if none was."""
    async with context.session() as session:
        async with session.open() as backend:
            await backend.drain()
            (passing, running) = await session.start(PASS, RUN)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(backend.kill, running)
                await backend.drain()
                expect_equal(backend.statistics().live, 0, "live jobs after the drain")
            await session.completed(passing)
            await session.start(PASS)


async def no_task_is_left_behind(context: CheckContext) -> None:
    """After the block there are no more tasks than before, however it ended.

    There may be fewer: a task of trio's, or of another block that has just ended, may have ended meanwhile.
    """
    for how in ("normal", "exception", "close"):
        async with context.session() as session:
            before = trio.lowlevel.current_statistics().tasks_living
            try:
                async with session.open() as backend:
                    await session.start(PASS)
                    if how != "normal":
                        await session.start(RUN)
                    if how == "close":
                        backend.close()
                    if how == "exception":
                        raise OnPurposeError
            except OnPurposeError:
                pass
            after = trio.lowlevel.current_statistics().tasks_living
            expect(after <= before, f"tasks after the {how} end: found {after}, expected at most {before}")


async def statistics_and_repr_show_the_state(context: CheckContext) -> None:
    """Before the block, in it, and after it."""
    async with context.session() as session:
        backend = session.backend
        expect(backend.name in repr(backend), f"the repr should name it: {backend!r}")
        states = [backend.statistics().state]
        async with session.open():
            states.append(backend.statistics().state)
            (handle,) = await session.start(RUN)
            expect_equal(backend.statistics().live, 1, "live jobs")
            inside = repr(backend)
            await backend.kill(handle)
        statistics = backend.statistics()
        states.append(statistics.state)
        expect_equal(len(set(states)), 3, f"different states among {states}")
        expect(inside != repr(backend), f"the repr should show the state: {inside}")
        expect_equal(
            (statistics.submitted, statistics.completed, statistics.live), (1, 1, 0), "submitted, completed, live"
        )
        expect_equal(statistics.undelivered, 0, "undelivered")


ENDING: Final = (
    a_backend_can_be_opened_again,
    a_normal_end_waits_for_the_jobs,
    an_exception_leaves_as_it_is,
    a_cancel_kills_and_delivers,
    a_cancel_ends_the_wait_for_the_jobs,
    drain_waits_for_live_jobs,
    no_task_is_left_behind,
    statistics_and_repr_show_the_state,
)
