"""Ctrl-C in a program that embeds the runtime: where trio may raise `KeyboardInterrupt`, and where it may not.

trio raises it in the code that runs when the signal arrives, in any task, at any line. In a task of ours that would
lose the job that the line handles. A frame that is marked with `trio.lowlevel.enable_ki_protection` protects the code
below it: trio then raises at the next checkpoint of the *main task* (the function given to `trio.run`), even in a
shielded scope. The rules that follow:

- Each function that a task of ours begins with is marked. A mark belongs to a function, and a new task has none, so
  each task of a nursery needs one. `Tasks.guard` is marked, in which each task of a backend runs.
- Functions that a caller calls and that change our state are marked: opening and closing a block, a submission, a kill.
  An iterable that the caller passes is read before, unprotected.
- Code of the user that runs in the event loop, a *hook*, can be interrupted, as it may never return: `call_hook`.
- While the main task is in our code, `KeyboardInterrupt` comes out of any ``await``. So a clean-up that must run to its
  end is a task of its own, and the main task waits for it: `wait_through_interrupts`.
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
    """An asynchronous context manager whose entering and leaving are protected from Ctrl-C.

    `asynccontextmanager` alone runs unprotected lines of its own around our generator: an interrupt there would leave
    the block open, with nothing to close it.
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
    """Like `asynccontextmanager`, but entering and leaving are protected from Ctrl-C. The body of the block is not."""
    make = asynccontextmanager(function)

    @functools.wraps(function)
    def block(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T, bool | None]:
        return _ProtectedBlock(make(*args, **kwargs))

    return block


@trio.lowlevel.disable_ki_protection
def call_hook(hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the user, and return its result. A Ctrl-C interrupts it, even below a protected frame.

    Raises:
        KeyboardInterrupt: after a Ctrl-C, also in a task that is not the main task.
    """
    return hook(*args, **kwargs)


@trio.lowlevel.disable_ki_protection
async def await_hook(hook: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await an asynchronous function of the user, and return its result. Otherwise like `call_hook`."""
    return await hook(*args, **kwargs)


async def wait_through_interrupts(ended: trio.Event, interrupted: Callable[[int], object]) -> BaseException | None:
    """Wait for `ended`, through cancellation and any number of Ctrl-C; return the last `KeyboardInterrupt`.

    Args:
        ended: is set by another task, in bounded time.
        interrupted: is called for each Ctrl-C with its number, from 1, to hurry that task. Must not block.

    Returns:
        The last `KeyboardInterrupt`, for the caller to raise; `None` if there was none.
    """
    error = None
    count = 0
    while not ended.is_set():  # waits again after each Ctrl-C
        try:
            with trio.CancelScope(shield=True):
                await ended.wait()
        except BaseException as exc:  # noqa: BLE001 - a Ctrl-C, which a shield does not stop; it is returned
            error = exc
            count += 1
            interrupted(count)
    return error


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` is a `KeyboardInterrupt`, or a group of nothing but these and `Cancelled`."""
    if isinstance(error, BaseExceptionGroup):
        interrupts, others = error.split(KeyboardInterrupt)
        return interrupts is not None and (others is None or others.split(trio.Cancelled)[1] is None)
    return isinstance(error, KeyboardInterrupt)
