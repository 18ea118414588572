"""The options of the command ``import``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.cli.option_values import whole

IMPORT: Final = "import"
"""The name of the command."""
OF_DVSIM: Final = "dvsim"


def add_import(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``import`` to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
    """
    parser = add(
        IMPORT,
        help="write a job file from a list of commands, a makefile, or a flow of DVSim's",
        description="Writes a job file whose jobs do what something else would run. What cannot be said in a job file"
        " is a comment at its head, and a line on standard error.",
        allow_abbrev=False,
    )
    sources = parser.add_subparsers(dest="source", metavar="SOURCE", required=True)
    commands = sources.add_parser("list", help="from a file with a shell command a line, as GNU parallel takes it")
    commands.add_argument("file", metavar="FILE", help="with the commands; - for standard input")
    make = sources.add_parser("make", help="from a makefile: a job for each target that has a recipe")
    make.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        help="with all that they need (default: that of the makefile); VARIABLE=VALUE is for all jobs",
    )
    make.add_argument("-f", "--file", metavar="FILE", help="the makefile (default: the one that make takes)")
    make.add_argument("-C", "--directory", metavar="DIR", default=".", help="where make runs (default: .)")
    dvsim = sources.add_parser(
        OF_DVSIM,
        help="from a flow of DVSim's: the jobs that dvsim would run",
        usage="job-runtime import dvsim [-o FILE] [--seed-base S] -- ARGUMENTS OF DVSIM",
    )
    dvsim.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    dvsim.add_argument(
        "--seed-base", metavar="S", type=lambda text: whole(text, 0), help="as for job-runtime dvsim (default: random)"
    )
    for each in (commands, make, dvsim):
        each.add_argument(
            "-o", "--output", metavar="FILE", type=Path, help="the job file, a new one (default: standard output)"
        )
