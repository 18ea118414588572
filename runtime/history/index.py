"""`Index`: what is remembered of all runs of a directory, in a database of SQLite that is in memory.

It is a cache of what journals say, and can always be made again from them: after a `DamagedIndexError` the caller
begins with an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import attrs

from runtime.history.database import Database
from runtime.history.judgements import SLOWER_FACTOR, SLOWER_SECONDS, Entry
from runtime.history.outcomes import FAILING, Outcome, RememberedRun, RunHead, Standing
from runtime.history.rows import (
    NUMBER,
    OUTCOME,
    RUN,
    as_seconds,
    as_text,
    as_whole,
    encoded,
    outcome_of,
    outcome_values,
    run_of,
)

_NO_SUITE: Final = -1


@attrs.frozen
class Span:
    """In which runs a failure bucket was seen."""

    first: RunHead
    last: RunHead
    runs: int
    """How many runs have it."""


class Index:
    """What is remembered of all runs of a directory.

    Every method blocks, and raises `DamagedIndexError` if what it finds is not what this version writes.

    Args:
        content: what `content` of another index has returned; `None` for an empty one.
    """

    def __init__(self, content: bytes | None = None) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        """Suite and name to number, of tests; a suite of -1 and text to number, of texts."""
        self._texts: dict[object, str] = {}
        """Number to text, of those that were asked for."""
        self._known_heads: Mapping[int, RunHead] | None = None
        self._database: Final = Database(content)
        self._rows: Final = self._database.rows

    def close(self) -> None:
        """Free its memory."""
        self._database.close()

    def content(self) -> bytes:
        """Return what an index can be made of again."""
        return self._database.content()

    def journals(self) -> Mapping[str, tuple[str, str]]:
        """Return for each run, by its name, what identifies the journal that it was read from, and its state then."""
        rows = self._rows("select name, journal, state from runs", lambda row: tuple(map(as_text, row)))
        return {name: (journal, state) for name, journal, state in rows}

    def put(self, journal: str, run: RememberedRun) -> None:
        """Remember a run, in place of what was known of it.

        Args:
            journal: identifies its journal, as it was before it was read.
            run: what that says.
        """
        head = run.head
        with self._transaction():
            suite = self._text_number(head.suite)
            self._remove(head.name)
            number = self._database.change(
                "insert into runs (name, journal, began, state, suite, revision, is_clean, partial, note) values"
                " (cast(? as text), ?, ?, ?, ?, cast(? as text), ?, ?, cast(? as text))",
                *(encoded(head.name), journal, head.began, head.state, suite, encoded(head.revision)),
                *(head.is_clean, head.partial, encoded(head.note)),
            )
            self._database.change_many(
                "insert into outcomes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self._values(outcome, number, suite) for outcome in run.outcomes),
            )

    def forget(self, names: Iterable[str]) -> None:
        """Forget runs, and the texts that no other run has."""
        with self._transaction():
            for name in names:
                self._remove(name)
            self._database.change("delete from tests where number not in (select test from outcomes)")
            self._database.change(
                "delete from texts where number not in (select suite from runs union select name from tests"
                " union select suite from tests union select bucket from outcomes where bucket is not null"
                " union select revision from outcomes where revision is not null)"
            )
        self._numbers.clear()
        self._texts.clear()
        self._database.vacuum()

    def runs(self) -> Sequence[RunHead]:
        """Return all runs, the oldest first."""
        return sorted(self._heads().values(), key=lambda run: run.order)

    def run(self, name: str) -> RememberedRun | None:
        """Return what is remembered of a run; `None` if it is not known."""
        numbers = [number for number, head in self._heads().items() if head.name == name]
        if not numbers:
            return None
        tests = dict(self._rows("select number, name from tests", lambda row: (row[0], self._text_of(row[1]))))
        return RememberedRun(
            self._heads()[numbers[0]],
            self._rows(
                f"select {OUTCOME} from outcomes where run = ?",
                lambda row: outcome_of(row, tests[row[1]], self._text_of),
                numbers[0],
            ),
        )

    def standings(self, names: Iterable[str]) -> Mapping[str, Mapping[Standing, int]]:
        """Return how many jobs of each of these runs have which standing."""
        heads = self._heads()
        chosen = frozenset(names)
        numbers = ", ".join(str(number) for number, head in heads.items() if head.name in chosen)
        found: dict[str, dict[Standing, int]] = {}
        for run, standing, count in self._rows(
            f"select run, standing, count(*) from outcomes where run in ({numbers}) group by run, standing",
            lambda row: (heads[row[0]].name, Standing(row[1]), as_whole(row[2])),
        ):
            found.setdefault(run, {})[standing] = count
        return found

    def tests(self, suite: str) -> Sequence[str]:
        """Return the names of all tests of a suite, sorted."""
        query = f"select name from tests where suite = {NUMBER}"
        return sorted(self._rows(query, lambda row: self._text_of(row[0]), encoded(suite)))

    def series(self, suite: str, test: str, since: RunHead | None = None) -> Sequence[Entry]:
        """Return the runs that have a test, the oldest first.

        Args:
            suite: of the test.
            test: its name.
            since: the oldest run that counts; `None` for all.
        """
        heads = self._heads()
        values: tuple[object, ...] = encoded(suite), encoded(test)
        later = ""
        if since is not None:
            later = " and run in (select number from runs where (began, name) >= (?, cast(? as text)))"
            values = *values, since.began, encoded(since.name)
        rows = self._rows(
            f"select {OUTCOME} from outcomes where"
            f" test = (select number from tests where suite = {NUMBER} and name = {NUMBER}){later}",
            lambda row: (heads[row[0]], outcome_of(row, test, self._text_of)),
            *values,
        )
        found: dict[str, tuple[RunHead, list[Outcome]]] = {}
        for head, outcome in rows:
            found.setdefault(head.name, (head, []))[1].append(outcome)
        return [Entry(head, own) for head, own in sorted(found.values(), key=lambda item: item[0].order)]

    def durations(self, runs: Iterable[RunHead]) -> Sequence[tuple[str, float]]:
        """Return, of each of these runs, its tests of which jobs passed there, and their mean run time in seconds."""
        names = {run.name for run in runs}
        numbers = ", ".join(str(number) for number, head in self._heads().items() if head.name in names)
        return self._rows(
            "select (select name from tests where number = test), mean from"
            f" (select test, run, avg(milliseconds) as mean from outcomes where run in ({numbers})"
            f" and standing = {Standing.PASSED.value} and not kept and milliseconds is not null group by test, run)",
            lambda row: (self._text_of(row[0]), as_seconds(row[1])),
        )

    def failing(self, run: RunHead) -> Sequence[str]:
        """Return the tests of which jobs failed in a run."""
        failing = ", ".join(str(standing.value) for standing in sorted(FAILING))
        numbers = ", ".join(str(number) for number, head in self._heads().items() if head.name == run.name)
        return self._rows(
            "select distinct (select name from tests where number = test) from outcomes"
            f" where run in ({numbers}) and standing in ({failing})",
            lambda row: self._text_of(row[0]),
        )

    def first_run(self, suite: str, test: str) -> RunHead | None:
        """Return the oldest run that has a test; `None` if none has."""
        heads = self._heads()
        found = self._rows(
            "select distinct run from outcomes where"
            f" test = (select number from tests where suite = {NUMBER} and name = {NUMBER})",
            lambda row: heads[row[0]],
            *(encoded(suite), encoded(test)),
        )
        return min(found, key=lambda run: run.order, default=None)

    def suspects(self, suite: str, since: RunHead) -> Sequence[str]:
        """Return the tests of which there is more to tell than that they pass as they did.

        All others did not fail and were not flaky from that run on, nor are they slower than their median.
        """
        failing = ", ".join(str(standing.value) for standing in sorted(FAILING))
        return self._rows(
            "select (select name from tests where number = test) from outcomes where run in"
            f" (select number from runs where suite = {NUMBER} and (began, name) >= (?, cast(? as text)))"
            f" group by test having max(standing in ({failing}) or flaky) or"
            f" max(milliseconds) > {SLOWER_FACTOR} * min(milliseconds)"
            f" and max(milliseconds) > min(milliseconds) + {SLOWER_SECONDS * 1000}",
            lambda row: self._text_of(row[0]),
            *(encoded(suite), since.began, encoded(since.name)),
        )

    def span(self, suite: str, bucket: str) -> Span | None:
        """Return in which runs of a suite a failure bucket was seen; `None` if in none."""
        heads = self._heads()
        found = self._rows(
            f"select distinct run from outcomes where bucket = {NUMBER}", lambda row: heads[row[0]], encoded(bucket)
        )
        runs = sorted((run for run in found if run.suite == suite), key=lambda run: run.order)
        return Span(runs[0], runs[-1], len(runs)) if runs else None

    def _heads(self) -> Mapping[int, RunHead]:
        """Return all runs by their numbers."""
        if self._known_heads is None:
            self._known_heads = dict(self._rows(f"select {RUN} from runs", run_of))
        return self._known_heads

    def _text_of(self, number: object) -> str:
        text = self._texts.get(number)
        if text is None:
            rows = self._rows("select text from texts where number = ?", lambda row: as_text(row[0]), number)
            self._texts[number] = text = rows[0]
        return text

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._known_heads = None
        try:
            with self._database.transaction():
                yield
        except BaseException:
            self._numbers.clear()  # numbers of texts that were added are not valid any more
            raise

    def _remove(self, name: str) -> None:
        where = "(select number from runs where name = cast(? as text))"
        self._database.change(f"delete from outcomes where run = {where}", encoded(name))
        self._database.change(f"delete from runs where number = {where}", encoded(name))

    def _values(self, outcome: Outcome, run: int, suite: int) -> tuple[object, ...]:
        test = outcome.test
        number = self._numbers.get((suite, test)) or self._test_number(suite, test)
        bucket = None if outcome.bucket is None else self._text_number(outcome.bucket)
        revision = None if outcome.revision is None else self._text_number(outcome.revision)
        return outcome_values(outcome, number, run, bucket, revision)

    def _test_number(self, suite: int, test: str) -> int:
        values = suite, self._text_number(test)
        self._database.change("insert or ignore into tests (suite, name) values (?, ?)", *values)
        return self._number_of(suite, test, "select number from tests where suite = ? and name = ?", *values)

    def _text_number(self, text: str) -> int:
        if (number := self._numbers.get((_NO_SUITE, text))) is not None:
            return number
        value = encoded(text)
        self._database.change("insert or ignore into texts (text) values (cast(? as text))", value)
        return self._number_of(_NO_SUITE, text, "select number from texts where text = cast(? as text)", value)

    def _number_of(self, suite: int, text: str, query: str, *values: object) -> int:
        (number,) = self._rows(query, lambda row: as_whole(row[0]), *values)
        self._numbers[suite, text] = number
        return number
