"""The promises about the end of a backend's block."""

from __future__ import annotations

from typing import Final

import trio

from runtime.errors import BackendClosedError
from runtime.job import FailureKind, JobStatus
from runtime.testing.checks.assertions import want, want_equal, want_status, wanted
from runtime.testing.fixture import Behaviour, CheckContext

PASS: Final = Behaviour.PASS
RUN: Final = Behaviour.RUN_UNTIL_KILLED


class OnPurposeError(Exception):
    """What a check's block raises."""


async def a_backend_lives_once(bench: CheckContext) -> None:
    """Opening it again is an error, inside and after, and does not disturb its life."""
    async with bench.session() as session:
        async with session.open():
            with wanted(BackendClosedError, "it is open"):
                async with session.open():
                    pass
            await session.start(PASS)
        with wanted(BackendClosedError, "it had its life"):
            async with session.open():
                pass


async def a_normal_end_waits_for_the_jobs(bench: CheckContext) -> None:
    """Leaving the block waits, as a nursery does, and the jobs end as they would have."""
    async with bench.session() as session:
        async with session.open() as backend:
            handles = await session.start(PASS, PASS, PASS)
        want_equal(backend.statistics().live, 0, "live jobs after the block")
        for handle in handles:
            want_status(session.history.completion(handle.job_id), JobStatus.PASSED)


async def an_exception_leaves_as_it_is(bench: CheckContext) -> None:
    """The very object, in no group; all jobs are killed, and their events seen."""
    error = OnPurposeError("on purpose")
    async with bench.session() as session:
        try:
            async with session.open() as backend:
                handles = await session.start(RUN, Behaviour.IGNORE_SIGTERM)
                raise error
        except BaseException as exc:  # noqa: BLE001 - whatever comes, it has to be this one
            want(exc is error, f"wanted the exception of the block, as it is: {exc!r}")
        else:
            raise AssertionError("the exception of the block was swallowed")
        want_equal(backend.statistics().live, 0, "live jobs after the block")
        for handle in handles:
            want_status(session.history.completion(handle.job_id), JobStatus.KILLED, FailureKind.CANCELLED)


async def a_cancel_kills_and_delivers(bench: CheckContext) -> None:
    """All jobs are killed; a receiver that shields itself sees every event."""
    async with bench.session() as session:
        with trio.CancelScope() as scope:
            async with session.open() as backend:
                handles = await session.start(RUN, RUN, Behaviour.IGNORE_SIGTERM)
                scope.cancel()
        want(scope.cancelled_caught, "the cancel should leave the block")
        want_equal(backend.statistics().live, 0, "live jobs after the block")
        want_equal(backend.undelivered, 0, "undelivered events, with a receiver that reads on")
        for handle in handles:
            want_status(session.history.completion(handle.job_id), JobStatus.KILLED, FailureKind.CANCELLED)


async def a_cancel_ends_the_wait_for_the_jobs(bench: CheckContext) -> None:
    """Also a block that has come to its end, and waits for its jobs, is killed by a cancel."""
    async with bench.session() as session:

        async def cancel_soon() -> None:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with session.open():
                    await session.start(RUN, RUN)
                    nursery.start_soon(cancel_soon)
            want(scope.cancelled_caught, "the cancel should leave the block")


async def drain_waits_for_what_is_live(bench: CheckContext) -> None:
    """It returns when nothing is live; at once, if nothing was."""
    async with bench.session() as session:
        async with session.open() as backend:
            await backend.drain()
            (passing, running) = await session.start(PASS, RUN)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(backend.kill, running)
                await backend.drain()
                want_equal(backend.statistics().live, 0, "live jobs after the drain")
            await session.completed(passing)
            await session.start(PASS)


async def no_task_is_left_behind(bench: CheckContext) -> None:
    """After the block there are as many tasks as before, whichever way it ended."""
    for how in ("normal", "exception", "close"):
        async with bench.session() as session:
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
            want_equal(trio.lowlevel.current_statistics().tasks_living, before, f"tasks after the {how} end")


async def statistics_and_repr_tell_the_state(bench: CheckContext) -> None:
    """Before, within and after."""
    async with bench.session() as session:
        backend = session.backend
        want(backend.name in repr(backend), f"the repr should name it: {backend!r}")
        states = [backend.statistics().state]
        async with session.open():
            states.append(backend.statistics().state)
            (handle,) = await session.start(RUN)
            want_equal(backend.statistics().live, 1, "live jobs")
            inside = repr(backend)
            await backend.kill(handle)
        statistics = backend.statistics()
        states.append(statistics.state)
        want_equal(len(set(states)), 3, f"different states among {states}")
        want(inside != repr(backend), f"the repr should tell the state: {inside}")
        want_equal(
            (statistics.submitted, statistics.completed, statistics.live), (1, 1, 0), "submitted, completed, live"
        )
        want_equal(statistics.undelivered, 0, "undelivered")


ENDING: Final = (
    a_backend_lives_once,
    a_normal_end_waits_for_the_jobs,
    an_exception_leaves_as_it_is,
    a_cancel_kills_and_delivers,
    a_cancel_ends_the_wait_for_the_jobs,
    drain_waits_for_what_is_live,
    no_task_is_left_behind,
    statistics_and_repr_tell_the_state,
)
