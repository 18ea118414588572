"""A completion in a journal is the event that came."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobCompletionEvent, JobPaths, JobStatus, JobStatusInfo, JobUsage
from runtime.journal.columns import Repeated
from runtime.journal.completions import completion, ended, output
from runtime.journal.records import OutputIdentity, from_text, to_text
from tests.journal.strategies import ANY_TEXT, ENDS, FINITE, LINE, MICROS, WHOLE, tuples

REASONS = st.builds(JobStatusInfo, ANY_TEXT, tuples(LINE), tuples(ANY_TEXT), st.none() | st.sampled_from(FailureKind))
USAGES = st.builds(
    JobUsage,
    st.none() | MICROS,
    st.none() | WHOLE,
    st.none() | WHOLE,
    st.none() | WHOLE,
    st.none() | FINITE,
    st.none() | FINITE,
    tuples(ANY_TEXT),
).filter(lambda usage: usage != JobUsage())
PATH = st.sampled_from(["/run/a", "/run/a/job.log", "/run", "/elsewhere", "out/x"]) | ANY_TEXT
EVENTS = st.builds(
    JobCompletionEvent,
    ANY_TEXT,
    st.integers(0, 3),
    ENDS,
    st.none() | REASONS,
    MICROS,
    st.none() | MICROS,
    MICROS,
    st.none() | USAGES,
    st.none() | st.builds(JobPaths, PATH, PATH, PATH),
)
OUTPUTS = st.none() | st.builds(OutputIdentity, WHOLE, WHOLE, st.none() | WHOLE)

PASSED = JobCompletionEvent(
    "a", 1, JobStatus.PASSED, None, 1, 2, 3, JobUsage(0.5, 10, 0), JobPaths("/run/a", "/run/a/job.log", "/run/a")
)


@given(st.lists(st.tuples(EVENTS, OUTPUTS), min_size=1, max_size=4))
def test_a_completion_is_the_same_when_it_is_read(
    given_: Sequence[tuple[JobCompletionEvent, OutputIdentity | None]],
) -> None:
    events = [event for event, _ in given_]
    outputs = [each for _, each in given_]
    record = ended([*range(len(events))], events, "/run", outputs)
    again = from_text(to_text(record))
    for each in (record, again):
        assert each == record
        assert [completion(each, row, event.job_id, "/run") for row, event in enumerate(events)] == events
        assert [output(each, row) for row in range(len(events))] == outputs


def test_what_most_jobs_have_in_common_is_written_once() -> None:
    text = to_text(ended([0, 1], [PASSED, PASSED], "/run"))
    assert text == (
        '{"type":"ended","jobs":[0,1],"attempts":1,"statuses":"P","submitted":1000000,"ended":3000000,"started":2000000,'
        '"cpu_seconds":500000,"peak_bytes":10,"exit_codes":0,"odirs":"a","logs":"job.log","cwds":"."}'
    )


def test_no_column_is_made_for_what_no_job_has() -> None:
    record = ended([0], [attrs.evolve(PASSED, paths=None)], "/run", [None])
    for column in (record.messages, record.contexts, record.odirs, record.inodes):
        assert isinstance(column, Repeated)


@pytest.mark.parametrize("usage", [None, JobUsage()])
def test_a_usage_of_which_nothing_is_known_is_none(usage: JobUsage | None) -> None:
    record = ended([0], [attrs.evolve(PASSED, usage=usage)], "/run")
    assert completion(record, 0, "a", "/run").usage is None


def test_a_run_that_was_moved_has_its_files_where_it_is() -> None:
    record = ended([0], [PASSED], "/run")
    assert completion(record, 0, "a", "/moved").paths == JobPaths("/moved/a", "/moved/a/job.log", "/moved/a")
