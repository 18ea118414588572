"""The charts of the page, each with its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from runtime.journal.json_text import JSON
from runtime.report.html.jobs_table import OUTCOMES, JobsTable
from runtime.report.html.moments import MAX_RESOURCES, Moment
from runtime.report.html.plots import Plot
from runtime.report.html.series import Bar, DurationBin, Load, bars, duration_bins, loads
from runtime.report.text import printable, quantity, short_duration

# Each has a contrast of at least 3 to the background of the light and of the dark scheme.
COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "passed": "#2f9e5f",
        "failed": "#dc4a4a",
        "killed": "#bd7d14",
        "infrastructure": "#9d63cf",
        "known": "#2f8fc4",
        "never_ran": "#7d8590",
        "unfinished": "#5d8fd6",
    }
)
"""The colours of `OUTCOMES`, which the charts of what was in use borrow."""

_MINUTE: Final = 60
_HOUR: Final = 3600


@attrs.frozen
class Chart:
    """A chart, and its numbers."""

    name: str
    """What identifies it on the page."""
    title: str
    summary: str
    """What it shows, in a sentence, for who does not see it."""
    columns: Sequence[str]
    rows: Sequence[Sequence[JSON]]
    item: JSON
    """What is drawn."""

    def as_json(self) -> JSON:
        """Return what the script of the page needs."""
        return {"columns": self.columns, "rows": self.rows, "item": self.item}


def charts_of(
    table: JobsTable, runs: Sequence[tuple[str, Mapping[str, int]]], moments: Sequence[Moment] = ()
) -> Sequence[Chart]:
    """Return the charts of a run; one that would be empty is left out.

    Args:
        table: of its jobs.
        runs: the last ones, the oldest first: their names, and how many jobs are counted as what.
        moments: what was in use while the run went on.
    """
    parts, end = loads(table.spans, table.began)
    bins = duration_bins(table.spans)
    found = [_trend(runs)] if len(runs) > 1 else []
    if parts:
        found += [_jobs(parts, end), _slots(*bars(table.spans, table.began), table.ids)]
    if any(part.cores or part.memory for part in parts):
        found.append(_machine(parts, end))
    if any(moment.cpus or moment.memory for moment in moments):
        found.append(_load(moments))
    if names := sorted({name for moment in moments for name, amount in moment.held.items() if amount}):
        found.append(_resources(moments, names[:MAX_RESOURCES], len(names)))
    return [*found, _durations(bins)] if bins else found


def _jobs(parts: Sequence[Load], end: float) -> Chart:
    most = max(part.running for part in parts)
    plot = Plot.over_time(end, max(most, *(part.waiting for part in parts)), "jobs")
    starts = [part.start for part in parts]
    plot.add_steps(starts, [part.running for part in parts], COLOURS["unfinished"], "running")
    plot.add_steps(starts, [part.waiting for part in parts], COLOURS["killed"], "waiting in a backend")
    return Chart(
        "jobs",
        "Jobs running and waiting",
        f"Over {short_duration(end)}, up to {most:.0f} jobs ran at a time.",
        ("from", "running", "waiting"),
        [(short_duration(part.start), part.running, part.waiting) for part in parts],
        plot.as_json(),
    )


def _machine(parts: Sequence[Load], end: float) -> Chart:
    gigabytes = [part.memory / 1e9 for part in parts]
    cores, memory = max(part.cores for part in parts), max(gigabytes)
    plot = Plot.over_time(end, cores, "CPUs")
    plot.add_second_axis(memory, "GB")
    starts = [part.start for part in parts]
    plot.add_steps(starts, [part.cores for part in parts], COLOURS["passed"], "CPUs")
    plot.add_steps(starts, gigabytes, COLOURS["infrastructure"], "memory, GB (right)", is_second=True)
    return Chart(
        "machine",
        "CPU and memory in use",
        f"Up to {cores:.1f} CPUs and {memory:.1f} GB, if each job used its CPU time evenly, and its largest memory all"
        " the time.",
        ("from", "CPUs", "GB"),
        [(short_duration(part.start), part.cores, round(part.memory / 1e9, 3)) for part in parts],
        plot.as_json(),
    )


def _load(moments: Sequence[Moment]) -> Chart:
    gigabytes = [moment.memory / 1e9 for moment in moments]
    cpus, memory = max(moment.cpus for moment in moments), max(gigabytes)
    plot = Plot.over_time(moments[-1].at, cpus, "CPUs")
    plot.add_second_axis(memory, "GB")
    times = [moment.at for moment in moments]
    plot.add_steps(times, [moment.cpus for moment in moments], COLOURS["passed"], "CPUs")
    plot.add_steps(times, gigabytes, COLOURS["infrastructure"], "memory, GB (right)", is_second=True)
    return Chart(
        "load",
        "The machine",
        f"All programs of the machine that ran the run used up to {cpus:.1f} CPUs and {memory:.1f} GB.",
        ("at", "CPUs", "GB"),
        [(short_duration(each.at), round(each.cpus, 2), round(each.memory / 1e9, 3)) for each in moments],
        plot.as_json(),
    )


def _resources(moments: Sequence[Moment], names: Sequence[str], count: int) -> Chart:
    most = max(moment.held.get(name, 0.0) for moment in moments for name in names)
    plot = Plot.over_time(moments[-1].at, most, "held")
    for name, colour in zip(names, COLOURS.values(), strict=False):
        held = [moment.held.get(name, 0.0) for moment in moments]
        plot.add_steps([moment.at for moment in moments], held, colour, printable(name))
    others = f" {count - len(names)} others are not drawn." if count > len(names) else ""
    return Chart(
        "resources",
        "Resources",
        f"What jobs held of {quantity(count, 'resource')}.{others}",
        ("at", *(printable(name) for name in names)),
        [(short_duration(each.at), *(each.held.get(name, 0.0) for name in names)) for each in moments],
        plot.as_json(),
    )


def _slots(longest: Sequence[Bar], others: int, ids: Sequence[str]) -> Chart:
    slots = max(bar.slot for bar in longest) + 1
    plot = Plot.of_slots(max(bar.end for bar in longest), slots)
    colours = [COLOURS[OUTCOMES[bar.outcome]] for bar in longest]
    rows = [bar.slot + 1 for bar in longest]
    plot.add_bars(rows, [bar.start for bar in longest], [bar.end for bar in longest], colours)
    attempts = sum(bar.attempts for bar in longest)
    joined = " Those that follow one another with the same outcome are one bar." if attempts > len(longest) else ""
    more = f" {others:,} others are not drawn." if others else ""
    return Chart(
        "slots",
        "Slots",
        f"{attempts:,} attempts on {slots} slots, which are told by their times.{joined}{more}",
        ("job", "attempts", "slot", "from", "took", "outcome"),
        [_slot_row(bar, ids[bar.job]) for bar in longest],
        plot.as_json(),
    )


def _slot_row(bar: Bar, job_id: str) -> Sequence[JSON]:
    took = short_duration(bar.end - bar.start)
    return (job_id, bar.attempts, bar.slot + 1, short_duration(bar.start), took, _words(OUTCOMES[bar.outcome]))


def _durations(bins: Sequence[DurationBin]) -> Chart:
    names = [f"{_seconds(each.low)}–{_seconds(each.high)}" for each in bins]
    plot = Plot.of_names(names, max(each.passed + each.others for each in bins), "attempts")
    columns = {"passed": [each.passed for each in bins], "did not pass": [each.others for each in bins]}
    plot.add_stacks(names, columns, [COLOURS["passed"], COLOURS["failed"]])
    return Chart(
        "durations",
        "Durations",
        f"How long attempts took, from {_seconds(bins[0].low)} to {_seconds(bins[-1].high)}.",
        ("took", "passed", "did not pass"),
        [(name, each.passed, each.others) for name, each in zip(names, bins, strict=True)],
        plot.as_json(),
    )


def _trend(runs: Sequence[tuple[str, Mapping[str, int]]]) -> Chart:
    names = [printable(name) for name, _ in runs]
    shown = [each for each in COLOURS if any(counts.get(each) for _, counts in runs)]
    columns = {_words(each): [counts.get(each, 0) for _, counts in runs] for each in shown}
    plot = Plot.of_names(names, max(sum(counts.values()) for _, counts in runs), "jobs")
    plot.add_stacks(names, columns, [COLOURS[each] for each in shown])
    return Chart(
        "trend",
        "The last runs",
        f"How the jobs of the last {len(runs)} runs ended.",
        ("run", *columns),
        [(name, *row) for name, *row in zip(names, *columns.values(), strict=True)],
        plot.as_json(),
    )


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _seconds(value: float) -> str:
    """Return seconds with two digits, in the unit in which they are short."""
    if value < _MINUTE:
        return f"{value:.2g} s"
    return f"{value / _MINUTE:.2g} min" if value < _HOUR else f"{value / _HOUR:.2g} h"
