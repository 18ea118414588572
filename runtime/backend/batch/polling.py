"""`Poller`: one query for all jobs, tick by tick."""

from __future__ import annotations

import logging
import math
from typing import Final

import trio

from runtime.backend.batch.files import Files
from runtime.backend.batch.following import Follower
from runtime.backend.batch.queue import Queue
from runtime.backend.batch.reactor import ACCOUNT_AFTER, Query, Reactor
from runtime.backend.batch.records import Record
from runtime.backend.batch.system import Unanswered

logger: Final = logging.getLogger("runtime.backend.batch")


class Poller:
    """Asks the queue, and passes on what has become of the jobs.

    Args:
        queue: the queue.
        files: the files of the run.
        reactor: the elements that may be in the queue.
        follower: reports what has become of the jobs.
    """

    def __init__(self, queue: Queue, files: Files, reactor: Reactor, follower: Follower) -> None:
        self._queue = queue
        self._files = files
        self._reactor = reactor
        self._follower = follower
        self._due = -math.inf
        """When the queue is asked next."""
        self._asked = trio.Event()
        """Set when there is something to ask for."""
        self._urgent = trio.Event()
        """Set when a step of a stop may be due at once."""
        self._queries = 0
        self._last_answer = 0
        """The number of the last query that had a complete answer."""
        self._query_ended = trio.Event()
        self._accounting_asked_at = -math.inf

    # ------------------------------------------------------------------ for the other members

    def ask(self) -> None:
        """Let the queue be asked, also if no job is there to ask for."""
        self._asked.set()

    def expect_change(self) -> None:
        """Let the queue be asked, soon, as jobs were submitted."""
        self._queue.pace.hurry()
        self.ask()

    def hurry(self) -> None:
        """Take the steps of stops that are due now, and ask soon what has come of them."""
        self._queue.pace.hurry()
        # With an open circuit the query stays where it is: a kill must not load a controller that does not answer.
        if not self._queue.pace.is_open:
            self._due = min(self._due, trio.current_time() + self._queue.pace.pause)
        self._urgent.set()

    async def next_answer(self) -> None:
        """Wait for a complete listing that is asked for from now on."""
        # The answer to a query that is under way does not count: it may describe the queue before what was done last.
        asked = self._queries
        while self._last_answer <= asked:
            self.ask()
            await self._query_ended.wait()

    # ------------------------------------------------------------------ the loop

    async def wait_due(self) -> None:
        """Wait until the next query, or the next step of a stop, is due."""
        reactor, pace = self._reactor, self._queue.pace
        reactor.forget_arrays(trio.current_time())
        # Without jobs there is nothing to ask; but an open circuit is closed by an answer only, so that is asked for.
        if not len(reactor.arrays) and not pace.is_open:
            self._due = -math.inf
            await self._asked.wait()
        # While the circuit is open no step is taken, and one that is overdue must not keep this loop awake.
        step_due = math.inf if pace.is_open else reactor.next_stop_step(trio.current_time())
        with trio.move_on_at(min(self._due, step_due)):
            await self._urgent.wait()
        self._urgent = trio.Event()

    async def poll(self) -> None:
        """Ask the queue, if that is due; pass on what has become of each job."""
        began = trio.current_time()
        if began < self._due:
            return
        self._asked = trio.Event()  # not later: who asks during this query waits for the answer to the next one
        self._queries += 1
        number = self._queries
        query = self._reactor.begin_query()
        answer = await self._queue.system.query(self._reactor.arrays.names())
        query.add_listing(answer, self._reactor.arrays)
        if tokens := query.may_have_ended():
            query.add_records(*await self._read_records(tokens))
        await self._ask_accounting(query)
        now = trio.current_time()
        self._follower.abandon_completed()
        transitions = self._reactor.on_answer(query, now)
        self._follower.react(transitions)
        self._follower.limit_logs()
        if isinstance(answer, Unanswered):
            self._queue.note_no_answer(answer.why)
        else:
            self._queue.pace.answered(now - began, changed=bool(transitions))
            if query.complete:
                self._last_answer = number
            else:
                message = "backend %r: %d lines of %s cannot be parsed"
                logger.warning(message, self._queue.backend, answer.unparsed, self._queue.system.name)
        self._due = now + self._queue.pace.pause
        self._query_ended.set()
        self._query_ended = trio.Event()

    async def _read_records(self, tokens: list[str]) -> tuple[dict[str, Record], set[str]]:
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
