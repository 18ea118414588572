"""The promises about the channel: whoever reads it, or does not."""

from __future__ import annotations

from typing import Final

import trio

from runtime.job import EventBatch, JobCompletionEvent
from runtime.testing.checks.assertions import want, want_equal, wanted
from runtime.testing.fixture import Behaviour, CheckContext
from runtime.testing.history import History

PASS: Final = Behaviour.PASS
RUN: Final = Behaviour.RUN_UNTIL_KILLED
MIXED: Final = (PASS, Behaviour.FAIL, Behaviour.CANNOT_LAUNCH, PASS, PASS)


async def the_program_of_an_embedder(bench: CheckContext) -> None:
    """Somebody else's nursery, a reader beside the block, a mapping, and an end."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        jobs = [kit.job(behaviour, f"job-{number}") for number, behaviour in enumerate(MIXED * 4)]
        seen: list[str] = []

        async def consume() -> None:
            with receive:
                async for batch in receive:
                    want(batch, "a batch is empty")
                    seen.extend(event.job_id for event in batch if isinstance(event, JobCompletionEvent))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            with send:
                async with kit.backend.open(send) as backend:
                    handles = await backend.submit_many(jobs)
                    want_equal(list(handles), [job.id for job in jobs], "accepted")
        want_equal(sorted(seen), sorted(handles), "completed")


async def a_body_may_read_the_channel_itself(bench: CheckContext) -> None:
    """It counts, and stops when it has seen an event for each handle."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()
        with send, receive:
            async with kit.backend.open(send) as backend:
                handles = await backend.submit_many(kit.job(each, f"job-{n}") for n, each in enumerate(MIXED))
                history.accept(handles.values())
                while len(history.completions) < len(handles):
                    history.take(await receive.receive())
        history.check()


async def the_channel_ends_after_the_last_event(bench: CheckContext) -> None:
    """The backend closes its clone, and only that: the original stays with whoever made it."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(history.collect, receive)
            async with kit.backend.open(send, run_token="a-token"):
                history.accept((await kit.backend.submit_many([kit.job(PASS, "a")])).values())
            want_equal(send.statistics().open_send_channels, 1, "open sending ends after the block")
            await send.send(())  # it is still ours
            send.close()
        want(history.batches and history.batches[-1] == (), "something came after the end of the block")
        history.batches.pop()
        history.check()


async def nothing_waits_for_the_receiver(bench: CheckContext) -> None:
    """Neither submits nor kills: nobody has read a thing when they return."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()
        with send, receive:
            async with kit.backend.open(send) as backend:
                for number in range(3):
                    jobs = [kit.job(each, f"{each.name}-{number}") for each in (PASS, RUN, Behaviour.CANNOT_LAUNCH)]
                    handles = await backend.submit_many(jobs)
                    history.accept(handles.values())
                    await backend.kill(jobs[1].id)
                await backend.drain()
                while len(history.completions) < history.accepted.total():
                    history.take(await receive.receive())
        history.check()


async def a_receiver_that_has_gone_ends_the_block(bench: CheckContext) -> None:
    """All is killed, and `trio.BrokenResourceError` leaves the block; what nobody took is counted."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        with send:
            with wanted(trio.BrokenResourceError, "the receiver has gone"):
                async with kit.backend.open(send) as backend:
                    await backend.submit_many(kit.job(RUN, f"run-{n}") for n in range(3))
                    receive.close()
                    handle = await backend.submit(kit.job(PASS, "pass"))
                    want(handle, "refused, with room for it")
                    await trio.sleep_forever()
        want_equal(kit.backend.statistics().live, 0, "live jobs after the block")
        want_equal(kit.backend.undelivered, 4, "undelivered completions")


async def events_that_nobody_takes_are_counted(bench: CheckContext) -> None:
    """With an exception in flight the wait for the receiver is bounded, and a note says how many are left."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()
        with send, receive:
            try:
                async with kit.backend.open(send) as backend:
                    handles = await backend.submit_many(kit.job(RUN, f"run-{n}") for n in range(3))
                    history.accept(handles.values())
                    raise ValueError("on purpose")
            except ValueError as exc:
                notes = getattr(exc, "__notes__", [])
            _read_what_is_buffered(history, receive)
            left = kit.backend.undelivered
            want_equal(len(history.completions) + left, 3, "completions in the channel, and undelivered ones")
            want(any(str(left) in note for note in notes) or not left, f"a note should tell of {left}: {notes}")
            want(left or bench.buffer, "nothing can have been delivered without a buffer")


async def a_slow_receiver_sees_all_of_a_cancelled_run(bench: CheckContext) -> None:
    """One that shields itself, and begins to read when all jobs are dead."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()

        async def dawdle() -> None:
            with receive, trio.CancelScope(shield=True):
                await kit.backend.drain()
                while not history.ended:
                    for _ in range(20):
                        await trio.lowlevel.checkpoint()
                    try:
                        history.take(await receive.receive())
                    except trio.EndOfChannel:
                        history.ended = True

        async with trio.open_nursery() as nursery:
            with send:
                async with kit.backend.open(send) as backend:
                    handles = await backend.submit_many(kit.job(each, f"job-{n}") for n, each in enumerate(MIXED))
                    history.accept(handles.values())
                    handles = await backend.submit_many(kit.job(RUN, f"run-{n}") for n in range(3))
                    history.accept(handles.values())
                    nursery.start_soon(dawdle)
                    nursery.cancel_scope.cancel()
        history.check()
        want_equal(kit.backend.undelivered, 0, "undelivered events, with a receiver that reads on")


async def a_block_that_nobody_reads_waits_until_cancelled(bench: CheckContext) -> None:
    """It waits for the receiver as long as it takes, and a cancel ends that; each job is accounted for."""
    async with bench.kit() as kit:
        send, receive = bench.channel()
        history = History()
        with send, receive:

            async def cancel_when_waiting() -> None:
                await kit.backend.drain()
                for _ in range(5):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    async with kit.backend.open(send) as backend:
                        history.accept((await backend.submit_many(kit.job(PASS, f"a-{n}") for n in range(3))).values())
                        nursery.start_soon(cancel_when_waiting)
                want(scope.cancelled_caught or kit.backend.undelivered == 0, "the block left with events undelivered")
            _read_what_is_buffered(history, receive)
            want_equal(len(history.completions) + kit.backend.undelivered, 3, "completions, and undelivered ones")


def _read_what_is_buffered(history: History, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
    while True:
        try:
            history.take(receive.receive_nowait())
        except trio.WouldBlock:
            return


DELIVERING: Final = (
    the_program_of_an_embedder,
    a_body_may_read_the_channel_itself,
    the_channel_ends_after_the_last_event,
    nothing_waits_for_the_receiver,
    a_receiver_that_has_gone_ends_the_block,
    events_that_nobody_takes_are_counted,
    a_slow_receiver_sees_all_of_a_cancelled_run,
    a_block_that_nobody_reads_waits_until_cancelled,
)
