"""The command line: commands and options, checked one by one. What is wrong is one line, and the exit code 2."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn

from runtime.cli.ending import EXIT_INPUT, complain, said
from runtime.jobfile.errors import InputError
from runtime.report.output import Output

PROGRAM: Final = "job-runtime"
PRINT_INTERVAL: Final = 10.0
"""Seconds between two lines of progress on what is no terminal. DVSim's."""
MAX_SEED: Final = 2**64 - 1
_NUMBER: Final = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_NO_VALUE: Final = re.compile(r"argument (--\S+): expected one argument")
_NO_FILE: Final = re.compile(r"arguments are required: FILE\b")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Raises:
        SystemExit: with 2 if it is wrong; after ``--help`` and ``--version`` with 0, or 74 if that could not be said.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # argparse's own message leads to the help of the whole program, which has no options
        parser.prog = f"{PROGRAM} {options.command}"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Runs jobs that depend on each other, as many at once as there is room for.",
        epilog="Exit codes: 0 all passed, 1 some did not, 2 wrong input, 70 a bug of ours, 71 no memory or thread for"
        " the run itself, 74 the results could not be written, 129 130 143 after SIGHUP SIGINT SIGTERM.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the jobs of a file", allow_abbrev=False)
    _add_file(run)
    _add_jobs(run)
    _add_running(run)
    _add_output(run)

    show = commands.add_parser(
        "list", help="show the jobs of a file, in an order in which they can run", allow_abbrev=False
    )
    _add_file(show)
    _add_jobs(show)
    show.set_defaults(fail_fast=False, max_failures=None, max_odirs=None)

    backends = commands.add_parser("backends", help="show the backends that there are", allow_abbrev=False)
    backends.add_argument("-v", "--verbose", action="store_true", help="also what each is and can do, and its options")
    _add_pythonpath(backends)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything else here does; argparse's own says all that there is before it."""

    def print_help(self, file: object = None) -> NoReturn:
        """Say what there is, and exit: with 0 only if it could be said."""
        self.exit(_say(self.format_help()))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, as the base class does, and remember what was given."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        complain(f"{message}{_dash_hint(message, self._words)} (see {self.prog} --help)")
        self.exit(EXIT_INPUT)


def _dash_hint(message: str, words: Sequence[str]) -> str:
    """Return how a value, or a file, is written that looks like an option, if that is what is wrong."""
    if found := _NO_VALUE.fullmatch(message):
        for option, value in pairwise(words):
            if option == found[1] and value.startswith("-"):
                return f", and {value} looks like an option; expected: {option}={value}"
    files = (word for word in words if word.startswith("-") and os.path.isfile(word))
    if _NO_FILE.search(message) and (file := next(files, None)):
        return f", and {file} looks like an option; expected: ./{file}"
    return ""


def _say(text: str) -> int:
    output = Output(sys.stdout)
    output.write(text)
    return said(output)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a job file, TOML or JSON; - for JSON lines on standard input")


