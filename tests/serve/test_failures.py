"""The failures and buckets of a run, record by record, are those of its report."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given

from runtime.job import FailureKind, JobResult, JobSpec
from runtime.journal import Record
from runtime.journal.replay import RunState
from runtime.report.buckets import buckets
from runtime.report.results import rules_of_run
from runtime.report.run_results import known_results
from runtime.serve.failures import FailureTable
from runtime.serve.snapshot import RunView
from tests.calls import calls_of
from tests.report.html.synthetic import night
from tests.report.results import result
from tests.report.states import records

KINDS = (None, FailureKind.EXIT_CODE, FailureKind.DEPENDENCY, FailureKind.TIMEOUT, FailureKind.LICENCE)
RUN = "/out/run"


def table_of(written: Sequence[Record]) -> tuple[RunState, FailureTable]:
    state = RunState(RUN)
    table = FailureTable(state)
    for record in written:
        state.apply(record)
        table.apply(record)
    return state, table


def shown(table: FailureTable, state: RunState) -> list[tuple[str, str | None, int, str]]:
    return sorted(
        (each.key.message, each.key.rule, each.count, state.ids[each.number]) for each in table.largest(10**6)
    )


def reported(state: RunState) -> list[tuple[str, str | None, int, str]]:
    results = [known.result for known in known_results(state, is_live=True) if known.result is not None]
    found = buckets(results, rules_of_run(state))
    return sorted((each.message, each.rule, each.count, each.example.id) for each in found)


def job(name: str, kind: FailureKind | None, message: str) -> JobResult[JobSpec]:
    return result(name, kind, message, run_dir=RUN)


JOBS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(KINDS), st.sampled_from(["exit code 1", "exit code 2", "no", "a b"])),
    unique_by=lambda each: each[0],
    max_size=6,
)


@given(st.lists(JOBS, min_size=1, max_size=3))
def test_buckets_are_those_of_the_report_also_after_a_resume(
    segments: list[list[tuple[int, FailureKind, str]]],
) -> None:
    written: list[Record] = []
    for jobs in segments:
        results = [job(f"job{number}", kind, message) for number, kind, message in jobs]
        written += records(results, RUN, ended=None) if results else []
        state, table = table_of(written)
        assert shown(table, state) == reported(state)
        assert table.bucket_count == len(reported(state))


def test_the_newest_failures_come_first() -> None:
    kind = FailureKind.EXIT_CODE
    jobs = [job("a", kind, "1"), job("b", None, ""), job("c", kind, "1"), job("d", kind, "2")]
    state, table = table_of(records(jobs, RUN))
    assert [state.ids[number] for number in table.newest(2)] == ["d", "c"]


def calls_for(count: int) -> int:
    """How many calls it takes to follow a run with so many jobs."""
    view, records = RunView(RUN), night(count, RUN)

    def follow() -> None:
        for record in records:
            view.apply(record)

    return calls_of(follow)


def test_a_job_more_takes_few_calls() -> None:
    """Of a job that passed no event is made; with its events, it would be a hundred calls."""
    few, many = calls_for(500), calls_for(1500)
    assert many - few < 60 * 1000
