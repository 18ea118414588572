"""`scheduler`: what does a job cost that does nothing?

A graph of builds with nine runs each, on a backend that completes jobs at once. The specifications are made before the
clock starts; the graph, the run and the results are measured. Compared with DVSim's scheduler on its fake backend.

The command line tells the garbage collector to ignore the objects made before the run, and to run less often. A library
call leaves the collector as it is, because it belongs to the calling program.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, ours
from benchmarks.model import PEAK, Figure, Question

WIDE = 1_000
RATE = "jobs_per_second"
COST = "microseconds_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 1_000 if quick else 100_000
    wide = WIDE if not quick else 10
    script = "scheduler.py"
    contenders = [
        ours("cli", script, jobs, "--as-cli"),
        ours("cli/wide", script, jobs, "--as-cli", "--width", wide),
        ours("library", script, jobs),
        ours("library/wide", script, jobs, "--width", wide),
        dvsim("dvsim", "dvsim_scheduler.py", jobs),
        dvsim("dvsim/wide", "dvsim_scheduler.py", jobs, "--width", wide),
        ours("cli/10x", script, 10 * jobs, "--as-cli"),
    ]
    unlimited, limited = {"dvsim": "dvsim"}, {"dvsim": "dvsim/wide"}
    return Question(
        "scheduler",
        contenders,
        [
            Figure("scheduler", RATE, "jobs/s", "higher", "cli", unlimited),
            Figure("scheduler_wide", RATE, "jobs/s", "higher", "cli/wide", limited),
            Figure("scheduler_library", RATE, "jobs/s", "higher", "library", unlimited),
            Figure("scheduler_library_wide", RATE, "jobs/s", "higher", "library/wide", limited),
            Figure("scheduler_memory", PEAK, "MB", "lower", "cli", unlimited),
            Figure("scheduler_library_memory", PEAK, "MB", "lower", "library", unlimited),
            Figure(
                "scheduler_growth",
                COST,
                "µs per job",
                "lower",
                "cli/10x",
                {"a tenth of the jobs": "cli"},
            ),
        ],
    )
