"""The summary of a run in GitHub's Markdown, for the page of a job of GitHub Actions. A function of its journal. Pure.

Nothing that a job, or its name, says is markup: it stands in spans and blocks of code.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from runtime.job import JobResult
from runtime.job.counting import counted_as
from runtime.job.status import PASSED
from runtime.journal.descriptions import JobDescription
from runtime.journal.replay import RunState
from runtime.report.buckets import headline_of
from runtime.report.counts import count_pieces
from runtime.report.groups import Group, groups_of
from runtime.report.markdown import block, span
from runtime.report.pass_rates import WITH_VERDICT, PassRates, pass_rates
from runtime.report.reproduce import reproduce
from runtime.report.results import rules_of_run, run_table
from runtime.report.run_results import UNFINISHED, known_results
from runtime.report.text import path_text, printable_line, short_duration

MAX_SIZE: Final = 1 << 20
"""Bytes of a summary: GitHub shows none of one that is larger."""

MAX_BUCKETS: Final = 50
"""Groups of failures in each section. Arbitrary: ten times more, and nobody scrolls to the flaky jobs; a tenth would
hide failures of a usual night."""
MAX_FLAKY: Final = 100
"""Flaky jobs that are listed. Arbitrary, for the same reasons; they take a line each."""

MAX_RATES: Final = 12
"""Pass rates that are listed of tests, and of values of the matrix. Arbitrary, for the same reasons."""

_CUT: Final = "\n*The rest is left out, as GitHub shows 1 MiB at most; `job-runtime report` has it.*\n"


def step_summary_lines(state: RunState, *, is_live: bool = False, most: int = MAX_SIZE) -> Iterator[str]:
    """Yield the summary, one paragraph at a time.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs it.
        most: its size in bytes, as UTF-8.
    """
    left = most - len(_CUT)
    for piece in _pieces(state, is_live=is_live):
        left -= len(piece.encode())
        if left < 0:
            if most >= len(_CUT):
                yield _CUT
            return
        yield piece


def _pieces(state: RunState, *, is_live: bool) -> Iterator[str]:
    """Yield the paragraphs. Each ends whatever it begins."""
    yield from _head(state, is_live=is_live)
    run_dir = Path(state.run_dir)
    bad, flaky, verdicts = [], [], []
    for known in known_results(state, is_live=is_live):
        result = known.result
        if result is None:
            continue
        if counted_as(result) in WITH_VERDICT:
            verdicts.append((result.id, result.status is PASSED))
        if result.status is not PASSED:
            bad.append(result)
        elif result.is_flaky:
            flaky.append(result)
    groups = groups_of(bad, rules_of_run(state))
    yield from _section("Failures", groups.design, run_dir)
    yield from _pass_rates(pass_rates(verdicts))
    yield from _section("Failures of the infrastructure", groups.infrastructure, run_dir)
    yield from _section("Known failures", groups.known, run_dir)
    yield from _never_ran(groups.never_ran)
    yield from _flaky(flaky)


def _head(state: RunState, *, is_live: bool) -> Iterator[str]:
    run = run_table(state, is_live=is_live)
    counts = run["counts"]
    assert isinstance(counts, dict)
    total = sum(counts.values())
    bad = total - counts["passed"] - counts[UNFINISHED]
    what = ""
    if bad:
        what = f"{bad} of {total} jobs did not pass"
    elif total and not counts[UNFINISHED]:  # of a run that died at once no job is known
        what = "all jobs passed"
    yield f"## {span(str(run['name'] or run['run']))}{f': {what}' if what else ''}\n\n"
    pieces = [text for text, _ in count_pieces(counts)]
    if counts[UNFINISHED]:
        pieces.append(f"{counts[UNFINISHED]} not ended")
    seconds = run["seconds"]
    took = f", in {short_duration(seconds)}" if isinstance(seconds, float) and seconds >= 0 else ""
    state_text = {"running": "is running", "died": "died", "ended": "has ended"}[str(run["state"])]
    yield f"{', '.join(pieces)}{took}. The run {span(str(run['run']))} {state_text}.\n"


def _section(title: str, found: Sequence[Group], run_dir: Path) -> Iterator[str]:
    if found:
        yield f"\n### {title}\n"
    for group in found[:MAX_BUCKETS]:
        example = group.members[0]
        log = "" if example.log_path is None else f", log {span(path_text(example.log_path, run_dir))}"
        lines = () if example.reason is None else example.reason.context or ()
        again = reproduce(example, run_dir).split("\n")
        # With a character escaped it would be another command.
        is_whole = any(again) and all(printable_line(line) == line for line in again)
        yield "".join(
            [
                f"\n**{len(group.members)} ×** {span(group.message)}\\\nsuch as {span(example.id)}{log}\n",
                block("text", lines) if lines else "",
                block("sh", again) if is_whole else "",
            ]
        )
    if len(found) > MAX_BUCKETS:
        yield f"\n… and {len(found) - MAX_BUCKETS} more messages\n"


def _pass_rates(rates: PassRates) -> Iterator[str]:
    if rates.tests:
        yield "\n### Pass rates\n\n"
    if rates.in_common:
        yield f"All failures have {', '.join(map(span, rates.in_common))}.\n\n"
    for rate in (*rates.values[:MAX_RATES], *rates.tests[:MAX_RATES]):
        yield f"- {span(rate.name)}: {rate.passed} of {rate.total} passed\n"
    if len(rates.tests) > MAX_RATES:
        yield f"\n… and {len(rates.tests) - MAX_RATES} more tests\n"


def _never_ran(found: Sequence[Group]) -> Iterator[str]:
    if found:
        yield "\n### Never ran\n\n"
    for group in found[:MAX_BUCKETS]:
        yield f"- **{len(group.members)} ×** {span(group.message)}, such as {span(group.members[0].id)}\n"
    if len(found) > MAX_BUCKETS:
        yield f"\n… and {len(found) - MAX_BUCKETS} more reasons\n"


def _flaky(found: Sequence[JobResult[JobDescription]]) -> Iterator[str]:
    if found:
        yield "\n### Flaky: passed after a failure\n\n"
    for result in found[:MAX_FLAKY]:
        last = result.earlier[-1]
        message = "" if last.reason is None else f": {span(headline_of(last.reason))}"
        yield f"- {span(result.id)}, on attempt {result.attempt}; attempt {last.attempt}{message}\n"
    if len(found) > MAX_FLAKY:
        yield f"\n… and {len(found) - MAX_FLAKY} more\n"
