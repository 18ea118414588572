"""An adapter with a task that receives its events, for the tests of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from runtime.backend.legacy import LegacyLauncherAdapter
from runtime.job import EventBatch, JobCompletionEvent, JobHandle, JobProgressEvent, JobSpec, Kind
from runtime.testing.virtual import VirtualAdapter


@attrs.define(eq=False)
class Rig:
    backend: LegacyLauncherAdapter
    events: list[JobProgressEvent | JobCompletionEvent] = attrs.field(factory=list)
    received: trio.Event = attrs.field(factory=trio.Event)
    """Set, and replaced, with each batch of events."""

    async def submit(self, *names: str, **fields: Any) -> dict[str, JobHandle]:
        return await self.backend.submit_many([job(name, **fields) for name in names])

    def ends(self, name: str) -> list[JobCompletionEvent]:
        return [e for e in self.events if isinstance(e, JobCompletionEvent) and e.job_id == name]

    async def wait_ended(self, name: str) -> None:
        while not self.ends(name):
            await self.received.wait()

    def end(self, name: str) -> JobCompletionEvent:
        """Return the only completion of a job."""
        (event,) = self.ends(name)
        return event

    def kind(self, name: str) -> Kind | None:
        reason = self.end(name).reason
        return None if reason is None else reason.kind

    def text(self, name: str) -> str:
        reason = self.end(name).reason
        assert reason is not None
        return reason.message

    def progress(self, name: str) -> list[tuple[float, str]]:
        found = [e for e in self.events if isinstance(e, JobProgressEvent) and e.job_id == name]
        return [(e.at, e.status.name) for e in found]


def job(name: str, **fields: Any) -> JobSpec:
    return JobSpec(**{"name": name, "cmd": "true", **fields})


@asynccontextmanager
async def rig(
    launcher_cls: type, adapter: Callable[..., LegacyLauncherAdapter] = VirtualAdapter, **options: Any
) -> AsyncIterator[Rig]:
    """Open an adapter; after the block, `events` has all its events."""
    send, receive = trio.open_memory_channel[EventBatch](0)
    it = Rig(adapter(launcher_cls, **options))

    async def collect() -> None:
        with trio.CancelScope(shield=True):
            async for batch in receive:
                it.events.extend(batch)
                it.received.set()
                it.received = trio.Event()

    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        try:
            with send:
                async with it.backend.open(send):
                    yield it
        except BaseException as exc:  # noqa: BLE001 - raised again outside of the nursery, so without a group
            failure = exc
    if failure is not None:
        raise failure
