"""The page: what is known of a run as one HTML file, which needs nothing else and sends no request.

Whatever a job can write, such as its id and the lines of its log, reaches the page as text: through Jinja2, which
escapes it, or as JSON, of which the script of the page makes text nodes. A policy in the page allows its two scripts,
by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from importlib import resources
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from runtime.journal.json_text import JSON
from runtime.journal.replay import RunState
from runtime.report.again import Again
from runtime.report.groups import groups_of
from runtime.report.html import plots
from runtime.report.html.cards import MAX_TITLE, sections_of
from runtime.report.html.charts import charts_of
from runtime.report.html.jobs_table import OUTCOMES, JobsTable, json_pieces
from runtime.report.html.log_links import base_of
from runtime.report.html.moments import moments_of
from runtime.report.html.texts import one_line
from runtime.report.news import History
from runtime.report.pass_rates import WITH_VERDICT, pass_rates
from runtime.report.results import rules_of_run, run_table
from runtime.report.text import printable, short_duration

MAX_RATES: Final = 12
"""Pass rates that the first screen shows of tests, and of values of the matrix. Arbitrary: more fill the screen."""
_MAX_CHANGED: Final = 12
"""Jobs that the first screen names of each kind of change. Arbitrary, for the same reason."""
_SCRIPTS: Final = ("jobs.js", "grid.js", "details.js", "page.js")


def page_text(
    state: RunState, *, is_live: bool = False, path: str | None = None, history: History | None = None
) -> Iterator[str]:
    """Yield the text of the page.

    Args:
        state: of the run.
        is_live: whether a process runs it.
        path: of the run directory, relative to the directory that the page is in; `None` for no links to logs.
        history: what earlier runs tell; `None` if that was not looked at.
    """
    table = JobsTable(state, is_live=is_live)
    groups = groups_of(table.bad, rules_of_run(state), frozenset() if history is None else history.new_messages)
    base = None if path is None else base_of(path)
    drawn = charts_of(table, () if history is None else history.runs, moments_of(state))
    rates = pass_rates(
        (job_id, outcome == 0)
        for job_id, outcome in zip(table.ids, table.outcomes, strict=True)
        if OUTCOMES[outcome] in WITH_VERDICT
    )
    numbered = groups.numbered()
    members = {result.id: number for number, group in enumerate(numbered) for result in group.members}
    data = {
        **table.as_json(members, [group.members[0].id for group in numbered]),
        "groups": [one_line(group.message, MAX_TITLE) for group in numbered],
        "sizes": [len(group.members) for group in numbered],
        "base": base,
        "charts": {chart.name: chart.as_json() for chart in drawn},
        "colours": [plots.TEXT_COLOUR, plots.LINE_COLOUR],
    }
    scripts = ("\n".join(map(_text_of, _SCRIPTS)), plots.script())
    yield from _template().generate(
        policy=_policy(scripts),
        style=Markup(_text_of("page.css")),
        scripts=[*map(Markup, scripts)],
        data=map(Markup, json_pieces(data)),
        run=_head(run_table(state, is_live=is_live)),
        counts=_counts(table),
        total=len(table.ids),
        news=_news(history, frozenset(table.ids)),
        sections=sections_of(groups, state.run_dir, base, _again(state)),
        in_common=rates.in_common,
        tests=rates.tests[:MAX_RATES],
        more_tests=len(rates.tests[MAX_RATES:]),
        values=rates.values[: 2 * MAX_RATES],
        charts=drawn,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text_of("page.html.j2"))


def _text_of(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Return the policy: the scripts by their hashes, styles and images in the page, and nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    # Bokeh sets styles; images are those that it has in its own style sheets.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _again(state: RunState) -> Again:
    """Return what makes the commands, for the directory that the run was started in."""
    details = state.segments[-1].begin.details if state.segments else {}
    directory = details.get("directory")
    return Again(Path(state.run_dir), Path(directory if isinstance(directory, str) else "/"), details)


def _head(table: Mapping[str, object]) -> Mapping[str, JSON]:
    """Return what the head of the page says of the run."""
    seconds, command, segments = table["seconds"], table["command"], table["segments"]
    assert isinstance(segments, list)
    return {
        "title": printable(str(table["name"] or table["run"])),
        "name": printable(str(table["run"])),
        "state": str(table["state"]),
        "started": _time_text(table["started"]),
        "took": short_duration(seconds) if isinstance(seconds, float) else None,
        "stopped_by": None if table["stopped_by"] is None else printable(str(table["stopped_by"])),
        "command": one_line(" ".join(command), 300) if isinstance(command, list | tuple) else None,
        "host": printable(str(segments[0]["host"])) if segments else None,
        "segments": len(segments),
    }


def _time_text(time: object) -> str:
    """Return a time of ``results.json`` for people."""
    return f"{time[:19].replace('T', ' ')} UTC" if isinstance(time, str) else "at an unknown time"


def _counts(table: JobsTable) -> Sequence[tuple[str, str, int]]:
    """Return outcome, words and number of the jobs of each outcome that there is."""
    counts = [table.outcomes.count(outcome) for outcome in range(len(OUTCOMES))]
    return [(name, name.replace("_", " "), count) for name, count in zip(OUTCOMES, counts, strict=True) if count]


def _news(history: History | None, ids: Set[str]) -> Mapping[str, object] | None:
    """Return what is shown of the history. A name that is no id, such as that of a test, is searched for."""
    if history is None or history.compared_with is None:
        return None
    changes = []
    for change in history.changes:
        shown = [(printable(job.name), job.note) for job in change.jobs[:_MAX_CHANGED]]
        links = [(name, "job" if name in ids else "filter", note) for name, note in shown]
        changes.append({"title": change.title, "links": links, "count": len(change.jobs)})
    return {
        "compared_with": printable(history.compared_with),
        "revisions": history.revisions,
        "changes": changes,
    }
