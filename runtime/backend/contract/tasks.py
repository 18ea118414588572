"""`Tasks`: the nursery of an open backend, in which an exception breaks the backend and cancels nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from runtime.errors import NO_MEMORY, BackendBrokenError, is_out_of_memory


class Tasks:
    """Runs the tasks of an open backend, and keeps the first error of any of them.

    Args:
        name: the backend's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: BaseException | None = None
        """What has broken the backend; `None` if nothing has."""
        self.on_error: Callable[[], object] = _ignore
        """Called when `error` has been set."""
        self._nursery: trio.Nursery

    async def run(self, *services: Callable[[], Awaitable[object]], started: trio.Event) -> None:
        """Run `services`, and what `start` adds, until cancelled; set `started` once tasks may be added."""
        async with trio.open_nursery() as self._nursery:
            for service in services:
                self.start(service)
            started.set()
            await trio.sleep_forever()

    def start(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)`` in the nursery, protected from Ctrl-C; an exception breaks the backend."""
        self._nursery.start_soon(self.guard, function, *args, name=function)

    @trio.lowlevel.enable_ki_protection
    async def guard(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``; an exception breaks the backend instead of cancelling the nursery."""
        try:
            await function(*args)
        except trio.Cancelled:
            raise
        except BaseExceptionGroup as group:
            cancelled, errors = group.split(trio.Cancelled)
            if errors is not None:
                self.fail(errors)
            if cancelled is not None:
                raise cancelled  # noqa: B904 - it is a part of what was caught
        except BaseException as exc:  # noqa: BLE001 - kept, and raised by the block
            self.fail(exc)

    def fail(self, error: BaseException) -> None:
        """Break the backend with `error`. Only the first error counts."""
        if self.error is None:
            self.error = self.shortage(error) or error
            self.on_error()

    def shortage(self, error: BaseException, what: str = "broke") -> BackendBrokenError | None:
        """Return the error to raise if `error` is out of memory and nothing else, which is not a bug; else `None`."""
        if not is_out_of_memory(error):
            return None
        broken = BackendBrokenError(f"backend {self.name!r} {what}: {NO_MEMORY}")
        broken.__cause__ = error
        return broken

    def why_broken(self) -> str:
        """Return the reason for the jobs that end because the backend broke."""
        error = self.error
        return str(error) if isinstance(error, BackendBrokenError) else f"backend {self.name!r} broke: {error!r}"


def _ignore() -> None:
    pass


class ShieldedTask:
    """A task that only `stop` cancels."""

    def __init__(self) -> None:
        self._scope: Final = trio.CancelScope(shield=True)
        self._done: Final = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run_until_stopped(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``. May be called once."""
        try:
            with self._scope:
                await function(*args)
        finally:
            self._done.set()

    async def stop(self) -> None:
        """Cancel the task, and wait until it has ended."""
        self._scope.cancel()
        await self._done.wait()


def is_cancelled(error: BaseException) -> bool:
    """Return whether `error` is a `Cancelled`, or a group of nothing else, as a nursery makes of several."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
