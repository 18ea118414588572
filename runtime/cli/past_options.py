"""The options of the commands about runs that there are."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.cli.format_options import add_formats
from runtime.cli.option_values import add_print_interval, whole

ABOUT_RUNS: Final = frozenset({"report", "runs", "history", "compare", "export", "explain", "logs", "shell", "watch"})
"""The names of the commands."""

LATEST: Final = "latest"
"""The name of the link to the latest run, which stands for that run on the command line."""

LAST: Final = 20
"""Runs of a job that ``history`` shows. Arbitrary: about what fits on a screen."""

_RUN_TEXT: Final = "the name of a run, its directory, or the file that it was exported to"

_AGE: Final = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")
_SECONDS: Final = {"h": 3600, "d": 86400, "w": 7 * 86400}


def add_past_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands about runs that there are to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
    """
    report = add("report", help="show what happened in a run, also in one that was killed", allow_abbrev=False)
    _add_run(report, optional=True)
    report.add_argument("--json", action="store_true", help="print results.json instead")
    report.add_argument("--all", action="store_true", help="show all of it, and not what fits on one screen")
    report.add_argument("--html", metavar="FILE", help="write a page for a browser to FILE instead")
    add_formats(report, when="Written instead of the report; - for standard output.", events="to FILE")

    watch = add(
        "watch",
        help="show a run as it goes, from another terminal or host",
        description="Shows a run that another process runs, until it ends, and then its report. On a terminal keys stop"
        " the run, kill its jobs, or pause it; nothing else here can change it.",
        allow_abbrev=False,
    )
    _add_run(watch, optional=True)
    add_print_interval(watch)

    runs = add("runs", help="show the runs that there are, or remove old ones", allow_abbrev=False)
    _add_out(runs)
    runs.add_argument(
        "--prune",
        metavar="N|AGE",
        type=_what_to_prune,
        help="remove all runs but the newest N, or those that began before AGE, such as 12h, 14d or 8w",
    )
    runs.add_argument("--dry-run", action="store_true", help="with --prune: show what would be removed")

    history = add(
        "history",
        help="show which jobs fail, since when, and which are flaky; or all runs of one job",
        description="Shows the tests that fail, are flaky, or are slower than they were; with JOB, its runs. A test is"
        " what jobs are that differ only in their seed.",
        allow_abbrev=False,
    )
    history.add_argument(
        "job",
        metavar="JOB",
        nargs="?",
        help="the id of a job, or that without its seed; or a pattern, such as 'smoke*'",
    )
    _add_out(history)
    history.add_argument(
        "--last", metavar="N", type=_from_one, default=LAST, help=f"of JOB, show the newest N runs (default: {LAST})"
    )
    _add_screen(history)

    compare = add(
        "compare",
        help="show what changed from one run to another",
        description="Shows what is new, still fails and is fixed in RUN, what is flaky or slower, and which jobs were"
        " added or are gone since BASE.",
        allow_abbrev=False,
    )
    _add_run(compare, optional=True)
    compare.add_argument(
        "base",
        metavar="BASE",
        nargs="?",
        help="the run that it is compared with (default: the one of the same job file before it, of all its jobs)",
    )
    _add_screen(compare)
    compare.add_argument("--html", metavar="FILE", help="write a page for a browser to FILE instead: of RUN, with that")

    export = add("export", help="pack what is known of a run into one file", allow_abbrev=False)
    _add_run(export, optional=True)
    export.add_argument("-o", "--output", dest="file", metavar="FILE", type=Path, help="the file (default: RUN.tar.gz)")
    _add_about_a_job(add)


def _add_about_a_job(add: Callable[..., argparse.ArgumentParser]) -> None:
    explain = add(
        "explain",
        help="show why a job waited, ran and failed, and where its files are",
        description="Shows what a job needs, how much it may use, why it waited, its attempts, the lines of its log"
        " that explain a failure, where its files are, and how to run it again. The run may go on, have ended or died.",
        allow_abbrev=False,
    )
    _add_run(explain)
    _add_job(explain)
    _add_all(explain)

    logs = add("logs", help="print the log of a job", allow_abbrev=False)
    _add_run(logs)
    _add_job(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")

    shell = add("shell", help="start a shell where a job ran, with its environment", allow_abbrev=False)
    _add_run(shell)
    _add_job(shell)


def _add_screen(parser: argparse.ArgumentParser) -> None:
    _add_all(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def _add_all(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="show all of it, and not what fits on one screen")


def _add_run(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    if optional:
        parser.add_argument("run", metavar="RUN", nargs="?", default=LATEST, help=f"{_RUN_TEXT} (default: latest)")
    else:
        parser.add_argument("run", metavar="RUN", help=f"{_RUN_TEXT}; latest for the latest one")
    _add_out(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results"), help="where run directories are (default: results)"
    )


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the id of a job")


def _from_one(text: str) -> int:
    return whole(text, 1)


def _what_to_prune(text: str) -> tuple[int | None, float | None]:
    """Return how many runs stay, or from which age in seconds on they go."""
    if _COUNT.fullmatch(text):
        return int(text), None
    if found := _AGE.fullmatch(text):
        return None, float(int(found[1]) * _SECONDS[found[2]])
    raise argparse.ArgumentTypeError(
        f"{text!r} is given; expected a number of runs from 1, or an age in hours, days or weeks, such as 14d"
    )
