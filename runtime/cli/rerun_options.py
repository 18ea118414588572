"""The options of the command ``rerun``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path


def add_rerun(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument("run", metavar="RUN", help="the name of a run, or its directory; latest for the latest one")
    parser.add_argument("job", metavar="JOB", nargs="+", help="the id of a job")
    parser.add_argument(
        "--with",
        dest="words",
        metavar="ARGS",
        action="extend",
        default=[],
        type=_words,
        help="words that are added to the command of each JOB, split as a shell does it; can be repeated",
    )
    parser.add_argument(
        "--export",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_export,
        help="a variable that is added to the environment of each JOB; can be repeated",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results"), help="where run directories are (default: results)"
    )
    parser.add_argument("--drain", action="store_true", help="at the first Ctrl-C, let running jobs finish")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text.strip()!r} is given: {exc}; expected words as for a shell") from exc


def _export(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        # Only the name is shown, as the value may be secret.
        given = "no name" if equals else repr(name)
        raise argparse.ArgumentTypeError(f"{given} is given; expected NAME=VALUE")
    return name, value


def join_values(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the value of each ``--with`` joined to it.

    What is added to a command mostly begins with a dash, which argparse would take for another option.
    """
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        value = next(rest, None) if word == "--with" else None
        joined.append(word if value is None else f"{word}= {value}")  # with a blank, as argparse drops a value ``--``
    return joined
