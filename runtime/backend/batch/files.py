"""`Files`: the store of a run, called in threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar, TypeVarTuple

import trio

from runtime.backend.batch.exit_records import ExitRecord
from runtime.backend.batch.store import Store
from runtime.process import in_thread

logger: Final = logging.getLogger("runtime.backend.batch")

_REVOKE_TIMEOUT: Final = 5.0
"""Seconds that a cancel, or a completion, waits until jobs are revoked. Arbitrary: with a tenth, a busy file server
makes us cancel jobs that may still begin; with ten times as many, one that does not answer delays a kill by 50 s."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Files:
    """Makes calls of a store in threads.

    Args:
        store: the files of the run.
        limiter: limits the threads.
    """

    def __init__(self, store: Store, limiter: trio.CapacityLimiter) -> None:
        self.store = store
        self.limiter = limiter
        self.is_shared: bool = False
        """Whether a record was ever read, so that some node sees the run directory."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call ``function(*args)``, which blocks, in a thread."""
        return await in_thread(function, *args, limiter=self.limiter)

    async def read_records(self, tokens: Iterable[str]) -> tuple[dict[str, ExitRecord], set[str]]:
        """Read exit records; see `Store.read_records`."""
        records, unread = await self.run(self.store.read_records, tokens)
        self.is_shared = self.is_shared or bool(records)
        return records, unread

    async def revoke(self, tokens: Collection[str], restarted: Collection[str] = ()) -> None:
        """Revoke jobs; see `Store.revoke`. If their file system does not answer in time, the thread goes on alone."""
        if tokens:
            with trio.move_on_after(_REVOKE_TIMEOUT):
                await self.run(self.store.revoke, tokens, restarted)
