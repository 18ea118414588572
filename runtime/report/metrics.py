"""OpenMetrics text of a run, for the textfile collector of a node exporter. A function of its journal. Pure.

All are gauges: a file tells of one run, and the next one begins again. The text also is of Prometheus's older format,
which the node exporter reads: there, ``# UNIT`` and ``# EOF`` are comments, and no metric is an info or a state set.

https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from runtime.job.status import PASSED
from runtime.journal.columns import microseconds
from runtime.journal.replay import RunState
from runtime.report.results import run_state, run_table
from runtime.report.run_results import KnownResult, known_results
from runtime.report.text import printable

PREFIX: Final = "job_runtime_"

HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "run_info": "The run that this file is about; always 1.",
        "jobs": "Jobs of the run, each in one of the counts of results.json.",
        "failures": "Jobs that did not pass, by the class and the kind of their failure.",
        "flaky_jobs": "Jobs that passed after a failure of their own.",
        "attempts": "Attempts at jobs that have ended.",
        "run_start_timestamp_seconds": "When the run began, since 1970.",
        "run_end_timestamp_seconds": "When the run ended, since 1970.",
        "run_duration_seconds": "From the beginning of the run to its end.",
        "run_time_seconds": "For how long the last attempts at all jobs ran, together.",
        "queue_time_seconds": "For how long the last attempts at all jobs waited in queues of backends, together.",
        "cpu_time_seconds": "User and system time of the last attempts at all jobs, together, as far as it is known.",
        "peak_memory_bytes": "The largest resident set of any process of a job, as far as it is known.",
    }
)
"""Each metric, without `PREFIX`, and its help. All have the label ``name``, which is that of the regression."""

_UNITS: Final = ("seconds", "bytes")
_MICRO: Final = 10**6


@attrs.define
class _Sums:
    """What is added up over all jobs."""

    failures: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """By class and kind."""
    flaky: int = 0
    attempts: int = 0
    run: int = 0
    """Microseconds, as those that follow."""
    queue: int = 0
    cpu: int = 0
    peak: int = 0
    """Bytes."""

    def add(self, known: KnownResult) -> None:
        """Add a job."""
        result = known.result
        self.attempts += len(known.earlier) + (known.is_recorded and known.attempt > 0)
        if result is None:
            return
        self.flaky += result.is_flaky
        if result.status is not PASSED:
            kind = "none" if result.event.kind is None else result.event.kind.value
            self.failures[str(result.failure_class), kind] += 1
        if known.is_recorded and result.submitted is not None and result.started is not None:
            submitted, started, ended = map(microseconds, (result.submitted, result.started, result.ended))
            self.run += max(0, ended - started)
            self.queue += max(0, started - submitted)
        usage = result.usage
        if usage is not None:
            self.cpu += microseconds(usage.cpu_seconds or 0)
            self.peak = max(self.peak, usage.peak_bytes or 0)


def metrics_lines(state: RunState, *, is_live: bool = False) -> Iterator[str]:
    """Yield OpenMetrics text of a run, one metric at a time.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs it.
    """
    run = run_table(state, is_live=is_live)
    name = str(run["name"] or run["run"])
    sums = _Sums()
    for known in known_results(state, is_live=is_live):
        sums.add(known)
    counts = run["counts"]
    assert isinstance(counts, dict)
    info = {"run": str(run["run"]), "state": run_state(state, is_live=is_live)}
    failures = dict(sorted(sums.failures.items()))
    yield _metric("run_info", {_labels(name, info): 1})
    yield _metric("jobs", {_labels(name, {"counted_as": key}): number for key, number in counts.items()})
    yield _metric(
        "failures", {_labels(name, {"class": cls, "kind": kind}): number for (cls, kind), number in failures.items()}
    )
    label = _labels(name, {})
    yield _metric("flaky_jobs", {label: sums.flaky})
    yield _metric("attempts", {label: sums.attempts})
    first, last = (state.segments[0], state.segments[-1]) if state.segments else (None, None)
    start = None if first is None else microseconds(first.begin.at)
    end = None
    if last is not None and last.end is not None and not is_live:
        end = microseconds(last.begin.epoch) + microseconds(last.end.at)
    yield _metric("run_start_timestamp_seconds", {} if start is None else {label: _seconds(start)})
    yield _metric("run_end_timestamp_seconds", {} if end is None else {label: _seconds(end)})
    took = None if start is None or end is None else end - start
    yield _metric("run_duration_seconds", {} if took is None else {label: _seconds(took)})
    yield _metric("run_time_seconds", {label: _seconds(sums.run)})
    yield _metric("queue_time_seconds", {label: _seconds(sums.queue)})
    yield _metric("cpu_time_seconds", {label: _seconds(sums.cpu)})
    yield _metric("peak_memory_bytes", {label: sums.peak} if sums.peak else {})
    yield "# EOF\n"


def _metric(name: str, samples: Mapping[str, int | str]) -> str:
    """Return the text of a metric.

    Args:
        name: one of `HELP`.
        samples: labels to value; if there are none, it is left out.
    """
    if not samples:
        return ""
    whole = PREFIX + name
    unit = name.rpartition("_")[2]
    head = [f"# TYPE {whole} gauge", *([f"# UNIT {whole} {unit}"] if unit in _UNITS else [])]
    lines = [*head, f"# HELP {whole} {HELP[name]}", *(f"{whole}{labels} {value}" for labels, value in samples.items())]
    return "".join(f"{line}\n" for line in lines)


def _seconds(micros: int) -> str:
    """Return microseconds as seconds. No float: that has an end, and a journal that a job has written may have none."""
    seconds, rest = divmod(abs(micros), _MICRO)
    return f"{'-' if micros < 0 else ''}{seconds}.{rest:06}"


def _labels(name: str, more: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{key}="{_value(value)}"' for key, value in {"name": name, **more}.items()) + "}"


def _value(text: str) -> str:
    """Return the value of a label: control characters and lone surrogates are shown, what ends a value is escaped."""
    return printable(text).replace("\\", r"\\").replace('"', r"\"")
