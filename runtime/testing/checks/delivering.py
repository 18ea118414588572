"""Checks of the events' delivery: receivers that read, are slow, have gone, or never read."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio

from runtime.job import JobCompletionEvent
from runtime.testing.checks.assertions import expect, expect_equal, expect_raises
from runtime.testing.fixture import CANNOT_LAUNCH, FAIL, PASS, RUN, CheckContext, cancel_after, checkpoints

MIXED: Final = (PASS, FAIL, CANNOT_LAUNCH, PASS, PASS)


async def an_embedding_program_sees_each_completion(context: CheckContext) -> None:
    """With a nursery of the program's own and a reader task beside the block, the program ends by itself."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        jobs = [fixture.job(behaviour, f"job-{number}") for number, behaviour in enumerate(MIXED * 4)]
        seen: list[str] = []

        async def consume() -> None:
            with receive:
                async for batch in receive:
                    expect(batch, "a batch is empty")
                    seen.extend(event.job_id for event in batch if isinstance(event, JobCompletionEvent))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            with send:
                async with fixture.backend.open(send) as backend:
                    handles = await backend.submit_many(jobs)
                    expect_equal(list(handles), [job.id for job in jobs], "accepted")
        expect_equal(sorted(seen), sorted(handles), "completed")


async def a_completion_tells_where_the_files_are(context: CheckContext) -> None:
    """The completion of a job that ran has the paths that `paths_of` returns."""
    async with context.session() as session, session.open() as backend:
        (job,) = session.jobs(PASS)
        handles = await session.submit([job])
        event = await session.completed(handles[job.id])
        expect_equal(event.paths, backend.paths_of(job), "paths")


async def a_body_may_read_the_channel_itself(context: CheckContext) -> None:
    """It can count completions, and stop when there is one for each handle."""
    async with context.unread_session() as session, session.open():
        handles = await session.start(*MIXED)
        while len(session.history.completions) < len(handles):
            await session.read()


async def the_channel_ends_after_the_last_event(context: CheckContext) -> None:
    """The backend closes its clone and no other: the original belongs to the caller."""
    async with context.session() as session:
        send, batches = session.send, session.history.batches
        async with session.backend.open(send, run_token="a-token"):
            await session.start(PASS)
        expect_equal(send.statistics().open_send_channels, 1, "open sending ends after the block")
        await send.send(())  # still open: the backend must not have closed the caller's own
        await session.history.wait_until(lambda: () in batches)
        expect(batches.pop() == (), "something came after the end of the block")


async def nothing_waits_for_the_receiver(context: CheckContext) -> None:
    """`submit_many` and `kill` return although no event has been received."""
    async with context.unread_session() as session, session.open() as backend:
        for _ in range(3):
            _, running, _ = await session.start(PASS, RUN, CANNOT_LAUNCH)
            await backend.kill(running)
        await backend.drain()
        while len(session.history.completions) < session.history.accepted.total():
            await session.read()


async def a_closed_receiver_ends_the_block(context: CheckContext) -> None:
    """All jobs are killed, the block raises `trio.BrokenResourceError`, and events not received are counted."""
    async with context.unread_session() as session:
        with expect_raises(trio.BrokenResourceError, "the receiver is closed"):
            async with session.open():
                await session.start(RUN, RUN, RUN)
                session.receive.close()
                await session.start(PASS)
                await trio.sleep_forever()
        expect_equal(session.backend.statistics().live, 0, "live jobs after the block")
        expect_equal(session.backend.undelivered, 4, "undelivered completions")


async def undelivered_events_are_counted(context: CheckContext) -> None:
    """With an exception in flight the wait for the receiver is bounded, and a note tells the number of events left."""
    async with context.unread_session() as session:
        try:
            async with session.open():
                await session.start(RUN, RUN, RUN)
                raise ValueError("on purpose")
        except ValueError as exc:
            notes = getattr(exc, "__notes__", [])
        session.read_buffered()
        left = session.backend.undelivered
        expect_equal(len(session.history.completions) + left, 3, "completions in the channel, and undelivered ones")
        expect(any(str(left) in note for note in notes) or not left, f"a note should tell the number {left}: {notes}")
        expect(left or context.buffer, "nothing can have been delivered without a buffer")


async def a_slow_receiver_sees_all_of_a_cancelled_run(context: CheckContext) -> None:
    """A shielded receiver that starts to read only when all jobs have ended sees every event."""
    async with context.unread_session() as session:

        async def read_slowly() -> None:
            with trio.CancelScope(shield=True), suppress(trio.EndOfChannel):
                await session.backend.drain()
                while True:
                    await checkpoints(20)  # slower than any step of the backend, in checkpoints: no clock is needed
                    await session.read()

        async with trio.open_nursery() as nursery:
            with session.send:
                async with session.open():
                    await session.start(*MIXED)
                    await session.start(RUN, RUN, RUN)
                    nursery.start_soon(read_slowly)
                    nursery.cancel_scope.cancel()
        expect_equal(session.backend.undelivered, 0, "undelivered events, with a receiver that reads on")


async def a_block_without_a_reader_waits_until_cancelled(context: CheckContext) -> None:
    """It waits for the receiver without a limit, a cancel ends the wait, and each job is accounted for."""
    async with context.unread_session() as session:

        async def cancel_when_waiting() -> None:
            await session.backend.drain()
            await cancel_after(5, scope)  # the block comes to its wait for the receiver

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with session.open():
                    await session.start(PASS, PASS, PASS)
                    nursery.start_soon(cancel_when_waiting)
            all_delivered = session.backend.undelivered == 0
            expect(scope.cancelled_caught or all_delivered, "the block left with events undelivered")
        session.read_buffered()


DELIVERING: Final = (
    an_embedding_program_sees_each_completion,
    a_completion_tells_where_the_files_are,
    a_body_may_read_the_channel_itself,
    the_channel_ends_after_the_last_event,
    nothing_waits_for_the_receiver,
    a_closed_receiver_ends_the_block,
    undelivered_events_are_counted,
    a_slow_receiver_sees_all_of_a_cancelled_run,
    a_block_without_a_reader_waits_until_cancelled,
)
