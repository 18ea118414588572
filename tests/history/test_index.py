"""The index: what is put into it comes out of it, and what it is loaded from may be anything."""

from __future__ import annotations

import json
import random
import sqlite3
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given

from runtime.history.comparison import compare
from runtime.history.comparison_lines import comparison_sections
from runtime.history.database import DamagedIndexError
from runtime.history.history_lines import overview_sections
from runtime.history.index import Index, Span
from runtime.history.judgements import judge
from runtime.history.outcomes import MAX_ATTEMPT, Outcome, RememberedRun, Standing, remembered
from runtime.history.overview import histories, overview
from runtime.history.tables import comparison_table, histories_table
from runtime.journal import Record, replay
from runtime.report import strict
from runtime.report.screen_fit import fit
from runtime.report.seeds import MAX_SEED
from tests.history import schema
from tests.history.runs import head, outcome, run
from tests.journal.strategies import RECORDS

TEXTS = ["t", "smoke.depth=8", "é 中", "\udce9", "\ud800", "nul\0", "", "'; drop table runs; --", "x" * 300]


def random_run(chance: random.Random, number: int) -> RememberedRun:
    found = {
        (each.test, each.seed): each
        for each in (
            Outcome(
                chance.choice(TEXTS),
                chance.choice([None, 0, 7, MAX_SEED]),
                chance.choice(list(Standing)),
                chance.choice([0, 1, 3, MAX_ATTEMPT]),
                chance.random() < 0.2,
                chance.random() < 0.2,
                chance.choice([None, 0.0, 0.001, 12.345, 1e9]),
                chance.choice([None, *TEXTS]),
                chance.choice([None, *TEXTS]),
                chance.choice([0, 2**56 - 1]),
            )
            for _ in range(20)
        )
    }
    fields = {
        "name": f"{number}{chance.choice(TEXTS)}",
        "suite": chance.choice(TEXTS),
        "state": chance.choice(["ended", "died", "running"]),
        "revision": chance.choice([None, *TEXTS]),
        "is_clean": chance.random() < 0.5,
        "partial": chance.random() < 0.5,
        "note": chance.choice([None, *TEXTS]),
    }
    return RememberedRun(head(chance.randrange(-3, 3), **fields), list(found.values()))


def by_id(found: RememberedRun | None) -> tuple[object, dict[object, Outcome]]:
    assert found is not None
    return found.head, {(each.test, each.seed): each for each in found.outcomes}


@pytest.mark.parametrize("seed", range(5))
def test_what_is_put_in_comes_out_also_after_it_was_saved(seed: int) -> None:
    chance = random.Random(seed)
    runs = [random_run(chance, number) for number in range(8)]
    index = Index()
    for each in runs:
        index.put("journal", each)
    for number in (0, 1):  # in place of what was known
        runs[number] = RememberedRun(runs[number].head, random_run(chance, number).outcomes)
        index.put("another", runs[number])
    for found in (index, Index(index.content())):
        assert found.runs() == sorted((each.head for each in runs), key=lambda each: each.order)
        assert {name: journal for name, (journal, _) in found.journals().items()} == {
            each.head.name: "another" if number < 2 else "journal" for number, each in enumerate(runs)
        }
        for each in runs:
            assert by_id(found.run(each.head.name)) == by_id(each)
        for suite in {each.head.suite for each in runs}:
            of_suite = sorted((each for each in runs if each.head.suite == suite), key=lambda each: each.head.order)
            assert set(found.tests(suite)) >= {each.test for one in of_suite for each in one.outcomes}
            for test in found.tests(suite):
                entries = found.series(suite, test)
                expected = [one.head for one in of_suite if any(each.test == test for each in one.outcomes)]
                assert [entry.run for entry in entries] == expected
                assert sum(len(entry.outcomes) for entry in entries) == sum(
                    each.test == test for one in of_suite for each in one.outcomes
                )


def test_what_is_forgotten_leaves_nothing() -> None:
    chance = random.Random(1)
    runs = [random_run(chance, number) for number in range(4)]
    index, one = Index(), Index()
    one.put("x", runs[0])
    for each in runs:
        index.put("x", each)
    before = len(index.content())
    index.forget([each.head.name for each in runs[1:]])
    assert by_id(index.run(runs[0].head.name)) == by_id(runs[0])
    assert index.run(runs[1].head.name) is None
    assert len(index.content()) == len(one.content()) <= before
    index.put("x", runs[2])  # texts that were forgotten are known again
    assert by_id(index.run(runs[2].head.name)) == by_id(runs[2])


def test_a_bucket_has_its_first_and_its_last_run_of_a_suite() -> None:
    index = Index()
    for number, bucket in enumerate(["x", "y", "x", "y"], 1):
        index.put("j", run(number, [outcome("F", bucket=bucket), outcome("F", "u", bucket=bucket)]))
    index.put("j", run(9, [outcome("F", bucket="x")], suite="other"))
    assert index.span("fifo", "x") == Span(head(1), head(3), 2)
    assert index.span("other", "x") == Span(head(9, suite="other"), head(9, suite="other"), 1)
    assert index.span("fifo", "z") is None


