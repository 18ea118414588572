"""`journal`: what does a journal cost?

The jobs of `scheduler`, as the command line runs them, with a journal. And the journal of a night's run of a million
jobs, whose completions have paths, times and usage: its size, and what it takes to load it. The peer for these is what
most programs do instead: a line of JSON for each completion.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, ours
from benchmarks.model import PEAK, Figure, Question


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 1_000 if quick else 100_000
    script = "journal.py"
    line = {"a line a job": "lines"}
    return Question(
        "journal",
        [
            ours("with", script, jobs, "--cost", "journal"),
            ours("with lines", script, jobs, "--cost", "lines"),
            ours("without", script, jobs, "--cost", "nothing"),
            dvsim("dvsim", "dvsim_scheduler.py", jobs),
            ours("load", script, 10 * jobs),
            ours("lines", script, 10 * jobs, "--lines"),
        ],
        [
            Figure("journal", "jobs_per_second", "jobs/s", "higher", "with", {"dvsim": "dvsim"}),
            Figure(
                "journal_cost",
                "microseconds_per_job",
                "µs per job",
                "lower",
                "with",
                {"no journal": "without", "a line a job": "with lines"},
            ),
            Figure("journal_size", "bytes_per_job", "bytes per job", "lower", "load", line),
            Figure("journal_load", "load_seconds", "s", "lower", "load", line),
            Figure("journal_load_memory", PEAK, "MB", "lower", "load", line),
        ],
    )
