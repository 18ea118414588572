"""The command ``completion``: a script for a shell, by shtab, and the words that it asks for: runs and jobs.

A shell may evaluate a word that it completes, as bash's ``compgen -W`` does. Ids of jobs come from job files, and names
of runs from a directory that others can write to. So a word that means anything to a shell is not offered.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from runtime.cli.past_options import LATEST
from runtime.jobfile.errors import InputError

COMPLETION: Final = "completion"
"""The name of the command."""
SHELLS: Final = ("bash", "zsh", "fish")
RUNS: Final = "runs"
JOBS: Final = "jobs"

RESULTS: Final = Path("results")
"""Where runs are looked for: a shell does not pass on what ``--out`` says."""
MAX_WORDS: Final = 1000
"""Words that are offered. Arbitrary: a shell asks before it shows a hundred; ten times as many would be slow."""

_SAFE: Final = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_@.,=:+/-]*")


def add_completion(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser of the command line; `add` is `add_parser` of its commands."""
    parser = add(
        COMPLETION,
        help="print a script that completes words of this command in a shell",
        description="Prints a script for a shell, which completes commands, options, files, names of runs and ids of"
        ' jobs of the latest run. For bash, in ~/.bashrc: eval "$(job-runtime completion bash)"',
        allow_abbrev=False,
    )
    parser.add_argument(
        "what",
        metavar="SHELL",
        choices=(*SHELLS, RUNS, JOBS),
        help=f"{', '.join(SHELLS)}; or {RUNS} or {JOBS}, for the words that these scripts ask for",
    )


def completion_lines(what: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the lines that the command prints.

    Args:
        what: a shell, or which words.
        parser: of the command line.

    Raises:
        InputError: if shtab is not installed.
    """
    if what in SHELLS:
        yield from _script(parser, what).split("\n")
    else:
        words = _runs() if what == RUNS else _jobs()
        yield from islice(filter(_SAFE.fullmatch, words), MAX_WORDS)


def _runs() -> Iterator[str]:
    from runtime.cli.runs import is_run_name

    yield LATEST
    with suppress(OSError):  # a shell shows no message
        yield from sorted(filter(is_run_name, os.listdir(RESULTS)), reverse=True)


def _jobs() -> Iterator[str]:
    from runtime.cli.past_runs import find_run, load_run

    try:
        run = load_run(find_run(LATEST, RESULTS.absolute()))
    except InputError:
        return  # a shell shows no message
    yield from run.state.numbers


def _script(parser: argparse.ArgumentParser, shell: str) -> str:
    try:
        import shtab
    except ImportError as exc:
        msg = "completion needs the extra completion: pip install '.[completion]' in a checkout (there is no shtab)"
        raise InputError(msg) from exc
    words = {name: shtab.cmd(f"{parser.prog} {COMPLETION} {name} 2>/dev/null") for name in (RUNS, JOBS)}
    by_metavar = {
        **dict.fromkeys(("FILE",), shtab.FILE),
        **dict.fromkeys(("DIR", "RESULTS"), shtab.DIRECTORY),
        **dict.fromkeys(("RUN", "BASE"), words[RUNS]),
        "JOB": words[JOBS],
    }
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in by_metavar:
            setattr(action, "complete", by_metavar[action.metavar])  # noqa: B010 - shtab's own field, unknown to argparse
    return str(shtab.complete(parser, shell)).rstrip("\n")


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of all its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