def test_what_is_no_suspect_neither_fails_nor_is_flaky_or_slower() -> None:
    chance = random.Random(2)
    index = Index()
    for number in range(10):
        index.put(
            "j",
            run(
                number,
                [
                    outcome(
                        chance.choice("PPPPPPPPPPPPPPPPPPPFKIN"),
                        f"t{test}",
                        seconds=chance.choice([10.0, 11.0, 14.0, 15.0, 16.0]) * (chance.random() < 0.99 or 3),
                        flaky=chance.random() < 0.01,
                    )
                    for test in range(100)
                ],
            ),
        )
    suspects = set(index.suspects("fifo", head(0)))
    assert 0 < len(suspects) < 100
    remarkable = set()
    for test in index.tests("fifo"):
        judgement = judge(index.series("fifo", test))
        if judgement.failing or judgement.flaky or judgement.slower:
            remarkable.add(test)
    assert remarkable
    assert remarkable <= suspects
    assert index.suspects("fifo", head(10)) == []
    assert index.suspects("other", head(0)) == []


@pytest.mark.parametrize("is_live", [False, True])
@given(written=RECORDS)
def test_whatever_a_journal_says_the_index_takes_it(written: list[Record], is_live: bool) -> None:
    index = Index()
    found = remembered(replay(written, "/out/run"), is_live=is_live)
    index.put("j", found)
    assert by_id(index.run("run")) == by_id(found)
    for told in overview(index):
        assert histories(index, told.id)
    sections = [
        *comparison_sections(compare(found, found, {}), index.span, whole=True),
        *overview_sections(overview(index)),
    ]
    assert all(text.isprintable() for line in fit(sections, None, 80) for text, _ in line)
    table = comparison_table(compare(found, found, {}), index.span)
    schema.check(json.loads(strict.dumps(table)), "comparison")
    table = histories_table(histories(index, "*"), last=None, span_of=index.span)
    schema.check(json.loads(strict.dumps(table)), "history")


# ---------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def content() -> bytes:
    index = Index()
    index.put("j", run(1, [outcome("F", f"t{number}", seconds=1.5, revision="a") for number in range(50)]))
    return index.content()


def is_refused(content: bytes) -> bool:
    try:
        Index(content).close()
    except DamagedIndexError:
        return True
    return False


@pytest.mark.parametrize("seed", range(100))
def test_a_byte_that_has_changed_anywhere_is_noticed(content: bytes, seed: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        damaged[chance.randrange(len(damaged))] ^= chance.randrange(1, 256)
    assert is_refused(bytes(damaged)) or damaged == content


@pytest.mark.parametrize("size", [0, 1, 8, 9, 100, 4096, -1, -9, -4096])
def test_a_part_of_it_is_refused(content: bytes, size: int) -> None:
    assert is_refused(content[:size])


def test_zeros_and_other_files_are_refused(content: bytes) -> None:
    assert is_refused(bytes(len(content)))
    assert is_refused(b"#!/bin/sh\n" * 100)
    assert is_refused(content + content)


def forged(content: bytes, change: Callable[[sqlite3.Connection], object]) -> bytes:
    """The content of an index that somebody has changed who knows the format."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(content[:-9])
    change(connection)
    data = connection.serialize()
    connection.close()
    return b"%b%08x\n" % (data, zlib.crc32(data))


@pytest.mark.parametrize(
    "statement",
    [
        "pragma user_version = 1",
        "pragma user_version = 99",
        "create table more (x)",
        "create trigger t after insert on runs begin delete from runs; end",
        "create view v as select 1",
        "drop index outcomes_of_runs",
        "drop table outcomes",
        "drop table outcomes; create view outcomes as select 1 as test",
        "pragma journal_mode = wal",
    ],
)
def test_another_schema_or_version_is_refused(content: bytes, statement: str) -> None:
    if "wal" in statement:
        wal = bytearray(content[:-9])
        wal[18:20] = b"\2\2"
        assert is_refused(b"%b%08x\n" % (bytes(wal), zlib.crc32(wal)))
    else:
        assert is_refused(forged(content, lambda connection: connection.executescript(statement)))


@pytest.mark.parametrize(
    "statement",
    [
        "update outcomes set standing = 99",
        "update outcomes set standing = -1",
        "update outcomes set standing = 'x'",
        "update outcomes set seed = 1.5",
        "update outcomes set seed = -2",
        "update tests set name = number + 999",
        "update outcomes set attempt = x'00'",
        "update outcomes set milliseconds = 'long'",
        "update outcomes set command = -1",
        "update texts set text = cast(x'ff' as text) where number = (select bucket from outcomes)",
        "update texts set text = 7.5 || x'00ff' where number = (select bucket from outcomes)",
        "update runs set began = 'today'",
        "update runs set state = char(27) || '[2J'",
        "update runs set suite = 999",
        "update runs set is_clean = 'x'",
        "update runs set name = x'00'",
    ],
)
def test_a_value_that_is_none_of_ours_is_noticed_when_it_is_read(content: bytes, statement: str) -> None:
    index = Index(forged(content, lambda connection: connection.execute(statement)))
    with pytest.raises(DamagedIndexError, match=r"SQLite says|a value that is none of ours"):
        index.runs()
        index.run("run1")
        index.series("fifo", "t1")


def test_a_query_without_end_is_ended(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.history import database as module

    monkeypatch.setattr(module, "_MAX_STEPS", 2)
    monkeypatch.setattr(module, "_STEP", 10)
    with pytest.raises(DamagedIndexError, match="interrupted"):
        Index(content).tests("fifo")


def test_an_index_has_no_text_in_common_with_a_statement(content: bytes) -> None:
    index = Index(content)
    index.put("j", run(2, [outcome("F", "'); drop table runs; --", bucket='"; delete from texts')]))
    assert len(index.runs()) == 2
    assert index.series("fifo", "'); drop table runs; --")[0].bucket == '"; delete from texts'
