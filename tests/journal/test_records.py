"""Every record is the same when it is read, and what is no record is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import JournalVersionError
from runtime.job import FailureKind, JobStatus
from runtime.journal.records import (
    VERSION,
    Begin,
    End,
    Ended,
    Jobs,
    Kept,
    Progress,
    Record,
    Requested,
    Starting,
    from_text,
    to_text,
)
from tests.journal.strategies import JSON, RECORD

PASSED, FAILED = JobStatus.PASSED, JobStatus.FAILED
BEGIN = Begin(token="t", incarnation=0, at=1.5, epoch=0.5, host="h", boot="b", pid=1, start=2, details={"a": [1]})


@given(RECORD)
def test_a_record_is_the_same_when_it_is_read(record: Record) -> None:
    text = to_text(record)
    assert text.isascii()
    assert from_text(text) == record


WRITTEN: list[tuple[Record, str]] = [
    (
        BEGIN,
        (
            '{"type":"begin","version":1,"token":"t","incarnation":0,"at":1500000,"epoch":500000,"host":"h","boot":"b",'
            '"pid":1,"start":2,"details":{"a":[1]}}'
        ),
    ),
    (Jobs(["a", "b"], ["", ""]), '{"type":"jobs","ids":["a","b"],"digests":""}'),
    (
        Starting(0.000001, "local", [0, 1], [1, 1]),
        '{"type":"starting","at":1,"backend":"local","jobs":[0,1],"attempts":1}',
    ),
    (
        Progress([3], [1], [JobStatus.RUNNING], [1.0], ["node7"]),
        '{"type":"progress","jobs":[3],"attempts":1,"statuses":"R","at":1000000,"notes":"node7"}',
    ),
    (
        Ended(
            [0, 1], [1, 1], [PASSED, FAILED], [1.0, 1.0], [2.0, 3.0], messages=[None, "x"], lines=[None, (1, (2, 3))]
        ),
        (
            '{"type":"ended","jobs":[0,1],"attempts":1,"statuses":["P","F"],"submitted":1000000,"ended":[2000000,3000000],'
            '"messages":[null,"x"],"lines":[null,[1,[2,3]]]}'
        ),
    ),
    (Kept([0, 2]), '{"type":"kept","jobs":[0,2]}'),
    (Kept([0], "nightly"), '{"type":"kept","jobs":[0],"of":"nightly"}'),
    (
        Requested(at=2.0, by="ctl of root", action="kill", jobs=[3, 4], force=True),
        '{"type":"requested","at":2000000,"by":"ctl of root","action":"kill","jobs":[3,4],"force":true}',
    ),
    (
        Requested(at=2.0, by="ctl of root", action="limit", resource="licence", limit=2),
        (
            '{"type":"requested","at":2000000,"by":"ctl of root","action":"limit","jobs":[],"resource":"licence",'
            '"limit":2}'
        ),
    ),
    (End(2.0, "SIGINT"), '{"type":"end","at":2000000,"stopped_by":"SIGINT"}'),
]


@pytest.mark.parametrize(("record", "text"), WRITTEN)
def test_the_format(record: Record, text: str) -> None:
    # Another text for the same record is another format: increase `VERSION` if an older reader cannot read it.
    assert to_text(record) == text
    assert from_text(text) == record


def test_what_a_later_version_adds_is_skipped() -> None:
    assert from_text('{"type":"weather","jobs":[1]}') is None
    assert from_text('{"type":"kept","jobs":[1],"because":{}}') == Kept([1])
    text = to_text(BEGIN).replace('"pid"', '"later":[],"pid"')
    assert from_text(text) == BEGIN
    ended = Ended([0], [1], [FAILED], [0], [0], messages=["m"], kinds=[FailureKind.LOST])
    known = from_text(to_text(ended).replace("lost", "sunspots"))
    assert known == Ended([0], [1], [FAILED], [0], [0], messages=["m"])


def test_a_newer_version_is_one_clear_error() -> None:
    with pytest.raises(JournalVersionError, match=r"a journal of version 2; expected at most 1\. A newer version"):
        from_text('{"type":"begin","version":2,"of":"anything"}')
    assert VERSION == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "Expecting value"),
        ("3", "it has no type"),
        ("{}", "it has no type"),
        ('{"type":3}', "it has no type"),
        ('{"type":"kept"}', "kept has no jobs"),
        ('{"type":"kept","jobs":1}', "kept has no jobs"),
        ('{"type":"kept","jobs":["a"]}', "jobs of kept has a value of the class str; expected int"),
        ('{"type":"jobs","ids":["a","b"]}', "jobs has no digests"),
        ('{"type":"jobs","ids":["a","b"],"digests":["x"]}', "digests of jobs has 1 values; expected 2"),
        ('{"type":"end","at":1e400}', "at of end has a value of the class float; expected int"),
        (f'{{"type":"end","at":{10**400}}}', "at of end has int"),
        ('{"type":"begin","version":"x"}', "version of begin has a value of the class str; expected int"),
        ('{"type":"begin","version":1}', "begin has no token"),
    ],
)
def test_what_is_no_record_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_text(text)


@given(st.sampled_from([text for _, text in WRITTEN]), st.data())
def test_no_record_is_anything_but_a_record_or_a_value_error(text: str, data: st.DataObject) -> None:
    table = json.loads(text)
    name = data.draw(st.sampled_from(sorted(table)))
    table[name] = data.draw(JSON | st.lists(JSON, min_size=2, max_size=2))
    try:
        record = from_text(json.dumps(table))
    except (ValueError, JournalVersionError):
        return
    assert record is None or from_text(to_text(record)) == record


def test_columns_of_different_lengths_are_refused_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="digests has 1 values; expected 2, as ids has"):
        Jobs(["a", "b"], ["x"])
    with pytest.raises(ValueError, match="notes has 0 values; expected 1, as jobs has"):
        Progress([1], [1], [JobStatus.RUNNING], [0], [])


def test_a_value_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError):
        to_text(Kept([0], b"bytes"))  # type: ignore[arg-type]  # mypy finds it, too
