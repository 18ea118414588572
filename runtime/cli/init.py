"""The commands ``init`` and ``schema``: a job file to begin with, and the schema of job files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Final

from runtime.report.text import printable, shell_word

INIT: Final = "init"
SCHEMA: Final = "schema"

SCHEMA_NAME: Final = "job_file.schema.json"

JOB_FILE: Final = """\
#:schema ./job_file.schema.json
# A job file. `job-runtime list FILE` shows its jobs, `job-runtime run FILE` runs them; docs/job-files.md has all keys.
# For an editor that completes keys: job-runtime schema > job_file.schema.json

name = "first"                        # the name in reports

[defaults]                            # keys for all jobs
timeout = "10m"                       # "90s", "10m", "1.5h", or a number of seconds

[resources]                           # what there is of each; jobs that need more wait
licence = 4

[jobs.build]
# Text is for a shell; a list of words is a program and its arguments, which no shell sees.
# {odir} is the job's own directory, {run_dir} that of the run, {file_dir} that of this file.
cmd = "echo 'echo TEST PASSED with seed $1' > {odir}/sim"

[jobs.smoke]                          # 2 x 3 jobs: one for each value of the matrix, and each seed
needs = ["build"]                     # not before all jobs of [jobs.build] passed
matrix = { depth = [4, 8] }           # {depth} in the texts below
seeds = 3                             # so many are drawn; "1..40" or [1, 2, 3] for these
cmd = "sh {run_dir}/build/sim {seed} {depth}"
pass_patterns = ["^TEST PASSED"]      # each must match a line of the log ...
fail_patterns = ['^UVM_(ERROR|FATAL) \\S']  # ... and none of these may; in single quotes a \\ stays as it is
resources = { licence = 1 }           # held while the job runs
retry = { licence = 2 }               # tried again, if it found no licence
# memory = "4GiB"                     # a job that uses more is ended

[jobs.report]
needs = ["smoke"]
run_if = "ended"                      # also if some of them failed
cmd = ["echo", "all of", "{run_dir}", "have ended"]

# [backends.slurm]                    # with --backend slurm; `job-runtime backends -v` shows all options
# partition = "short"
"""
"""What the command writes: each kind of key once, and commands that run on any machine."""


def add_init(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to a parser of the command line; `add` is `add_parser` of its commands."""
    init = add(INIT, help="write a job file to begin with, with comments", allow_abbrev=False)
    init.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        default=Path("regression.toml"),
        help="its name; a file that exists is left as it is (default: regression.toml)",
    )
    add(SCHEMA, help="print the JSON schema of job files, for an editor", allow_abbrev=False)


def next_steps(path: Path) -> str:
    """Return what to do with a job file that was written, in one line."""
    word = shell_word(str(path))
    to_see, to_run = (f"job-runtime {command} {word}" for command in ("list", "run"))
    return f"{printable(str(path))} is written. To see its jobs: {to_see}. To run them: {to_run}"


def schema_text() -> str:
    """Return the schema of job files."""
    return resources.files("runtime.jobfile").joinpath(SCHEMA_NAME).read_text("utf-8")
