"""`Courier`: order, batches, waiting, and a receiver that is closed."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from runtime.backend.contract.courier import Courier
from runtime.job import EventBatch, JobCompletionEvent, JobProgressEvent, JobStatus


def completion(name: str) -> JobCompletionEvent:
    return JobCompletionEvent(name, 1, JobStatus.PASSED, None, 0, 0, 0)


def progress(name: str) -> JobProgressEvent:
    return JobProgressEvent(name, 1, JobStatus.RUNNING, 0)


def names(batch: EventBatch) -> list[str]:
    return [event.job_id for event in batch]


async def test_queued_events_are_sent_as_one_batch_in_order() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    with send, receive:
        async with trio.open_nursery() as nursery:
            for name in "abc":
                courier.post(completion(name))
            nursery.start_soon(courier.run)
            assert names(await receive.receive()) == ["a", "b", "c"]
            courier.post(completion("d"))
            await trio.testing.wait_all_tasks_blocked()
            courier.post(completion("e"))  # while d waits for the receiver
            courier.post(completion("f"))
            assert names(await receive.receive()) == ["d"]
            assert names(await receive.receive()) == ["e", "f"]
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                receive.receive_nowait()
            nursery.cancel_scope.cancel()


async def test_completions_count_as_undelivered_until_they_are_taken() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(courier.run)
            courier.post_progress(progress("a"))
            courier.post(completion("a"))
            courier.post(completion("b"))
            assert courier.undelivered == 2
            await trio.testing.wait_all_tasks_blocked()
            assert courier.undelivered == 2, "it waits for the receiver"
            await receive.receive()
            await trio.testing.wait_all_tasks_blocked()
            assert courier.undelivered == 0
            courier.post_progress(progress("c"))
            await trio.testing.wait_all_tasks_blocked()
            assert courier.undelivered == 0, "only completions are promised"
            nursery.cancel_scope.cancel()


async def test_events_in_the_buffer_count_as_taken() -> None:
    send, receive = trio.open_memory_channel[EventBatch](1)
    courier = Courier(send)
    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(courier.run)
            courier.post(completion("a"))
            assert await courier.wait_delivered()
            courier.post(completion("b"))
            await trio.testing.wait_all_tasks_blocked()
            assert courier.undelivered == 1
            nursery.cancel_scope.cancel()


async def test_a_batch_whose_send_was_cancelled_stays_undelivered() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    with send, receive:
        courier.post(completion("a"))
        with trio.move_on_after(0):
            await courier.run()
        assert courier.undelivered == 1
        with pytest.raises(trio.WouldBlock):
            receive.receive_nowait()


async def test_the_drain_timeout_begins_anew_with_each_batch(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(courier.run)

            async def read_and_post() -> None:
                for name in "bc":
                    await trio.sleep(0.9)
                    courier.post(completion(name))
                    await receive.receive()

            courier.post(completion("a"))
            nursery.start_soon(read_and_post)
            assert await courier.wait_delivered(1) is False
            assert trio.current_time() == pytest.approx(0.9 + 0.9 + 1)
            assert courier.undelivered == 1
            nursery.cancel_scope.cancel()


async def test_waiting_for_nothing_is_a_checkpoint() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    with send, receive, trio.testing.assert_checkpoints():
        assert await Courier(send).wait_delivered(0) is True


async def test_all_waiting_tasks_are_woken(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    answers: list[bool] = []

    async def wait() -> None:
        answers.append(await courier.wait_delivered(math.inf))

    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(courier.run)
            courier.post(completion("a"))
            async with trio.open_nursery() as waiting:
                waiting.start_soon(wait)
                waiting.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                assert answers == []
                await receive.receive()
            nursery.cancel_scope.cancel()
    assert answers == [True, True]


async def test_a_closed_receiver_is_an_error_and_ends_the_waiting() -> None:
    send, receive = trio.open_memory_channel[EventBatch](0)
    courier = Courier(send)
    with send:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await courier.run()

            courier.post(completion("a"))
            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            assert courier.receiver_gone is False
            receive.close()
            assert await courier.wait_delivered() is False
    assert courier.receiver_gone is True
    assert courier.undelivered == 1


async def test_it_sleeps_when_there_is_nothing_to_deliver() -> None:
    send, receive = trio.open_memory_channel[EventBatch](math.inf)
    courier = Courier(send)
    steps = 0

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += task.name.endswith("run")

    with send, receive:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(courier.run)
            courier.post(completion("a"))
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.add_instrument(instrument := Steps())
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(instrument)
            nursery.cancel_scope.cancel()
    assert steps == 0
