"""`Sink`: a journal in memory."""

from __future__ import annotations

from typing import TypeVar

import trio

from runtime.journal import Record

R = TypeVar("R", bound=Record)


class Sink:
    """Takes records as a `JournalWriter` does. Its disk is as slow as the test wants: it answers when `disk` is set."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.waits: list[str] = []
        self.disk = trio.Event()
        self.disk.set()

    def append(self, record: Record) -> None:
        self.records.append(record)

    async def written(self) -> bool:
        return await self._wait("written")

    async def durable(self) -> bool:
        return await self._wait("durable")

    async def _wait(self, what: str) -> bool:
        self.waits.append(what)
        await self.disk.wait()
        return True

    def of(self, kind: type[R]) -> list[R]:
        return [record for record in self.records if isinstance(record, kind)]
