"""The options of the command ``prove``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.cli.option_values import number, whole

PROVE: Final = "prove"
"""The name of the command."""


def add_prove(add: Callable[..., argparse.ArgumentParser], add_pythonpath: Callable[..., object]) -> None:
    """Add the command ``prove`` to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
        add_pythonpath: adds the option ``--pythonpath`` to a parser.
    """
    prove = add(
        PROVE,
        help="check that a backend keeps its promises where it lives, such as on your own cluster",
        description="Runs the conformance suite of backends, and a table of jobs that mean the same on every backend:"
        " some three hundred jobs, each of which takes no time. It shows which promises are broken, and writes a report"
        " that can be attached to an issue. Exit code 1: a promise is broken.",
        allow_abbrev=False,
    )
    prove.add_argument("backend", metavar="BACKEND", help="its name, as job-runtime backends shows it")
    prove.add_argument(
        "--file", metavar="FILE", help="a job file whose table [backends.BACKEND] has its options; no job of it is run"
    )
    prove.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of the backend, in place of that in FILE; the value is TOML, or else text; may be repeated",
    )
    prove.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("results"),
        help="where a directory is made for it, at the same path for all nodes; removed when all is kept"
        " (default: results)",
    )
    prove.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        default=Path("proof.md"),
        help="where the report goes (default: proof.md)",
    )
    prove.add_argument(
        "--at-once",
        metavar="N",
        type=lambda text: whole(text, 1),
        help="how many checks run at the same time (default: 8)",
    )
    prove.add_argument(
        "--budget",
        metavar="SECONDS",
        type=_budget,
        help="for each check; for jobs that wait long in a queue (default: 300)",
    )
    add_pythonpath(prove)


def _budget(text: str) -> float:
    seconds = number(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a number of seconds above 0")
    return seconds
