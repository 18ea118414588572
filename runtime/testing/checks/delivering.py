"""Checks of the events' delivery: receivers that read, are slow, have gone, or never read."""

from __future__ import annotations

from typing import Final

import trio

from runtime.job import EventBatch, JobCompletionEvent
from runtime.testing.checks.assertions import expect, expect_equal, expect_raises
from runtime.testing.fixture import Behaviour, CheckContext
from runtime.testing.history import History

PASS: Final = Behaviour.PASS
RUN: Final = Behaviour.RUN_UNTIL_KILLED
MIXED: Final = (PASS, Behaviour.FAIL, Behaviour.CANNOT_LAUNCH, PASS, PASS)


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
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()
        with send, receive:
            async with fixture.backend.open(send) as backend:
                handles = await backend.submit_many(fixture.job(each, f"job-{n}") for n, each in enumerate(MIXED))
                history.accept(handles.values())
                while len(history.completions) < len(handles):
                    history.take(await receive.receive())
        history.check()


async def the_channel_ends_after_the_last_event(context: CheckContext) -> None:
    """The backend closes its clone and no other: the original belongs to the caller."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(history.collect, receive)
            async with fixture.backend.open(send, run_token="a-token"):
                history.accept((await fixture.backend.submit_many([fixture.job(PASS, "a")])).values())
            expect_equal(send.statistics().open_send_channels, 1, "open sending ends after the block")
            await send.send(())  # still open: the backend must not have closed the caller's own
            send.close()
        expect(history.batches and history.batches[-1] == (), "something came after the end of the block")
        history.batches.pop()
        history.check()


async def nothing_waits_for_the_receiver(context: CheckContext) -> None:
    """`submit_many` and `kill` return although no event has been received."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()
        with send, receive:
            async with fixture.backend.open(send) as backend:
                for number in range(3):
                    jobs = [fixture.job(each, f"{each.name}-{number}") for each in (PASS, RUN, Behaviour.CANNOT_LAUNCH)]
                    handles = await backend.submit_many(jobs)
                    history.accept(handles.values())
                    await backend.kill(jobs[1].id)
                await backend.drain()
                while len(history.completions) < history.accepted.total():
                    history.take(await receive.receive())
        history.check()


async def a_closed_receiver_ends_the_block(context: CheckContext) -> None:
    """All jobs are killed, the block raises `trio.BrokenResourceError`, and events not received are counted."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        with send:
            with expect_raises(trio.BrokenResourceError, "the receiver is closed"):
                async with fixture.backend.open(send) as backend:
                    await backend.submit_many(fixture.job(RUN, f"run-{n}") for n in range(3))
                    receive.close()
                    handle = await backend.submit(fixture.job(PASS, "pass"))
                    expect(handle, "refused below the limit")
                    await trio.sleep_forever()
        expect_equal(fixture.backend.statistics().live, 0, "live jobs after the block")
        expect_equal(fixture.backend.undelivered, 4, "undelivered completions")


async def undelivered_events_are_counted(context: CheckContext) -> None:
    """With an exception in flight the wait for the receiver is bounded, and a note tells the number of events left."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()
        with send, receive:
            try:
                async with fixture.backend.open(send) as backend:
                    handles = await backend.submit_many(fixture.job(RUN, f"run-{n}") for n in range(3))
                    history.accept(handles.values())
                    raise ValueError("on purpose")
            except ValueError as exc:
                notes = getattr(exc, "__notes__", [])
            _read_what_is_buffered(history, receive)
            left = fixture.backend.undelivered
            expect_equal(len(history.completions) + left, 3, "completions in the channel, and undelivered ones")
            expect(
                any(str(left) in note for note in notes) or not left, f"a note should tell the number {left}: {notes}"
            )
            expect(left or context.buffer, "nothing can have been delivered without a buffer")


async def a_slow_receiver_sees_all_of_a_cancelled_run(context: CheckContext) -> None:
    """A shielded receiver that starts to read only when all jobs have ended sees every event."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()

        async def read_slowly() -> None:
            with receive, trio.CancelScope(shield=True):
                await fixture.backend.drain()
                while not history.ended:
                    for _ in range(20):  # slower than any step of the backend, in checkpoints: no clock is needed
                        await trio.lowlevel.checkpoint()
                    try:
                        history.take(await receive.receive())
                    except trio.EndOfChannel:
                        history.ended = True

        async with trio.open_nursery() as nursery:
            with send:
                async with fixture.backend.open(send) as backend:
                    handles = await backend.submit_many(fixture.job(each, f"job-{n}") for n, each in enumerate(MIXED))
                    history.accept(handles.values())
                    handles = await backend.submit_many(fixture.job(RUN, f"run-{n}") for n in range(3))
                    history.accept(handles.values())
                    nursery.start_soon(read_slowly)
                    nursery.cancel_scope.cancel()
        history.check()
        expect_equal(fixture.backend.undelivered, 0, "undelivered events, with a receiver that reads on")


async def a_block_without_a_reader_waits_until_cancelled(context: CheckContext) -> None:
    """It waits for the receiver without a limit, a cancel ends the wait, and each job is accounted for."""
    async with context.fixture() as fixture:
        send, receive = context.channel()
        history = History()
        with send, receive:

            async def cancel_when_waiting() -> None:
                await fixture.backend.drain()
                for _ in range(5):  # let the block come to its wait for the receiver
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    async with fixture.backend.open(send) as backend:
                        handles = await backend.submit_many(fixture.job(PASS, f"a-{n}") for n in range(3))
                        history.accept(handles.values())
                        nursery.start_soon(cancel_when_waiting)
                all_delivered = fixture.backend.undelivered == 0
                expect(scope.cancelled_caught or all_delivered, "the block left with events undelivered")
            _read_what_is_buffered(history, receive)
            expect_equal(len(history.completions) + fixture.backend.undelivered, 3, "completions, and undelivered ones")


def _read_what_is_buffered(history: History, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
    while True:
        try:
            history.take(receive.receive_nowait())
        except trio.WouldBlock:
            return


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
