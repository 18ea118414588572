"""`parse`: the commands and options of the command line. Wrong input is one line and exit code 2."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn

from runtime.cli.completion import add_completion
from runtime.cli.ctl_options import add_ctl
from runtime.cli.dvsim_options import DVSIM, add_dvsim, split_arguments
from runtime.cli.exit_codes import EXIT_INPUT, output_exit_code, print_error
from runtime.cli.format_options import add_formats_of_run
from runtime.cli.import_options import IMPORT, add_import
from runtime.cli.init import add_init
from runtime.cli.option_values import add_print_interval, number, resource_limit, size, whole
from runtime.cli.past_options import LATEST, add_past_commands
from runtime.cli.prove_options import add_prove
from runtime.cli.rerun_options import add_rerun, join_values
from runtime.cli.serve_options import add_serve
from runtime.jobfile.errors import InputError
from runtime.jobfile.template import NAME
from runtime.report.output import Output

PROGRAM: Final = "job-runtime"

# Messages of argparse.
_NO_VALUE: Final = re.compile(r"argument (--\S+): expected one argument")
_NO_FILE: Final = re.compile(r"arguments are required: FILE\b")

_WITH_RUN: Final = ("--resume", "--rerun", "--rerun-each-bucket")
"""Options whose value may be left out."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Raises:
        SystemExit: with 2 for wrong input; after ``--help`` and ``--version`` with 0, or 74 if the output failed.
    """
    try:
        return _parse(arguments)
    except _WrongWordsError as exc:
        print_error(str(exc))
        raise SystemExit(EXIT_INPUT) from None


def parse_recorded(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line that was recorded.

    Raises:
        InputError: if there is no such command line.
    """
    try:
        return _parse(arguments)
    except _WrongWordsError as exc:
        raise InputError(f"its options were recorded in another way: {exc}; expected a run of this version") from exc


class _WrongWordsError(Exception):
    """A command line that is none."""


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    if arguments[:1] == ["rerun"]:
        arguments = join_values(arguments)
    of_dvsim: list[str] | None = None
    of_flow = arguments[:1] == [DVSIM] or list(arguments[:2]) == [IMPORT, DVSIM]
    if of_flow:
        arguments, of_dvsim = split_arguments(arguments)
    options, unknown = parser.parse_known_args(arguments)
    if of_flow:
        options.arguments = of_dvsim
    if unknown:  # argparse's own message leads to the help of the whole program, which has no options
        parser.prog = f"{PROGRAM} {options.command}"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="Runs jobs that depend on each other, as many at once as limits and resources allow.",
        epilog="Exit codes: 0 all passed, 1 some did not, 2 wrong input, 3 some did not, and"
        " only for failures of the infrastructure, 70 a bug of job-runtime, 71 no memory or"
        " thread for the run itself, 74 the results or the journal could not be written, 129 130 143 after SIGHUP"
        " SIGINT SIGTERM.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the jobs of a file", allow_abbrev=False)
    _add_file(run)
    _add_jobs(run)
    _add_where(run)
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="start nothing and write nothing: show what would run, in which order, and of an earlier run what would be"
        " kept, and why",
    )
    _add_earlier(run)
    _add_running(run)
    _add_output(run)
    add_formats_of_run(run)

    rerun = commands.add_parser(
        "rerun",
        help="run jobs of a run by themselves, as they were then, to look closer",
        description="Runs jobs of a run by themselves, in a new run: with the job file, the environment and the options"
        " of that run. What they need is not run again.",
        allow_abbrev=False,
    )
    add_rerun(rerun)
    _add_output(rerun)
    add_formats_of_run(rerun)

    show = commands.add_parser(
        "list", help="show the jobs of a file, in an order in which they can run", allow_abbrev=False
    )
    _add_file(show)
    _add_jobs(show)
    _add_where(show)
    show.set_defaults(
        fail_fast=False,
        max_failures=None,
        max_odirs=None,
        mem_free=None,
        disk_free=None,
        resume=None,
        rerun=None,
        each_bucket=False,
        keep_builds=False,
        without_needs=False,
        dry_run=False,
        keep=None,
    )

    backends = commands.add_parser("backends", help="show the backends that there are", allow_abbrev=False)
    backends.add_argument("-v", "--verbose", action="store_true", help="also what each is and can do, and its options")
    _add_pythonpath(backends)
    add_dvsim(commands.add_parser)
    add_init(commands.add_parser)
    add_completion(commands.add_parser)
    add_import(commands.add_parser)
    add_past_commands(commands.add_parser)
    add_ctl(commands.add_parser)
    add_serve(commands.add_parser)
    add_prove(commands.add_parser, _add_pythonpath)
    return parser


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line; argparse's own parser prints its whole usage before it."""

    def print_help(self, file: object = None) -> NoReturn:
        """Print the help and exit, with 0 only if all of it could be written."""
        self.exit(_print(self.format_help()))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as the base class does, and keep the arguments, for hints in error messages."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise _WrongWordsError(f"{message}{_hint(message, self._words)} (see {self.prog} --help)")


