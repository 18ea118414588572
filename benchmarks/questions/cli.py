"""`cli`: what does a whole run cost, from the shell's return key to its prompt?

20,000 jobs ``true``, 32 at a time, and 100,000 jobs on the fake backend, as a TOML file and as JSON lines on standard
input. The peers are commands that run a list of jobs as well; the start and the end of each command count. HyperQueue
and DVSim have no such command here: each is a program that starts them, makes the jobs, and waits.

They leave different things, as in `spawn`: xargs and make nothing; ours, for each job, a directory with a log and the
dump of its environment, and for the run a journal, results and links. All files are in memory, so no disk is measured.
"""

from __future__ import annotations

from benchmarks.environment import (
    MEMORY,
    dvsim,
    in_memory,
    need_module,
    need_programs,
    need_space,
    ours,
    peer,
)
from benchmarks.model import Figure, Question

WIDTH = 32
RATE = "jobs_per_second"
CPU = "cpu_ms_per_job"
FIRST = "first_ms"
MEMORY_USED = "command_mb"
LEFT = "kb_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs, fakes = (30, 100) if quick else (20_000, 100_000)
    need_programs(xargs="findutils", parallel="parallel", make="make")
    need_module("hyperqueue")
    need_space(MEMORY, megabytes=20 if quick else 500)
    others = "commands.py"
    every = {name: name for name in ("parallel", "xargs", "make", "hyperqueue", "dvsim")}
    with_files = {name: name for name in ("parallel", "dvsim")}  # HyperQueue's logs are empty, and take no block
    fake = {"dvsim": "dvsim/fake"}
    return Question(
        "cli",
        [
            ours("toml", "cli.py", jobs, "--width", WIDTH),
            ours("lines", "cli.py", jobs, "--width", WIDTH, "--lines"),
            ours("fake", "cli.py", fakes, "--fake"),
            ours("fake/lines", "cli.py", fakes, "--fake", "--lines"),
            *(peer(name, others, name, jobs, WIDTH) for name in ("parallel", "xargs", "make", "hyperqueue")),
            dvsim("dvsim", others, "dvsim", jobs, WIDTH),
            dvsim("dvsim/fake", others, "dvsim", fakes),
        ],
        [
            Figure("cli", RATE, "jobs/s", "higher", "toml", every),
            Figure("cli_lines", RATE, "jobs/s", "higher", "lines", every),
            Figure("cli_cpu", CPU, "ms of CPU per job", "lower", "toml", every),
            Figure("cli_lines_cpu", CPU, "ms of CPU per job", "lower", "lines", every),
            Figure("cli_first", FIRST, "ms", "lower", "toml", {name: name for name in every if name != "xargs"}),
            Figure("cli_first_lines", FIRST, "ms", "lower", "lines", {name: name for name in every if name != "xargs"}),
            Figure("cli_memory", MEMORY_USED, "MB", "lower", "toml", every),
            Figure("cli_lines_memory", MEMORY_USED, "MB", "lower", "lines", every),
            Figure("cli_left", LEFT, "kB per job", "lower", "toml", with_files),
            Figure("cli_fake", RATE, "jobs/s", "higher", "fake", fake),
            Figure("cli_fake_lines", RATE, "jobs/s", "higher", "fake/lines", fake),
            Figure("cli_fake_cpu", CPU, "ms of CPU per job", "lower", "fake", fake),
            Figure("cli_fake_lines_cpu", CPU, "ms of CPU per job", "lower", "fake/lines", fake),
            Figure("cli_fake_memory", MEMORY_USED, "MB", "lower", "fake", fake),
            Figure("cli_fake_lines_memory", MEMORY_USED, "MB", "lower", "fake/lines", fake),
        ],
        in_memory,
    )
