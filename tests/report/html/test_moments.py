"""What was in use is drawn of a few samples, whatever they say."""

from __future__ import annotations

from pathlib import Path

import attrs

from runtime.journal import Begin, Record, Sampled
from runtime.report.html.charts import charts_of
from runtime.report.html.jobs_table import JobsTable
from runtime.report.html.moments import MAX_RESOURCES, Moment, moments_of
from runtime.report.html.series import MAX_POINTS
from tests.report.results import result
from tests.report.states import records, state_of

RUN_DIR = Path("/out/run")


def written(*samples: Sampled) -> list[Record]:
    begin, *rest = records([result("a")], RUN_DIR)
    return [begin, *samples, *rest]


def test_moments_count_from_the_beginning_of_the_run() -> None:
    state = state_of(written(Sampled(3.0, 1.5, 2_000, {"licence": [2, 4]}), Sampled(5.0)), RUN_DIR)
    begin = state.segments[0].begin
    state.segments[0].begin = attrs.evolve(begin, at=begin.epoch + 1)
    assert moments_of(state) == [Moment(2.0, 1.5, 2000.0, {"licence": 2.0}), Moment(4.0, 0.0, 0.0, {})]


def test_of_many_samples_some_are_drawn() -> None:
    state = state_of(written(*(Sampled(float(number)) for number in range(10 * MAX_POINTS + 1))), RUN_DIR)
    assert MAX_POINTS // 2 < len(moments_of(state)) <= MAX_POINTS


def test_there_is_a_chart_of_the_machine_and_one_of_resources() -> None:
    held = {f"{number}\x1b": [number, None] for number in range(MAX_RESOURCES + 2)}
    state = state_of(written(Sampled(3.0, 1.5, 2_000_000_000, held), Sampled(1e300, 1e300, 10**400)), RUN_DIR)
    assert isinstance(state.segments[0].begin, Begin)
    table = JobsTable(state, is_live=False)
    charts = {chart.name: chart for chart in charts_of(table, (), moments_of(state))}
    assert charts["load"].rows[0][1:] == (1.5, 2.0)
    assert charts["resources"].columns[:3] == ("at", "1\\x1b", "2\\x1b")
    assert charts["resources"].summary == "What jobs held of 8 resources. 1 others are not drawn."
    assert not {"load", "resources"} & {chart.name for chart in charts_of(table, ())}
