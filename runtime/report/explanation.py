"""What is known of one job, for people: why it ran when it did, how it ended, and where things are. Pure.

It is a function of the journal, so it is the same of a run that goes on, has ended, or has died.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from runtime.job import FailureKind, JobCompletionEvent
from runtime.job.shorten import shorten
from runtime.job.sizes import size_text
from runtime.job.status import KILLED, TERMINAL
from runtime.journal.columns import microseconds
from runtime.journal.records import Record
from runtime.journal.replay import RunState
from runtime.journal.requirements import Requirements
from runtime.report.again import Again
from runtime.report.buckets import bucket_of_result, headline_of
from runtime.report.excerpts import excerpt
from runtime.report.known_issues import issues_of
from runtime.report.past_paths import paths_of
from runtime.report.reproduce import reproduce
from runtime.report.results import rules_of_run, time_text
from runtime.report.run_results import KnownResult, known_result
from runtime.report.screen_fit import Section
from runtime.report.summary import MAX_MESSAGE, Line
from runtime.report.text import path_text, printable, quantity, short_duration
from runtime.report.waits import Submission, Wait, submissions, waits

_STYLES: Final = {"passed": "green", "failed": "bold red", "killed": "yellow", "running": "cyan", "waiting": "dim"}
_NEEDS: Final = {
    "passed": "all must pass",
    "any-passed": "one must pass, all must end",
    "ended": "all must end",
}


@attrs.frozen
class ExplainedRun:
    """The run of a job that is explained."""

    state: RunState
    records: Sequence[Record]
    """Those that the state was made of."""
    is_live: bool
    """Whether a process runs it."""
    now: float
    """The wall time, in seconds since 1970."""
    relative_to: Path
    """The directory that paths are shown relative to."""
    has_files: bool = True
    """Whether the files of its jobs are there, and not an export of it alone."""


def explanation(run: ExplainedRun, number: int) -> list[Section]:
    """Return what is known of the job with a number."""
    state = run.state
    known = known_result(state, number, is_live=run.is_live)
    submitted = submissions(run.records, number)
    waited = waits(state, number, submitted, run.now if run.is_live else None)
    return [
        _head(run, number, known),
        *_needs(run, number),
        *_limits(state.requirements(number)),
        *_waits(waited),
        *_attempts(run, number, known, submitted),
        *_log(known),
        _places(run, number, known),
    ]


def _head(run: ExplainedRun, number: int, known: KnownResult) -> Section:
    word = _word(run, number)
    result = known.result
    facts: list[Line] = []
    if result is not None and result.reason is not None and word != "passed":
        facts.append(_fact("reason", headline_of(result.reason)))
        bucket = bucket_of_result(result, rules_of_run(run.state))
        if bucket is not None:
            facts.append(_fact("bucket", bucket.message))
    if result is not None and result.known is not None:
        details = run.state.segments[-1].begin.details if run.state.segments else {}
        issue = issues_of(details).get(result.known)
        facts.append(_fact("known", f"{result.known} ({issue})" if issue else result.known))
    if known.origin is not None:
        facts.append(_fact("result of", f"the run {known.origin}, which was kept"))
    flaky = ", flaky" if result is not None and result.is_flaky else ""
    return Section(
        (
            (_text(run.state.ids[number]), "bold"),
            (": ", ""),
            (word, _STYLES.get(word, "")),
            (f"{flaky}, in {path_text(run.state.run_dir, run.relative_to)}", ""),
        ),
        [[each] for each in facts],
    )


def _needs(run: ExplainedRun, number: int) -> Iterator[Section]:
    needs = run.state.requirements(number)
    if not needs.dependencies:
        return
    rows = [_need(run, each) for each in needs.dependencies]
    rows.sort(key=lambda row: row[0] == "passed")  # what holds it up comes first
    title = f"needs {quantity(len(rows), 'job')}: {_NEEDS[needs.run_if]}"
    yield Section(((title, "bold"),), [[line] for _, line in rows])


def _need(run: ExplainedRun, job_id: str) -> tuple[str, Line]:
    number = run.state.numbers.get(job_id)
    word = "not in this run" if number is None else _word(run, number)
    event = None if number is None else run.state.result(number)
    took = "" if event is None or event.started is None else f" in {short_duration(event.ended - event.started)}"
    return word, ((f"  {word}", _STYLES.get(word, "")), (f"{took}  {_text(job_id)}", ""))


def _limits(needs: Requirements) -> Iterator[Section]:
    facts = [
        f"{name} {text}"
        for name, text in (
            ("timeout", _duration(needs.timeout)),
            ("timeout without a change of its log", _duration(needs.idle_timeout)),
            ("memory", _size(needs.memory)),
            ("log", _size(needs.max_log)),
            ("backend", needs.backend),
        )
        if text is not None
    ]
    facts += [f"{name} {'all of it' if amount is None else amount}" for name, amount in sorted(needs.resources.items())]
    if facts:
        yield Section((("limits and resources", "bold"),), [[((f"  {_text('; '.join(facts))}", ""),)]])


def _waits(waited: Sequence[Wait]) -> Iterator[Section]:
    if not waited:
        return
    total = sum(wait.seconds or 0 for wait in waited)
    items: list[Sequence[Line]] = [
        [((f"  {'?' if wait.seconds is None else short_duration(wait.seconds):>9}  {_text(wait.why)}", ""),)]
        for wait in waited
    ]
    yield Section(((f"waited {short_duration(total)}", "bold"),), items)


def _attempts(run: ExplainedRun, number: int, known: KnownResult, submitted: Sequence[Submission]) -> Iterator[Section]:
    state = run.state
    events = [*known.earlier, *([known.result.event] if known.result is not None and known.is_recorded else [])]
    epoch = state.epoch(number)
    if epoch is None:
        epoch = state.segments[-1].begin.epoch if state.segments else 0
    items: list[Sequence[Line]] = [_attempt(event, epoch) for event in events if event.attempt]
    last = submitted[-1] if submitted else None
    if last is not None and all(event.attempt != last.attempt for event in events):
        since = "it waits in the queue" if last.started is None else f"began {_time(last.started)}"
        where = "" if last.where is None else f", {_text(last.where)}"
        end = "" if run.is_live else ", its end is not known"
        items.append([((f"  {last.attempt}  {since}{where}{end}", ""),)])
    if items:
        on = f" on {_text(last.backend)}" if last is not None else ""
        yield Section(((f"{quantity(len(items), 'attempt')}{on}", "bold"),), items)


def _attempt(event: JobCompletionEvent, epoch: float) -> Sequence[Line]:
    usage = event.usage
    how = [event.status.name.lower()]
    if event.kind is not None and event.kind is not FailureKind.EXIT_CODE:
        how.append(event.kind.value.replace("_", " "))
    if usage is not None and usage.exit_code is not None:
        how.append(f"exit code {usage.exit_code}")
    if usage is not None and usage.signal is not None:
        how.append(f"signal {usage.signal}")
    if event.started is None:
        took = f"ended {_time(epoch + event.ended)}, did not run"
    else:
        took = f"{_time(epoch + event.started)} for {short_duration(event.ended - event.started)}"
    used: list[str] = []
    if usage is not None and usage.cpu_seconds is not None:
        used.append(f"CPU {short_duration(usage.cpu_seconds)}")
    if usage is not None and usage.peak_bytes is not None:
        used.append(f"memory {_size(usage.peak_bytes)}")
    style = _STYLES.get(how[0], "")
    return [((f"  {event.attempt}  ", ""), (_text(", ".join(how)), style), (f": {'; '.join([took, *used])}", ""))]


def _log(known: KnownResult) -> Iterator[Section]:
    """Yield the lines of the log around the one that explains the failure."""
    lines = excerpt(None if known.result is None else known.result.reason)
    if lines:
        items: list[Sequence[Line]] = [
            [
                (
                    (f"  {'' if line.number is None else line.number:>6}  ", "dim"),
                    (shorten(line.text.expandtabs(), MAX_MESSAGE), "bold red" if line.failing else ""),
                )
            ]
            for line in lines
        ]
        yield Section((("from its log", "bold"),), items)


def _places(run: ExplainedRun, number: int, known: KnownResult) -> Section:
    state, job_id = run.state, run.state.ids[number]
    paths = paths_of(state, number)
    removed = " (removed, as it passed)" if known.removed else ""
    facts: list[Line] = []
    if known.attempt:  # else it has none
        facts.append(_fact("log", f"{path_text(paths.log, run.relative_to)}{removed}"))
        facts.append(_fact("directory", f"{path_text(paths.odir, run.relative_to)}{removed}"))
    if run.has_files and state.segments:
        again = Again(Path(state.run_dir), run.relative_to, state.segments[-1].begin.details)
        facts += _command("again", again.rerun(job_id))
        facts += _command("waves", again.with_waves(job_id))
    if known.result is not None:
        # With control characters it is not escaped but left out: copied to a shell, it would do something else.
        by_hand = reproduce(known.result, Path(state.run_dir))
        facts += _command("by hand", by_hand if by_hand.isprintable() else "see results.json")
    return Section((("files and commands", "bold"),), [[fact] for fact in facts])


def _command(name: str, command: str | None) -> list[Line]:
    return [((f"  {name:<10} ", "dim"), (command, ""))] if command else []


def _word(run: ExplainedRun, number: int) -> str:
    """Return the status of a job in a word."""
    status = run.state.statuses[number]
    if status in TERMINAL:
        event = run.state.result(number) if status is KILLED else None
        return "never ran" if event is not None and event.never_ran else status.name.lower()
    is_running = run.state.is_running(number)
    if run.is_live:
        return "running" if is_running else "waiting"
    return "its end is not known" if is_running else "never ran"


def _fact(name: str, value: str) -> Line:
    return ((f"  {name:<10} ", "dim"), (_text(value), ""))


def _text(text: str) -> str:
    return printable(shorten(text, MAX_MESSAGE))


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else short_duration(seconds)


def _size(size: float | None) -> str | None:
    return None if size is None else size_text(int(size))


def _time(at: float) -> str:
    """Return a wall time as text."""
    return time_text(microseconds(at)) or "an unknown time"
