"""A trio function as a guest of an asyncio loop: its result, its errors, and a cancellation at any step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import trio

from runtime.dvsim.guest import as_guest


def test_the_result_and_the_error_are_those_of_the_function() -> None:
    async def function(number: int) -> int:
        await trio.lowlevel.checkpoint()
        return 7 // number

    assert asyncio.run(as_guest(lambda: function(1))) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(as_guest(lambda: function(0)))


def test_however_often_it_is_cancelled_it_ends_after_the_function() -> None:
    done: list[str] = []

    async def main() -> None:
        async def function() -> None:
            task.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    for _ in range(3):
                        task.cancel()
                        await trio.lowlevel.checkpoint()
                done.append("function")

        task = asyncio.ensure_future(as_guest(function))
        await asyncio.wait([task])
        done.append("cancelled" if task.cancelled() else "not cancelled")

    asyncio.run(main())
    assert done == ["function", "cancelled"]


def cancelled_after(steps: int, function: Callable[[], Awaitable[object]]) -> str:
    """Return what comes of a guest that is cancelled after so many turns of the loop."""

    async def main() -> str:
        task = asyncio.ensure_future(as_guest(function))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else repr(task.exception() or task.result())

    return asyncio.run(main())


def test_a_cancellation_at_any_step_is_passed_on_or_comes_too_late() -> None:
    ends: list[int] = []

    async def function() -> int:
        await trio.lowlevel.checkpoint()
        ends.append(1)
        return 7

    found = [cancelled_after(steps, function) for steps in range(30)]
    assert set(found) == {"cancelled", "7"}
    assert found == sorted(found, reverse=True)  # once it has ended, a cancellation changes nothing
    assert len(ends) > found.count("7")  # in one step at least, the function had ended, and its end was not known yet
