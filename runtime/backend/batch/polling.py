"""`PollingSide`: one query for all jobs, tick by tick, and what its answer means for each."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final

import trio

from runtime.backend.batch.element import GONE, Element
from runtime.backend.batch.ending import EndingSide
from runtime.backend.batch.records import Record
from runtime.backend.batch.system import (
    Phase,
    Row,
    Unanswered,
)
from runtime.backend.batch.transitions import Ended, Evidence, Missing, Moved, Transition, Unexpected, next_transition
from runtime.backend.batch.wrapper import UNSEEN
from runtime.backend.contract.live import Stage
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind
from runtime.verdict import too_large

logger: Final = logging.getLogger("runtime.backend.batch")

ACCOUNT_AFTER: Final = 2.0
"""Seconds that a job must be missing before accounting is asked for it, and between two such queries. Arbitrary: with a
tenth, each job that ends costs an sacct; with ten times as many, the reason of an end is known 20 s late."""


class PollingSide(EndingSide):
    """Queries the queue, and reports what has become of each job."""

    async def _wait_due(self) -> None:
        """Wait until the next query or the next cancel is due."""
        self._array_index.keep({*self._elements, *self._unattended()}, trio.current_time())
        # Without jobs there is nothing to ask; but an open circuit is closed by an answer only, so that is asked for.
        if not len(self._array_index) and not self._pace.is_open:
            self._due = -math.inf
            self._poll_requested = trio.Event()
            await self._poll_requested.wait()
        with trio.move_on_at(min(self._due, self._next_cancel())):
            await self._urgent.wait()

    def _next_cancel(self) -> float:
        """Return the time at which the next soft step ends, in seconds."""
        softly = (
            element.soft_until
            for element in self._elements.values()
            if element.killed and element.soft_until is not None and element.cancelled_at is None
        )
        return min(softly, default=math.inf)

    async def _ask_queue(self) -> None:
        """Query the queue once, for all jobs; report what has become of each."""
        # Chosen before the query: a job that is accepted while that is under way may be missing from the answer.
        watched = [each for each in self._elements.values() if each.job.stage >= Stage.LAUNCHED and not each.concluding]
        self._queries += 1
        asked, began = self._queries, trio.current_time()
        answer = await self._system.query(self._array_index.names())
        answered = not isinstance(answer, Unanswered)
        seen = {} if isinstance(answer, Unanswered) else self._array_index.read(answer.rows)
        complete = not isinstance(answer, Unanswered) and not answer.unparsed
        # An incomplete listing hides rows: what it does not have is where it was.
        for each in watched:
            each.observation = seen.get(each.token, GONE) if complete else seen.get(each.token, each.observation)
        rows = {each.token: seen[each.token].row for each in watched if each.token in seen}
        records, unread = await self._read_records(watched, rows, answered=answered)
        # A job whose record cannot be read for lack of descriptors is not known to be without one: it waits.
        watched = [each for each in watched if each.token not in unread]
        if answered:
            await self._ask_accounting(watched, rows, records)
        now = trio.current_time()
        changed = False
        for each in watched:
            if each.job.stage is Stage.DONE:  # completed by a deadline while we asked, and perhaps alive
                self._make_stray(each)
            elif not each.concluding:
                row, record = rows.get(each.token), records.get(each.token)
                evidence = Evidence(now, complete, row, record, stopping=each.job.stop is not None)
                transition = next_transition(each.history, evidence, self._visibility_timeout)
                changed = changed or transition is not None
                self._apply(each, transition, row)
        self._limit_logs(watched)
        if isinstance(answer, Unanswered):
            self._pace.failed()
            logger.warning("backend %r: %s does not answer: %s", self.control.name, self._system.name, answer.why)
        else:
            # An array of the previous incarnation that was accepted late.
            for token in seen.keys() & self._absent.keys():
                self._adoptable[token] = self._absent.pop(token)
            self._stray_observations = {
                token: observation
                for token, observation in seen.items()
                if observation.alive and token not in self._elements and token not in self._adoptable
            }
            self._pace.answered(now - began, changed=changed)
            if complete:  # only then does a missing row say that the job is gone
                self._unresolved &= self._stray_observations.keys()
                self._last_answer = asked
                self._answer_arrived.set()
                self._answer_arrived = trio.Event()
            else:
                lines = answer.unparsed
                logger.warning(
                    "backend %r: %d lines of %s cannot be parsed", self.control.name, lines, self._system.name
                )
        self._due = now + self._pace.pause

    def _limit_logs(self, watched: Sequence[Element]) -> None:
        """Start a task that stops the jobs whose logs are larger than their limit, unless one runs."""
        limited = [each for each in watched if each.job.spec.max_log is not None and each.job.stop is None]
        if limited and not self._limiting:
            self._limiting = True
            self.control.start_task(self._stop_too_large, limited)

    @trio.lowlevel.enable_ki_protection
    async def _stop_too_large(self, limited: Sequence[Element]) -> None:
        try:
            found = await self._in_thread(lambda: [too_large(each.job.spec, each.paths.log) for each in limited])
        finally:
            self._limiting = False
        for each, message in zip(limited, found, strict=True):
            if message is not None and not each.concluding:
                self.control.stop([each.job], FailureKind.LOG_LIMIT, message)

    async def _read_records(
        self, watched: Sequence[Element], rows: dict[str, Row], *, answered: bool
    ) -> tuple[dict[str, Record], set[str]]:
        """Return the records of jobs that may have ended, and the tokens whose records cannot be read now."""
        tokens = [
            each.token
            for each in watched
            if not answered or (row := rows.get(each.token)) is None or row.state.phase <= Phase.ENDING
        ]
        if not tokens:
            return {}, set()
        records, unread = await self._in_thread(self._store.read_records, tokens)
        self._shared = self._shared or bool(records)
        if unread:
            logger.warning(
                "backend %r: no descriptor to read %d exit records; will retry", self.control.name, len(unread)
            )
        return records, unread

    async def _ask_accounting(
        self, watched: Sequence[Element], rows: dict[str, Row], records: dict[str, Record]
    ) -> None:
        """Add to `rows` what accounting, where there is one, says of jobs that have been missing for a while."""
        now = trio.current_time()
        if not self.system_limits.accounting or now - self._accounting_asked_at < ACCOUNT_AFTER:
            return
        missing = {
            each.token: each
            for each in watched
            if each.token not in rows
            and each.token not in records
            and each.history.missing_since is not None
            and now - each.history.missing_since >= ACCOUNT_AFTER
        }
        if not missing:
            return
        self._accounting_asked_at = now
        answer = await self._system.account({each.array for each in missing.values()})
        if isinstance(answer, Unanswered):
            logger.info("backend %r: accounting does not answer: %s", self.control.name, answer.why)
            return
        for token, observation in self._array_index.read(answer.rows).items():
            if token in missing:
                rows[token] = observation.row

    def _apply(self, element: Element, transition: Transition, row: Row | None) -> None:
        """Report what has become of a job; if it has ended, start what follows."""
        job = element.job
        if isinstance(transition, Moved):
            self.control.progress(job, transition.status, transition.note)
        elif isinstance(transition, Unexpected):
            logger.warning(
                "backend %r: job %r (%s) %s", self.control.name, job.id, self._label(element, None), transition.why
            )
            self.control.progress(job, job.status, transition.why)
        elif isinstance(transition, Ended):
            element.concluding = True
            self.control.start_task(self._conclude, element, transition)
        elif isinstance(transition, Missing):
            element.concluding = True
            self.control.start_task(self._conclude_missing, element)
        elif row is not None and row.code == UNSEEN:
            element.concluding = True
            self.control.start_task(self._conclude_unseen, element, row)

    async def _conclude_missing(self, element: Element) -> None:
        await self._fail_unrecorded(element, f"{self._label(element, None)} is no longer in the queue")
        self._forget(element)

    async def _conclude_unseen(self, element: Element, row: Row) -> None:
        """Complete a job whose node does not see its files; break the backend if no node ever saw any.

        If a job has removed the files, that is the reason, and the run directory may well be shared.
        """
        where = self._label(element, row)
        removed = not await self._has_files(element) and await self._in_thread(self._store.is_in_place)
        message = f"{where} found that its node does not see, or may not write to, the run directory {self.run_dir}"
        if not removed and not self._shared:
            advice = "Choose one that this machine and all nodes have at the same path"
            self.control.break_backend(BackendBrokenError(f"backend {self.control.name!r}: {message}. {advice}"))
        if element.job.stop is not None:
            self.control.finish_stopped(element.job)  # it never ran
        elif removed:
            self.control.fail(element.job, FailureKind.LAUNCH_ERROR, f"{where} cannot run: {self._removed()}")
        else:
            self.control.fail(element.job, FailureKind.NODE_FAILURE, message)
        self._forget(element)
