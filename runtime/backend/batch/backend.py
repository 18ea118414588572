"""`BatchBackend`: jobs are elements of arrays in the queue of a batch system.

The path of a job: its files are prepared in a thread; jobs with equal requests are submitted together, as arrays; one
task queries the queue for all of them at once, tick by tick, and `next_transition` decides what each answer means for
each job; a job that has ended is judged as a local one would be.

What the backend does not assume of a queue
-------------------------------------------
*That a failed submission submitted nothing.* The array may have been accepted, or be accepted later. So its name is
unique. While it is in doubt, the queue is asked for that name, by the same query as for all others; only if two answers
in a row do not have it is it submitted again, once. Should the first one be accepted after all, its elements find
their jobs claimed and do nothing (see `wrapper`).

*That ids are unique.* Rows count by name (see `array_index`), and a cancel goes only to elements of a recent listing.

*That a cancel succeeds.* What the next listings still have alive is cancelled again, until it is gone or `kill_timeout`
is over. Even then it is cancelled whenever a listing has it alive: it is a *stray*.

*That it answers.* Without an answer nothing is concluded, and nothing is submitted: see `pace`.

A previous incarnation
----------------------
A backend that is opened with the run token and the run directory of an earlier one, which was killed perhaps, finds the
arrays of that one by their names and files.

- A job that is submitted again with the same attempt is *adopted*: it is followed as if this backend had submitted it,
  and if it has ended meanwhile, its record says how.
- A job that is submitted again with another attempt: the earlier attempt is ended first.
- A job that is not submitted again is cancelled when the backend closes.
- A job of which there is no sign may have been submitted just before the kill, and its array may still be accepted. So
  the queue is asked once more before the job is submitted, and a claim that appears meanwhile is kept.
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
from runtime.errors import BackendBrokenError
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.backend.batch")

_FILE_THREADS: Final = 4
_VERDICT_THREADS: Final = 6
_HOOK_THREADS: Final = 64
"""Threads for each class of blocking work. Arbitrary. A tenth of the hook threads, and a few slow hooks of users hold
up the launch of all jobs; ten times as many of the others, and a slow file system has hundreds of threads wait for
it."""


class BatchBackend(SubmittingSide):
    """Runs jobs as elements of a batch system's arrays. For the arguments see `BatchBase`."""

    async def _setup(self) -> None:
        self._file_limiter = trio.CapacityLimiter(_FILE_THREADS)
        self._hook_limiter = trio.CapacityLimiter(_HOOK_THREADS)
        self._finisher = Finisher(trio.CapacityLimiter(_VERDICT_THREADS), self._hook_limiter)
        self._submit_lock = trio.Lock()
        self._poll_requested, self._urgent, self._answer_arrived = trio.Event(), trio.Event(), trio.Event()
        await self._probe()
        try:
            self._store = await self._in_thread(self._make_store)
        except OSError as exc:  # out of descriptors; or a job of an earlier run has replaced a directory
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
        self._start_task(self._finisher.verdicts.run)
        while True:
            await self._wait_due()
            # One task queries and cancels: so a cancel always goes to elements of the last listing.
            await self._cancel_what_is_due()
            if trio.current_time() >= self._due:
                await self._ask_queue()