def _add_pythonpath(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pythonpath",
        metavar="DIR",
        action="append",
        default=[],
        help="where to look for backends and launchers first; can be repeated",
    )


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    jobs = parser.add_argument_group("which jobs")
    jobs.add_argument(
        "--select",
        metavar="GLOB",
        action="append",
        default=[],
        help="only jobs whose id, name or tag is this, or matches it, and what they need; can be repeated",
    )
    seeds = jobs.add_mutually_exclusive_group()
    seeds.add_argument("--reseed", metavar="N", type=_from_one, help="draw N seeds for each job that has seeds")
    seeds.add_argument("--fixed-seed", metavar="S", type=_seed, help="run each job that has seeds once, with seed S")
    jobs.add_argument(
        "--seed-base",
        metavar="S",
        type=_seed,
        help="what seeds are drawn from; the same base, the same seeds (default: random)",
    )
    jobs.add_argument(
        "--timeout-multiplier", metavar="X", type=_factor, default=1.0, help="multiply the timeout of each job"
    )
    jobs.add_argument("--dry-run", action="store_true", help="prepare everything, start nothing")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--backend",
        metavar="NAME",
        help="for jobs that name none; also legacy:package.module:ClassName (default: local)",
    )
    _add_pythonpath(where)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    where.add_argument("--max-parallel", metavar="N", type=_from_zero, help="jobs at once; 0 for no limit")
    where.add_argument(
        "--resource",
        metavar="NAME=N",
        action="append",
        default=[],
        type=_resource,
        help="how much there is of a resource, or NAME=unlimited; goes before the file; can be repeated",
    )
    where.add_argument(
        "--on-missing-resource",
        choices=("ignore", "warn", "error"),
        default="error",
        help="what to do when jobs need a resource that has no limit (default: error)",
    )
    where.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results"), help="where run directories go (default: results)"
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("when jobs fail, or the run is stopped")
    failures = running.add_mutually_exclusive_group()
    failures.add_argument("--keep-going", action="store_true", help="run all that can be run (default)")
    failures.add_argument("--fail-fast", action="store_true", help="stop after the first job that does not pass")
    failures.add_argument("--max-failures", metavar="N", type=_from_one, help="stop after N jobs that did not pass")
    running.add_argument("--drain", action="store_true", help="at the first Ctrl-C, let running jobs finish")
    running.add_argument(
        "--max-odirs",
        metavar="N",
        type=_from_zero,
        help="old output directories kept of a job with renew_odir; 0 for all",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("what is said")
    output.add_argument(
        "--print-interval",
        metavar="S",
        type=_seconds,
        default=PRINT_INTERVAL,
        help="seconds between two lines of progress where there is no live display; 0 for none (default: 10)",
    )
    output.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv for everything")
    output.add_argument("-q", "--quiet", action="store_true", help="say only what failed, and the summary")
    output.add_argument(
        "--log-file", metavar="FILE", help="write what the screen shows, and the whole log with tracebacks, to FILE"
    )


# ---------------------------------------------------------------------- types


def _whole(text: str, lowest: int, highest: int = MAX_SEED) -> int:
    # Not `int(text)` alone: it takes "1_000" and " 1 ", and digits of all scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        msg = f"{text!r} is given; wanted: a whole number from {lowest} to {highest}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _from_one(text: str) -> int:
    return _whole(text, 1)


def _from_zero(text: str) -> int:
    return _whole(text, 0)


def _seed(text: str) -> int:
    return _whole(text, 0, MAX_SEED)


def _number(text: str) -> float:
    # Not `float(text)` alone: it takes "1_000", " 1 ", "nan", and digits of all scripts.
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _factor(text: str) -> float:
    number = _number(text)
    if not 0 < number < 10**6:
        msg = f"{text!r} is given; wanted: a number above 0 and below a million"
        raise argparse.ArgumentTypeError(msg)
    return number


def _seconds(text: str) -> float:
    number = _number(text)
    if not 0 <= number < math.inf:
        msg = f"{text!r} is given; wanted: seconds, from 0"
        raise argparse.ArgumentTypeError(msg)
    return number


def _resource(text: str) -> tuple[str, int | None]:
    name, equals, amount = text.rpartition("=")
    if not name or not equals:
        msg = f"{text!r} is given; wanted: NAME=N or NAME=unlimited"
        raise argparse.ArgumentTypeError(msg)
    return name, None if amount == "unlimited" else _whole(amount, 0)


class _Version(argparse.Action):
    """argparse's own would have the version found out for each command line."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import importlib.metadata

        try:
            version = importlib.metadata.version("job-runtime")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        parser.exit(_say(f"{parser.prog} {version}\n"))


def check_out(out: Path) -> Path:
    """Return the directory for runs as an absolute path.

    Raises:
        InputError: if it cannot be one.
    """
    if "\0" in str(out):
        msg = "--out has a NUL character; wanted: a directory"
        raise InputError(msg)
    check_here()
    return out.absolute()


def check_here() -> None:
    """Check that the current directory is there: somebody may have deleted it, and every relative path begins with it.

    Raises:
        InputError: if it is not.
    """
    try:
        os.getcwd()
    except OSError as exc:
        msg = f"the current directory cannot be found: {exc.strerror}; expected: one that exists (cd to it)"
        raise InputError(msg) from exc
