from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from prometheus_client import parser as prometheus
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics

from runtime.job import FailureKind, JobResult, JobSpec, JobUsage
from runtime.journal import Record, Starting, replay
from runtime.report.metrics import HELP, PREFIX, metrics_lines
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import DETAILS, records, state_of

RUN_DIR = "/out/20260102-030405-abcdef"


def families_of(parser: Any, text: str) -> list[Metric]:  # `Any`: the functions of prometheus_client have no types
    return list(parser.text_string_to_metric_families(text))


def text_of(written: Sequence[Record], *, is_live: bool = False) -> str:
    return "".join(metrics_lines(replay(written, RUN_DIR), is_live=is_live))


def metrics(written: Sequence[Record], *, is_live: bool = False) -> dict[str, dict[tuple[str, ...], float]]:
    """Return of each metric the values of its labels, but the name of the regression, and its value.

    Both parsers of prometheus_client read the same: that of OpenMetrics, and that of the older format.
    """
    text = text_of(written, is_live=is_live)
    assert text.endswith("# EOF\n")
    found = [
        {
            family.name: {(sample.name, *sample.labels.items()): sample.value for sample in family.samples}
            for family in families_of(parser, text)
        }
        for parser in (openmetrics, prometheus)
    ]
    assert found[0] == found[1]
    return {
        name.removeprefix(PREFIX): {
            tuple(value for _, value in labels[1:]): number for (_, *labels), number in each.items()
        }
        for name, each in found[0].items()
    }


def test_a_run_is_counted_and_its_times_are_added_up() -> None:
    usage = JobUsage(cpu_seconds=1.5, peak_bytes=1000)
    failed = result("c", FailureKind.TIMEOUT)
    flaky = result("c", attempt=2, usage=attrs.evolve(usage, peak_bytes=3000))
    ends = [
        result("a", usage=usage),
        result("b", FailureKind.EXIT_CODE),
        JobResult(flaky.job, attrs.evolve(flaky.event, earlier=(failed.event,))),
        result("d", FailureKind.LICENCE, attempt=3),
        result("e", FailureKind.DEPENDENCY, attempt=0, cause=FailureKind.EXIT_CODE),
    ]
    found = metrics(records(ends, RUN_DIR, ended=9.5))
    start = found.pop("run_start_timestamp_seconds")[()]
    assert found.pop("run_duration_seconds")[()] == pytest.approx(1_000_000_009.5 - start)
    assert found == {
        "run_info": {("20260102-030405-abcdef", "ended"): 1},
        "jobs": {
            ("passed",): 2,
            ("failed",): 1,
            ("killed",): 0,
            ("infrastructure",): 1,
            ("known",): 0,
            ("never_ran",): 1,
            ("unfinished",): 0,
        },
        "failures": {("design", "dependency"): 1, ("design", "exit_code"): 1, ("infrastructure", "licence"): 1},
        "flaky_jobs": {(): 1},
        "attempts": {(): 5},
        "run_end_timestamp_seconds": {(): 1_000_000_009.5},
        "run_time_seconds": {(): 10},
        "queue_time_seconds": {(): 4},
        "cpu_time_seconds": {(): 3},
        "peak_memory_bytes": {(): 3000},
    }


def test_each_metric_has_a_help_a_unit_if_its_name_has_one_and_the_name_of_the_regression() -> None:
    text = text_of(records([result("a", FailureKind.EXIT_CODE, usage=JobUsage(peak_bytes=1))], RUN_DIR))
    families = {family.name.removeprefix(PREFIX): family for family in families_of(openmetrics, text)}
    assert list(families) == list(HELP)
    for name, family in families.items():
        assert (family.type, family.documentation) == ("gauge", HELP[name])
        assert family.unit == (name.rpartition("_")[2] if name.endswith(("_seconds", "_bytes")) else "")
        assert {sample.labels["name"] for sample in family.samples} == {"fifo"}


def test_of_a_live_run_the_end_is_not_told() -> None:
    written = records([result("a")], RUN_DIR, ended=None, more=[JobSpec(name="b", cmd="x")])
    written.append(Starting(2.0, "local", [1], [1]))
    found = metrics(written, is_live=True)
    assert (found["run_info"], found["jobs"][("unfinished",)]) == ({("20260102-030405-abcdef", "running"): 1}, 1)
    assert not {"run_end_timestamp_seconds", "run_duration_seconds"} & set(found)


def test_a_name_is_escaped() -> None:
    name = 'a"b\\c\nd\x1b{},=\ud800'
    begin, *rest = records([result("a")], RUN_DIR)
    details: Any = {**DETAILS, "name": name}
    text = text_of([attrs.evolve(begin, details=details), *rest])
    (family, *_) = families_of(openmetrics, text)
    assert family.samples[0].labels["name"] == 'a"b\\c\\nd\\x1b{},=\\ud800'
    assert all(
        re.fullmatch(r'(# .*)|(\w+\{name="(\\.|[^"\\])*"[^"]*("[^"]*"[^"]*)*\} \S+)', x) for x in text.splitlines()
    )


@pytest.mark.slow
@given(written=RECORDS)
def test_whatever_is_in_a_journal_the_parsers_read_it(written: list[Record]) -> None:
    for is_live in (False, True):
        found = metrics(written, is_live=is_live)
        assert sum(found["jobs"].values()) == len(state_of(written, RUN_DIR).numbers)
