"""`QueuePoller`: one query for all jobs, tick by tick."""

from __future__ import annotations

import logging
import math
from typing import Final

import trio

from runtime.backend.batch.exit_records import ExitRecord
from runtime.backend.batch.files import Files
from runtime.backend.batch.job_tracker import JobTracker
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import ACCOUNT_AFTER, Query, Reactor
from runtime.backend.batch.schedule import Schedule
from runtime.backend.batch.system import Unanswered

logger: Final = logging.getLogger("runtime.backend.batch")


class QueuePoller:
    """Asks the queue, and passes on what has become of the jobs.

    Args:
        queue: the queue.
        schedule: when it is asked.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        tracker: reports what has become of the jobs.
    """

    def __init__(self, queue: Queue, schedule: Schedule, files: Files, reactor: Reactor, tracker: JobTracker) -> None:
        self._queue = queue
        self._schedule = schedule
        self._files = files
        self._reactor = reactor
        self._tracker = tracker
        self._accounting_asked_at = -math.inf

    async def wait_due(self) -> None:
        """Wait until the next query, or the next step of a stop, is due."""
        self._reactor.forget_arrays(trio.current_time())
        # Without jobs there is nothing to ask; but an open circuit is closed by an answer only, so that is asked for.
        if not len(self._reactor.arrays) and not self._queue.pace.is_open:
            await self._schedule.wait_asked()
        await self._schedule.wait_due(self._reactor.next_stop_step(trio.current_time()))

    async def poll(self) -> None:
        """Ask the queue, if that is due; pass on what has become of each job."""
        if not self._schedule.begin_query():
            return
        began = trio.current_time()
        query = self._reactor.begin_query()
        answer = await self._queue.system.query(self._reactor.arrays.names())
        query.add_listing(answer, self._reactor.arrays)
        if tokens := query.may_have_ended():
            query.add_records(*await self._read_records(tokens))
        await self._ask_accounting(query)
        now = trio.current_time()
        self._tracker.abandon_completed()
        transitions = self._reactor.on_answer(query, now)
        self._tracker.react(transitions)
        self._tracker.limit_logs()
        if isinstance(answer, Unanswered):
            self._queue.note_no_answer(answer.why)
        else:
            self._queue.pace.answered(now - began, changed=bool(transitions))
            if not query.complete:
                message = "backend %r: %d lines of %s cannot be parsed"
                logger.warning(message, self._queue.backend, answer.unparsed, self._queue.system.name)
        self._schedule.end_query(complete=query.complete)

    async def _read_records(self, tokens: list[str]) -> tuple[dict[str, ExitRecord], set[str]]:
        records, unread = await self._files.read_records(tokens)
        if unread:
            message = "backend %r: no descriptor to read %d exit records; will retry"
            logger.warning(message, self._queue.backend, len(unread))
        return records, unread

    async def _ask_accounting(self, query: Query) -> None:
        """Ask accounting, where there is one, for jobs that have been missing for a while."""
        now = trio.current_time()
        if not query.answered or not self._queue.limits.accounting or now - self._accounting_asked_at < ACCOUNT_AFTER:
            return
        missing = query.unaccounted(now)
        if missing:
            self._accounting_asked_at = now
            answer = await self._queue.system.account({each.array for each in missing})
            if isinstance(answer, Unanswered):
                logger.info("backend %r: accounting does not answer: %s", self._queue.backend, answer.why)
            else:
                query.add_accounting(missing, answer, self._reactor.arrays)
