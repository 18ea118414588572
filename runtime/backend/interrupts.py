"""Ctrl-C in a program that uses us: where trio may raise `KeyboardInterrupt`, and where not.

trio raises it in whatever code runs when the signal comes, in any task, at any line. In a task of ours that would lose
the job that the line was about. Code below a frame that is marked by `trio.lowlevel.enable_ki_protection` is spared:
there trio waits, and raises it in the *main task* (what `trio.run` was given) at its next checkpoint, through every
shield. The rules that follow from that:

- Each function that a task of ours begins with is marked. A mark belongs to a function, and a new task has none; so the
  tasks of a nursery need one each. `RuntimeBackend._start_task` does it for an author.
- So is what a caller calls and what changes our state: opening and closing a block, a submission, a kill. What the
  caller hands over there (an iterable, say) is read before, unmarked.
- Code of the user that we call in the loop, a *hook*, can be interrupted, as it may take for ever: `call_hook`.
- Where the main task is in our code, `KeyboardInterrupt` comes out of any ``await``. So a clean-up that must not be cut
  short is a task of its own, and the main task waits for it: `outlast`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import ParamSpec, TypeVar

import trio

P = ParamSpec("P")
T = TypeVar("T")


class _ProtectedBlock(AbstractAsyncContextManager[T, bool | None]):
    """An asynchronous context manager between whose steps and our caller no Ctrl-C is raised.

    `asynccontextmanager` alone has lines of its own around our generator: an interrupt there would leave the block
    open, and nobody who could close it.
    """

    def __init__(self, block: AbstractAsyncContextManager[T, bool | None]) -> None:
        self._block = block

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> T:
        return await self._block.__aenter__()

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(kind, exc, traceback)


def protected_block(
    function: Callable[P, AsyncIterator[T]],
) -> Callable[P, AbstractAsyncContextManager[T, bool | None]]:
    """As `asynccontextmanager`; entering and leaving are protected from Ctrl-C, the body of the block is not."""
    make = asynccontextmanager(function)

    @functools.wraps(function)
    def block(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T, bool | None]:
        return _ProtectedBlock(make(*args, **kwargs))

    return block


@trio.lowlevel.disable_ki_protection
def call_hook(hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function of the user's returns. A Ctrl-C ends it, wherever we call it from.

    Raises:
        KeyboardInterrupt: then, also in a task that is not the main one.
    """
    return hook(*args, **kwargs)


@trio.lowlevel.disable_ki_protection
async def await_hook(hook: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a function of the user's: `call_hook` for those that are asynchronous."""
    return await hook(*args, **kwargs)


async def outlast(ended: trio.Event, interrupted: Callable[[int], object]) -> BaseException | None:
    """Wait for `ended`, whatever is cancelled and however often Ctrl-C is pressed meanwhile.

    Args:
        ended: will be set by another task, in bounded time.
        interrupted: is called for each Ctrl-C with its number, from 1, to hurry that task. Does not block.

    Returns:
        The last `KeyboardInterrupt`, for the caller to raise; `None` if there was none.
    """
    error = None
    count = 0
    while not ended.is_set():
        try:
            with trio.CancelScope(shield=True):
                await ended.wait()
        except BaseException as exc:  # noqa: BLE001 - a Ctrl-C, which no shield keeps away; returned
            error = exc
            count += 1
            interrupted(count)
    return error


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` is a Ctrl-C, or a group of such and of cancellations, as a nursery makes of one."""
    if isinstance(error, BaseExceptionGroup):
        interrupts, others = error.split(KeyboardInterrupt)
        return interrupts is not None and (others is None or others.split(trio.Cancelled)[1] is None)
    return isinstance(error, KeyboardInterrupt)