def _hint(message: str, words: Sequence[str]) -> str:
    """Return how to write a word that was taken for something else, if that is the error; else an empty text."""
    if found := _NO_VALUE.fullmatch(message):
        for option, value in pairwise(words):
            if option == found[1] and value.startswith("-"):
                return f", and {value} looks like an option; expected {option}={value}"
    if not _NO_FILE.search(message):
        return ""
    for option, file in pairwise(["", *words]):
        if file.startswith("-") and os.path.isfile(file):
            return f", and {file} looks like an option; expected ./{file}"
        if option in _WITH_RUN and os.path.isfile(file):
            return f", and {file} was taken for the RUN of {option}; expected {file} {option}, or {option}=RUN {file}"
    return ""


def _print(text: str) -> int:
    """Print a text; return the exit code."""
    output = Output(sys.stdout)
    output.write(text)
    return output_exit_code(output)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a job file, TOML or JSON; - for JSON lines on standard input")


def _add_pythonpath(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pythonpath",
        metavar="DIR",
        action="append",
        default=[],
        help="look for backends and launchers in DIR first; can be repeated",
    )


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    jobs = parser.add_argument_group("which jobs")
    jobs.add_argument(
        "-D",
        dest="define",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_definition,
        help="what {var.NAME} in the job files stands for; can be repeated, the last one of a name counts",
    )
    jobs.add_argument(
        "--select",
        metavar="GLOB",
        action="append",
        default=[],
        help="only jobs whose id, name or tag is GLOB or matches it, and their dependencies; can be repeated",
    )
    jobs.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="without the jobs whose id, name or tag is GLOB or matches it, unless another job needs them; can be"
        " repeated",
    )
    seeds = jobs.add_mutually_exclusive_group()
    seeds.add_argument("--reseed", metavar="N", type=_from_one, help="draw N seeds for each job that has seeds")
    seeds.add_argument("--fixed-seed", metavar="S", type=_from_zero, help="run each job that has seeds once, with S")
    jobs.add_argument(
        "--seed-base",
        metavar="S",
        type=_from_zero,
        help="draw seeds from S; the same base gives the same seeds (default: random)",
    )
    jobs.add_argument(
        "--timeout-multiplier", metavar="X", type=_factor, default=1.0, help="multiply the timeout of each job"
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
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
        type=resource_limit,
        help="the limit of a resource, or NAME=unlimited; replaces that of the file; can be repeated",
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


def _add_earlier(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what an earlier run has to do with it")
    earlier = group.add_mutually_exclusive_group()
    earlier.add_argument(
        "--rerun",
        metavar="RUN",
        nargs="?",
        const=LATEST,
        help="run the jobs that did not pass in an earlier run, with their seeds, in a new run; what they need is kept"
        " of that run if the source tree is clean and has the same git revision, and is built again otherwise"
        " (default: the latest)",
    )
    earlier.add_argument(
        "--rerun-each-bucket",
        metavar="RUN",
        nargs="?",
        const=LATEST,
        dest="rerun",
        action=_RerunEachBucket,
        help="as --rerun, but of the failures that have the same message only the shortest job",
    )
    earlier.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const=LATEST,
        help="go on with a run that was stopped or killed: keep what passed, run the rest (default: the latest)",
    )
    group.set_defaults(each_bucket=False)
    group.add_argument(
        "--without-needs",
        action="store_true",
        help="with --rerun or --select: run the chosen jobs alone; what they need is kept of the run of --rerun, or of"
        " the latest run that has it, and has to stand there",
    )
    group.add_argument(
        "--keep-builds",
        action="store_true",
        help="with --rerun or --rerun-each-bucket: keep what passed there and is needed, whatever has become of the"
        " source tree",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("when jobs fail, or the run is stopped")
    failures = running.add_mutually_exclusive_group()
    failures.add_argument("--keep-going", action="store_true", help="run all that can be run (default)")
    failures.add_argument("--fail-fast", action="store_true", help="stop after the first failure of the design")
    failures.add_argument(
        "--max-failures",
        metavar="N",
        type=_from_one,
        help="stop after N failures of the design; those of the infrastructure, and known ones, do not count",
    )
    running.add_argument(
        "--keep",
        choices=("all", "failed"),
        help="failed: remove the output directories of jobs that passed, when all that need them passed; instead of"
        " the key of each job (default: all)",
    )
    running.add_argument("--drain", action="store_true", help="at the first Ctrl-C, let running jobs finish")
    for name, what in (("mem", "memory"), ("disk", "disk space, where the run directory is,")):
        running.add_argument(
            f"--{name}-free",
            metavar="SIZE",
            type=size,
            help=f"start nothing on this machine while less {what} is free, such as 2GiB",
        )
    running.add_argument(
        "--max-odirs",
        metavar="N",
        type=_from_zero,
        help="keep N old output directories of a job with renew_odir; 0 for all",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    add_print_interval(output)
    output.add_argument("-v", "--verbose", action="count", default=0, help="show more of the log; -vv for all of it")
    output.add_argument("-q", "--quiet", action="store_true", help="show only failures and the summary")
    output.add_argument(
        "--log-file", metavar="FILE", help="write what the screen shows, and the whole log with tracebacks, to FILE"
    )


# ---------------------------------------------------------------------- types


def _from_one(text: str) -> int:
    return whole(text, 1)


def _from_zero(text: str) -> int:
    return whole(text, 0)


def _factor(text: str) -> float:
    factor = number(text)
    if not 0 < factor < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a number above 0 and below a million")
    return factor


def _definition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        # Only the name is shown, as the value may be secret.
        given = f"the name {name!r}" if equals else f"{name!r}"
        raise argparse.ArgumentTypeError(
            f"{given} is given; expected NAME=VALUE, with a name of letters, digits and _, such as -D width=8"
        )
    return name, value


def hide_values(words: Sequence[str], definitions: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words of a command line with ``***`` for the values of ``-D`` or ``--export``, which may be secret.

    Args:
        words: of the command line.
        definitions: the names and values of all of these.
    """
    # A word may be ``-Da=b``, ``a=b`` or ``-vDa=b``: whatever comes before, the definition is its end.
    hidden = list(words)
    for name, value in definitions:
        if value:
            ending = f"{name}={value}"
            hidden = [f"{word.removesuffix(value)}***" if word.endswith(ending) else word for word in hidden]
    return hidden


class _RerunEachBucket(argparse.Action):
    """The option ``--rerun-each-bucket``: a rerun, of one job of each failure bucket."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        namespace.rerun, namespace.each_bucket = values, True


class _Version(argparse.Action):
    """The option ``--version``. argparse's own action would look the version up for each command line."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import importlib.metadata

        try:
            version = importlib.metadata.version("job-runtime")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        parser.exit(_print(f"{parser.prog} {version}\n"))


def check_out(out: Path) -> Path:
    """Return the directory for run directories as an absolute path.

    Raises:
        InputError: if `out` is not a path, or the current directory is gone.
    """
    if "\0" in str(out):
        raise InputError("--out has a NUL character; expected a directory")
    check_current_directory()
    return out.absolute()


def check_current_directory() -> None:
    """Check that the current directory exists: it may have been deleted, and relative paths need it.

    Raises:
        InputError: if it does not.
    """
    try:
        os.getcwd()
    except OSError as exc:
        msg = f"the current directory cannot be found: {exc.strerror}; expected one that exists (cd to it)"
        raise InputError(msg) from exc
