"""The options of the command ``ctl``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.cli.option_values import resource_limit

CTL: Final = "ctl"
"""The name of the command."""


def add_ctl(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``ctl`` to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
    """
    ctl = add(
        CTL,
        help="kill jobs of a run that runs, stop or pause it, change a limit",
        description="Asks a run that runs in another terminal, or on another host with the same file system, to do"
        " something. Only its owner can.",
        epilog="Exit codes: 0 it is done, 1 the run does not run or does not answer, 2 wrong input, or refused.",
        allow_abbrev=False,
    )
    ctl.add_argument("run", metavar="RUN", help="the name of a run, or its directory; latest for the latest one")
    ctl.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results"), help="where run directories are (default: results)"
    )
    actions = ctl.add_subparsers(dest="action", metavar="ACTION", required=True)

    kill = actions.add_parser("kill", help="kill jobs, whether they run or wait", allow_abbrev=False)
    kill.add_argument("jobs", metavar="JOB", nargs="+", help="the id of a job")
    _add_force(kill)
    stop = actions.add_parser("stop", help="start nothing more, and end what runs, as Ctrl-C does", allow_abbrev=False)
    _add_force(stop)
    actions.add_parser("drain", help="start nothing more, and let what runs end by itself", allow_abbrev=False)
    actions.add_parser("pause", help="start nothing more until resume; what runs goes on", allow_abbrev=False)
    actions.add_parser("resume", help="start jobs again", allow_abbrev=False)
    limit = actions.add_parser("limit", help="set the limit of a resource, to the end of the run", allow_abbrev=False)
    limit.add_argument("limit", metavar="NAME=N", type=resource_limit, help="the limit, or NAME=unlimited")


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="kill at once, without soft stop and SIGTERM")
