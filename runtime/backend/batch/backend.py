"""`BatchBackend`: jobs are elements of arrays in the queue of a batch system, whichever that is.

A job's road: its files are prepared in a thread; jobs with equal requests go to the queue as arrays; then one task asks
the queue for all of them at once, tick by tick, and `next_transition` says what that means for each; whoever has ended is judged
as a local job would be.

What nobody may assume of a queue
---------------------------------
*That no means no.* A submission that seems to have failed may have been accepted, or be accepted later. So an array
has a name that nothing else ever has; while it is in doubt the queue is asked for that name, by the same question as
for all others; only when two answers in a row do not have it is it submitted again, once. Should the first turn up all
the same, its elements find their jobs claimed and do nothing (see `wrapper`).

*That an id is ours.* Rows count by name (see `board`), and an end is asked for only of what a recent answer had.

*That an order was carried out.* To cancel is to ask; what the next answers still have alive is asked for again, until
it is gone or the contract gives it up. Even then it is cancelled whenever it is seen again: a *stray*.

*That it answers.* Then nothing is concluded, and nothing is submitted: see `pace`.

An previous incarnation
---------------
A backend that is opened with the run token and the run directory of an earlier one, which was killed perhaps, finds the
arrays of that one by their names and files. A job that comes again with the same attempt is *adopted*: it is followed
as if we had submitted it, and if it has ended meanwhile, its record says how. With another attempt, what is left of the
earlier one is ended first. What nobody asks for is ended with the block. An array of which there is no sign may have
been asked for in the last moment of that life, and may turn up yet: so the queue is asked again before its jobs are
submitted, and their claims stay where they are.
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Final

import trio

from runtime.backend.batch.store import Store
from runtime.backend.batch.submitting import SubmittingSide
from runtime.backend.finishing import Finisher
from runtime.backend.verdict_pool import VerdictPool
from runtime.errors import BackendBrokenError
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.backend.batch")

_FILE_THREADS: Final = 4
_VERDICT_THREADS: Final = 6
_HOOK_THREADS: Final = 64
"""Threads for each class of work that blocks; hooks are other people's code, and may take long. Arbitrary."""


class BatchBackend(SubmittingSide):
    """Runs jobs as elements of a batch system's arrays. Arguments are those of `BatchBase`."""

    async def _setup(self) -> None:
        self._file_limiter = trio.CapacityLimiter(_FILE_THREADS)
        self._hook_limiter = trio.CapacityLimiter(_HOOK_THREADS)
        self._verdict_pool = VerdictPool(trio.CapacityLimiter(_VERDICT_THREADS))
        self._finisher = Finisher(self._verdict_pool, self._hook_limiter)
        self._submit_lock = trio.Lock()
        self._poll_requested, self._urgent, self._answer_arrived = trio.Event(), trio.Event(), trio.Event()
        await self._probe()
        try:
            self._store = await self._in_thread(self._make_store)
        except OSError as exc:  # there is no descriptor; or a job of an earlier run has put something there
            if self._own_roots is not None:
                self._own_roots.close()
            msg = f"backend {self.name!r} cannot be opened: {exc}"
            raise BackendBrokenError(msg) from exc
        await self._find_previous_incarnation()

    def _make_store(self) -> Store:
        given = self._given_roots
        roots = self._roots = given or Roots(os.path.abspath(self.run_dir or tempfile.mkdtemp(prefix="job-runtime-")))
        if self.run_dir is None:
            logger.info("backend %r runs its jobs in %s", self.name, roots.run_dir)
        self.run_dir = roots.run_dir
        if not roots.is_open:
            roots.open()
            self._own_roots = roots
        store = Store(roots, self._environment(), self.max_output_dirs)
        store.lay_out(self._system.prologue)
        return store

    async def _teardown(self) -> None:
        await super()._teardown()
        if self._own_roots is not None:
            self._own_roots.close()

    async def _serve(self) -> None:
        self._start_task(self._verdict_pool.run)
        while True:
            await self._wait_due()
            await self._cancel_what_is_due()
            if trio.current_time() >= self._due:
                await self._ask_queue()
