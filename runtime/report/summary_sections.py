"""The summary of a run, as sections of lines: what changed, what failed, how much passed, and the counts. Pure.

What is looked at first comes first: what is new since the run before; the failures of the design, by message; what they
have in common. Apart, as other people look at them: failures of the infrastructure, known ones, and jobs that never
ran. `screen_fit` makes one screen of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from runtime.job import JobResult
from runtime.job.counting import counted_as
from runtime.job.shorten import shorten, some_of
from runtime.job.status import PASSED
from runtime.report.again import Again
from runtime.report.bucket_rules import NO_RULES, BucketRules
from runtime.report.group_lines import View, brief_line, design_lines, infrastructure_lines
from runtime.report.groups import Group, groups_of
from runtime.report.news import Change, History
from runtime.report.pass_rates import WITH_VERDICT, PassRates, Rate, pass_rates
from runtime.report.reported_job import ReportedJob
from runtime.report.screen_fit import Section
from runtime.report.summary import MAX_MESSAGE, Line, counts_line, failure_line
from runtime.report.text import columns_of, cut, path_text, printable, printable_start, quantity

MAX_NAMES: Final = 6
"""Jobs that are named in a line. Arbitrary: ten times more would wrap over several lines."""
MAX_VALUES: Final = 12
"""Values of a parameter that are shown in a line: the worst. Arbitrary, for the same reason."""

_STYLES: Final = {"newly failing": "bold red", "still failing": "red", "fixed": "green"}
"""Of changes; others are yellow."""


def summary_sections(
    results: Sequence[JobResult[ReportedJob]],
    view: View,
    again: Again,
    *,
    seconds: float | None,
    origins: Mapping[str, str] | None = None,
    rules: BucketRules = NO_RULES,
    history: History | None = None,
    issues: Mapping[str, str] | None = None,
    each_job: bool = False,
) -> list[Section]:
    """Return the sections of the summary of a run; that of the counts comes last.

    Args:
        results: of all jobs.
        view: how it is shown.
        again: makes the commands that run jobs again.
        seconds: how long the run took; `None` if that is not known.
        origins: id to the name of the run that the result is of, if that is another run.
        rules: the named rules of the job file, which put failures in buckets.
        history: what earlier runs tell; `None` if that was not looked at.
        issues: the issues of known failures, by their names.
        each_job: whether each job that did not pass has a line, too.
    """
    bad = [result for result in results if result.status is not PASSED]
    groups = groups_of(bad, rules, frozenset() if history is None else history.new_messages)
    rates = pass_rates((result.id, result.status is PASSED) for result in results if counted_as(result) in WITH_VERDICT)
    sections = [
        *_news(history, view),
        *_groups(
            "Failures of the design",
            groups.design,
            [design_lines(each, view, again) for each in groups.design],
        ),
        *_rates(rates, view),
        *_groups(
            "Failures of the infrastructure",
            groups.infrastructure,
            [infrastructure_lines(each, view) for each in groups.infrastructure],
        ),
        *_groups(
            "Known failures",
            groups.known,
            [[brief_line(each, view, (issues or {}).get(each.message, ""))] for each in groups.known],
        ),
        *_groups("Never ran", groups.never_ran, [[brief_line(each, view)] for each in groups.never_ran]),
        *_flaky(results, view),
        *_left_behind(results, view),
    ]
    if each_job and bad:
        lines = [[(("  ", ""), *failure_line(result, view.relative_to))] for result in bad]
        sections.append(Section((("Each job that did not pass", "bold"),), lines))
    return [*sections, *_kept(results, origins or {}), Section(counts_line(results, seconds))]


def _news(history: History | None, view: View) -> Iterator[Section]:
    if history is None or history.compared_with is None:
        return
    items = [[_change_line(change, view)] for change in history.changes if change.jobs]
    since = f"Since {printable(history.compared_with)}"
    yield Section(((since if items else f"{since}: nothing changed", "bold"),), items)


def _change_line(change: Change, view: View) -> Line:
    head = f"  {len(change.jobs)} {change.title}: "
    names = [printable(job.name) for job in change.jobs[: MAX_NAMES + 1]]
    if len(change.jobs) == 1 and change.jobs[0].note:
        names = [f"{names[0]}, {printable(change.jobs[0].note)}"]
    return (
        (head, _STYLES.get(change.title, "yellow")),
        (cut(some_of(names, MAX_NAMES), view.columns - len(head)), ""),
    )


def _groups(title: str, groups: Sequence[Group], items: Sequence[Sequence[Line]]) -> Iterator[Section]:
    if groups:
        jobs = sum(len(group.members) for group in groups)
        size = quantity(jobs, "job")
        messages = f", {len(groups)} messages" if len(groups) > 1 else ""
        yield Section(((title, "bold"), (f" ({size}{messages})", "")), items, heads_first=True)


def _rates(rates: PassRates, view: View) -> Iterator[Section]:
    if not rates.tests and not rates.values:
        return
    title: Line = (("Pass rates", "bold"),)
    if rates.in_common:
        common = cut(f": all failures have {printable(', '.join(rates.in_common))}", view.columns - len("Pass rates"))
        title = (*title, (common, "bold red"))
    by_value = groupby(rates.values, lambda rate: rate.parameter)
    lines = [_rate_line(list(values), view) for _, values in by_value]
    lines += [_rate_line([rate], view) for rate in rates.tests]
    yield Section(title, [[line] for line in lines])


def _rate_line(values: Sequence[Rate], view: View) -> Line:
    text = some_of([_rate_text(rate) for rate in values[: MAX_VALUES + 1]], MAX_VALUES)
    return ((cut(f"  {text}", view.columns), ""),)


def _rate_text(rate: Rate) -> str:
    return f"{printable(rate.name)} {rate.percent} % of {rate.total}"


def _flaky(results: Iterable[JobResult[ReportedJob]], view: View) -> Iterator[Section]:
    """Yield the jobs that passed after a failure. Those that fail for that are among the failures."""
    found = [result for result in results if result.is_flaky and result.status is PASSED]
    items: list[list[Line]] = []
    for result in found:
        last = result.earlier[-1]
        message = "" if last.reason is None else printable_start(last.reason.message, MAX_MESSAGE)
        head = cut(f"  {printable(result.id)}", view.columns)
        what = f": passed on attempt {result.attempt}; on attempt {last.attempt}: {message}"
        lines: list[Line] = [((head, "bold"), (cut(what, view.columns - columns_of(head)), ""))]
        if last.log_path is not None:
            lines.append((("       log:   ", "dim"), (path_text(last.log_path, view.relative_to), "")))
        items.append(lines)
    if found:
        yield Section((("Flaky: passed after a failure", "bold"), (f" ({len(found)})", "")), items)


def _left_behind(results: Iterable[JobResult[ReportedJob]], view: View) -> Iterator[Section]:
    """Yield the jobs that ended by themselves and left processes running, whose work no verdict covers."""
    found = [(result.id, result.usage.left_behind) for result in results if result.usage and result.usage.left_behind]
    if found:
        lines = [f"  {printable(job_id)}: {printable(', '.join(processes))}" for job_id, processes in found]
        yield Section(
            (("Left processes running, which were killed", "bold"), (f" ({len(found)})", "")),
            [[((cut(shorten(line, MAX_MESSAGE), view.columns), ""),)] for line in lines],
        )


def _kept(results: Iterable[JobResult[ReportedJob]], origins: Mapping[str, str]) -> Iterator[Section]:
    """Yield a line for each other run whose results were kept."""
    by_run: dict[str, list[str]] = {}
    for result in results if origins else ():
        if result.id in origins:
            by_run.setdefault(origins[result.id], []).append(printable(result.id))
    for run, ids in sorted(by_run.items()):
        yield Section(((f"kept of {printable(run)}: ", ""), (some_of(ids, MAX_NAMES), "bold")))
