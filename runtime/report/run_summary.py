"""What a run came to, as one object, for the command of ``--on-end``: see ``run_summary.schema.json``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.journal.replay import RunState
from runtime.report.results import RESULTS_NAME, run_table
from runtime.report.run_results import known_results

VERSION: Final = 1
"""The version of the format. It is increased when a key is removed or changes its meaning, not when one is added."""

_OF_RUN: Final = (
    *("run", "name", "state", "run_dir", "directory", "seed_base"),
    *("started", "ended", "seconds", "stopped_by", "counts"),
)
"""The keys that are as in ``results.json``."""


def run_summary(state: RunState, exit_code: int) -> dict[str, object]:
    """Return the summary of a run that has ended.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        exit_code: that its process will have.
    """
    run = run_table(state, is_live=False)
    flaky = sum(known.result is not None and known.result.is_flaky for known in known_results(state, is_live=False))
    counts = run["counts"]
    assert isinstance(counts, Mapping)
    return {
        "version": VERSION,
        "exit_code": exit_code,
        **{key: run[key] for key in _OF_RUN},
        "jobs": sum(counts.values()),
        "flaky": flaky,
        "results": str(Path(state.run_dir) / RESULTS_NAME),
    }


def summary_variables(summary: Mapping[str, object]) -> dict[str, str]:
    """Return what is most asked for as environment variables: text and whole numbers, and each count."""
    counts = summary["counts"]
    assert isinstance(counts, Mapping)
    names = ("exit_code", "name", "state", "run_dir", "jobs", "flaky", "results")
    found = {name: summary[name] for name in names} | {f"jobs_{key}": value for key, value in counts.items()}
    return {f"JOB_RUNTIME_{name.upper()}": str(value) for name, value in found.items() if value is not None}
