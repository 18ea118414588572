"""`Schedule`: when the queue is asked next, and which tasks wait for its answer."""

from __future__ import annotations

import math

import trio

from runtime.backend.batch.pace import Pace


class Schedule:
    """The times of queries, for the one task that makes them, and for those that need their answers.

    Args:
        pace: how long the pauses are.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
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

    # ------------------------------------------------------------------ for those that need answers

    def ask(self) -> None:
        """Let the queue be asked, also if no job is there to ask for."""
        self._asked.set()

    def expect_change(self) -> None:
        """Let the queue be asked, soon, as jobs were submitted."""
        self._pace.hurry()
        self.ask()

    def hurry(self) -> None:
        """Let the steps of stops that are due be taken now, and let the queue be asked soon what has come of them."""
        self._pace.hurry()
        # With an open circuit the query stays where it is: a kill must not load a controller that does not answer.
        if not self._pace.is_open:
            self._due = min(self._due, trio.current_time() + self._pace.pause)
        self._urgent.set()

    async def next_answer(self) -> None:
        """Wait for a complete listing that is asked for from now on."""
        # The answer to a query that is under way does not count: it may describe the queue before what was done last.
        asked = self._queries
        while self._last_answer <= asked:
            self.ask()
            await self._query_ended.wait()

    # ------------------------------------------------------------------ for the task that asks

    async def wait_asked(self) -> None:
        """Wait until there is something to ask for; the queue is asked at once then."""
        self._due = -math.inf
        await self._asked.wait()

    async def wait_due(self, step_due: float) -> None:
        """Wait until the next query is due, or a step of a stop, at the time `step_due` in seconds."""
        # While the circuit is open no step is taken, and one that is overdue must not keep this loop awake.
        with trio.move_on_at(self._due if self._pace.is_open else min(self._due, step_due)):
            await self._urgent.wait()
        self._urgent = trio.Event()

    def begin_query(self) -> bool:
        """Begin a query if one is due; return whether it is."""
        if trio.current_time() < self._due:
            return False
        self._asked = trio.Event()  # not later: a task that asks during this query waits for the next one
        self._queries += 1
        return True

    def end_query(self, *, complete: bool) -> None:
        """End the query that was begun last, and wake the tasks that wait for it, if its answer was `complete`."""
        self._due = trio.current_time() + self._pace.pause
        if complete:
            self._last_answer = self._queries
        self._query_ended.set()
        self._query_ended = trio.Event()
