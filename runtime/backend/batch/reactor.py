"""`Reactor`: what follows from what is known of the elements. Pure: neither trio nor time, and no I/O.

It has one `Element` for each job that may be in the queue, by token, and the table of their arrays. The members of the
backend do the I/O, tell the reactor what came of it, and do what it answers::

    submitter    reactor.submit(...), then accept(...) or withdraw(...)
    poller       query = reactor.begin_query(); query.add_...(...) for each answer; reactor.on_answer(query, now)
    canceller    reactor.take_unrevoked(); reactor.due_stop_steps(now)
    adopter      reactor.find(...), adopt(...), abandon(...)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.backend.batch.array_index import ArrayEntry, ArrayIndex, Observation
from runtime.backend.batch.element import (
    ABSENT,
    ADOPTABLE,
    FINISHED,
    FINISHING,
    PREPARED,
    STRAY,
    SUBMITTED,
    SUBMITTING,
    Element,
    ElementState,
    Stop,
)
from runtime.backend.batch.exit_records import ExitRecord
from runtime.backend.batch.system import Phase, QueueListing, QueueRow, State, Unanswered
from runtime.backend.batch.transitions import Evidence, Moved, Transition, Unexpected, next_transition
from runtime.process.stop_sequence import KILL, SOFT

DOUBT_TIMEOUT: Final = 600.0
"""Seconds for which the queue is asked for an array that was in doubt and is not listed: a controller that was slow may
accept it late. Arbitrary: with a tenth, such an array could run unnoticed; with ten times as many, a name is asked for
in vain."""

ACCOUNT_AFTER: Final = 2.0
"""Seconds that a job must be missing before accounting is asked for it. Arbitrary: with a tenth, each job that ends
costs an sacct; with ten times as many, the reason of an end is known 20 s late."""

GONE: Final = Observation(QueueRow("", "", None, State(Phase.ENDED), ""))
"""The observation of an element that the queue does not have."""


class Query:
    """One query of the queue: the elements that it is about, and what its answers say of them.

    Args:
        watched: the elements that had been accepted when the queue was asked. One that is accepted while the query is
            under way may be missing from the answer.
    """

    def __init__(self, watched: Sequence[Element]) -> None:
        self.watched: Sequence[Element] = watched
        self.answered: bool = False
        """Whether the queue answered."""
        self.complete: bool = False
        """Whether its listing is complete: then an element that it does not have is not in the queue."""
        self.seen: Mapping[str, Observation] = {}
        """What the listing says, by token; also of elements that are not watched."""
        self.rows: dict[str, QueueRow] = {}
        """What the queue, or accounting, says of the watched elements, by token."""
        self.records: Mapping[str, ExitRecord] = {}
        """The exit records that were found, by token."""

    def add_listing(self, answer: QueueListing | Unanswered, arrays: ArrayIndex) -> None:
        """Add the answer of the queue."""
        if not isinstance(answer, Unanswered):
            self.answered = True
            self.complete = not answer.unparsed
            self.seen = arrays.read(answer.rows)
            self.rows = {each.token: self.seen[each.token].row for each in self.watched if each.token in self.seen}

    def may_have_ended(self) -> list[str]:
        """Return the tokens of the elements whose records are to be read."""
        rows = self.rows
        return [
            each.token
            for each in self.watched
            if not self.answered or (row := rows.get(each.token)) is None or row.state.phase <= Phase.ENDING
        ]

    def add_records(self, records: Mapping[str, ExitRecord], unread: set[str]) -> None:
        """Add the records that were found, and the tokens of those that could not be read for lack of descriptors.

        An element whose record cannot be read is not known to be without one, so this query says nothing of it.
        """
        self.records = records
        if unread:
            self.watched = [each for each in self.watched if each.token not in unread]

    def unaccounted(self, now: float) -> list[Element]:
        """Return the elements for which accounting is to be asked: those that have been missing for a while.

        Not what is being stopped: that explains its end, of which accounting may only say that a signal has come.
        """
        return [
            each
            for each in self.watched
            if each.stop is None
            and (since := each.history.missing_since) is not None
            and now - since >= ACCOUNT_AFTER
            and each.token not in self.rows
            and each.token not in self.records
        ]

    def add_accounting(self, asked: Sequence[Element], answer: QueueListing, arrays: ArrayIndex) -> None:
        """Add what accounting says of the elements for which it was asked."""
        told = arrays.read(answer.rows)
        self.rows.update((each.token, told[each.token].row) for each in asked if each.token in told)


@attrs.frozen
class DueSteps:
    """The steps of stops that are due."""

    soft: list[Element]
    """The elements whose soft steps begin."""
    cancels: list[tuple[str, int]]
    """The elements to cancel."""


class Reactor:
    """The elements that may be in the queue.

    Args:
        visibility_timeout: how late a file, or a row of the queue, may appear, in seconds.
    """

    def __init__(self, visibility_timeout: float) -> None:
        self.elements: dict[str, Element] = {}
        """By token. In every state except PREPARED and FINISHED."""
        self.arrays: Final = ArrayIndex()
        self.finished: Final[set[str]] = set()
        """Tokens of jobs whose claim and record must be removed before they can run again."""
        self._visibility_timeout = visibility_timeout
        self._replaced: dict[str, Element] = {}
        """What the elements that are being submitted have replaced."""

    def forget_arrays(self, now: float) -> None:
        """Remove the arrays none of whose elements has to be followed any more, unless they are in doubt."""
        self.arrays.keep({token for token, each in self.elements.items() if each.state is not ABSENT}, now)

    # ------------------------------------------------------------------ submissions

    def submit(self, name: str, elements: Sequence[Element]) -> ArrayEntry:
        """Record that an array is being submitted: what listings have of it from now on is no stray."""
        for index, element in enumerate(elements):
            element.move(SUBMITTING)
            element.name, element.index = name, index
            if element.token in self.elements:
                self._replaced[element.token] = self.elements[element.token]
            self.elements[element.token] = element
        return self.arrays.put(name, [element.token for element in elements])

    def accept(self, entry: ArrayEntry, elements: Iterable[Element], array: str) -> None:
        """Record that an array was accepted, with this id."""
        entry.ids.add(array)
        for element in elements:
            element.move(SUBMITTED)
            element.array = array
            self._replaced.pop(element.token, None)

    def withdraw(self, elements: Iterable[Element]) -> None:
        """Record that an array was not accepted. What the queue may have of the same jobs is as it was before."""
        for element in elements:
            element.move(PREPARED)
            del self.elements[element.token]
            if element.token in self._replaced:
                self.elements[element.token] = self._replaced.pop(element.token)

    # ------------------------------------------------------------------ the queue

    def begin_query(self) -> Query:
        """Return a query that begins now."""
        return Query([each for each in self.elements.values() if each.state is SUBMITTED])

    def on_answer(self, query: Query, now: float) -> list[tuple[Element, Transition]]:
        """Return what has become of the elements of a query. Those that have ended are FINISHING from now on.

        Args:
            query: what was answered.
            now: the time, in seconds.
        """
        found = []
        seen = query.seen
        for each in query.watched:
            if each.state is not SUBMITTED:  # it was given up while we asked
                continue
            # An incomplete listing hides rows: an element that it does not have is where it was.
            each.observation = seen.get(each.token, GONE if query.complete else each.observation)
            row, record = query.rows.get(each.token), query.records.get(each.token)
            evidence = Evidence(now, query.complete, row, record, stopping=each.stop is not None)
            transition = next_transition(each.history, evidence, self._visibility_timeout)
            if transition is not None:
                if not isinstance(transition, Moved | Unexpected):
                    each.move(FINISHING)
                found.append((each, transition))
        self._note_others(query)
        return found

    def _note_others(self, query: Query) -> None:
        """Record what a listing says of elements that nobody waits for."""
        for token, observation in query.seen.items():
            element = self.elements.get(token)
            if element is None:
                if observation.alive:
                    self.elements[token] = Element(token, STRAY, observation=observation, stop=Stop())
            elif element.state is ABSENT:  # an array of the previous incarnation that was accepted late
                element.move(ADOPTABLE)
            elif element.state is STRAY:
                element.observation = observation
        if query.complete:  # only then does a missing row say that the element is gone
            for element in [each for each in self.elements.values() if each.state is STRAY]:
                if (observed := query.seen.get(element.token)) is None or not observed.alive:
                    self.finish(element)

    def abandon(self, element: Element) -> None:
        """Record that nobody waits any more for the end of an element that may be alive."""
        element.move(STRAY)
        element.observation = GONE  # cancelled only when the next listing has it alive, as ids are not unique
        element.stop = Stop()
        self.finished.add(element.token)

    def finish(self, element: Element) -> None:
        """Record that an element has ended, and that its job has completed."""
        element.move(FINISHED)
        if self.elements.get(element.token) is element:
            del self.elements[element.token]
        self.finished.add(element.token)

    # ------------------------------------------------------------------ stops

    def stop(self, element: Element, soft_seconds: float) -> None:
        """Begin to stop an element, with a soft step of so many seconds; 0: without one.

        The first step is due once the element has been taken from `take_unrevoked`.
        """
        element.stop = Stop(soft_seconds)

    def force(self, element: Element) -> None:
        """Skip what is left of the soft step of an element that is being stopped."""
        if element.stop is not None:
            element.stop.force()

    def take_unrevoked(self) -> list[Element]:
        """Return the elements whose jobs are to be revoked, as they are being stopped; record that this is done now."""
        # Not strays: the token of a stray may be that of a job which is about to be submitted.
        found = [
            each
            for each in self.elements.values()
            if each.stop is not None and each.state is SUBMITTED and not each.revoked
        ]
        for each in found:
            each.revoked = True
        return found

    def due_stop_steps(self, now: float) -> DueSteps:
        """Return the steps of stops that are due, and record that they are taken now."""
        soft: list[Element] = []
        cancels: list[tuple[str, int]] = []
        for element, stop in self._stopping():
            step = stop.take(now, element.history.status)
            if step == SOFT:
                soft.append(element)
            elif step == KILL:
                cancels.extend(element.alive())
        return DueSteps(soft, cancels)

    def next_stop_step(self, now: float) -> float:
        """Return when the next soft step ends, in seconds; `math.inf` if none does."""
        return min((stop.next_step(now) for _, stop in self._stopping()), default=math.inf)

    def _stopping(self) -> Iterable[tuple[Element, Stop]]:
        """Yield the elements that are to be stopped and that may be alive."""
        for element in self.elements.values():
            # One that is to be stopped since others were revoked has its turn when it is revoked as well.
            may_stop = element.revoked if element.state is SUBMITTED else element.state is not FINISHING
            if element.stop is not None and may_stop and element.alive():
                yield element, element.stop

    # ------------------------------------------------------------------ a previous incarnation

    def find(self, arrays: Mapping[str, Sequence[str]], present: set[str], begun: set[str], now: float) -> None:
        """Add the elements of a previous incarnation.

        Args:
            arrays: the tokens of each of its arrays, by index.
            present: the tokens of those that are in the queue, or have a record.
            begun: the tokens of those of the others that have claimed their jobs.
            now: the time, in seconds.
        """
        # These began, and left neither a row nor a record: their claims are removed before they are submitted again.
        self.finished.update(begun)
        for name, tokens in arrays.items():
            entry = self.arrays.put(name, tokens)
            for index, token in enumerate(tokens):
                if token in present:
                    self.elements[token] = Element(token, ADOPTABLE, name, index=index)
                elif token not in begun:
                    # It may have been submitted just before the kill, and a slow controller may still accept it.
                    self.elements[token] = Element(token, ABSENT, name, index=index)
                    entry.doubtful_until = now + DOUBT_TIMEOUT

    def adopt(self, element: Element) -> None:
        """Record that a job of this backend waits for an element of a previous incarnation."""
        element.move(SUBMITTED)
        element.array = self.arrays.id_of(element.name)
        element.observation = GONE  # until a listing says more

    def state_of(self, token: str) -> ElementState | None:
        """Return the state of an element; `None` if it is neither in the queue nor being submitted."""
        element = self.elements.get(token)
        return None if element is None else element.state
