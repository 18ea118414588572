"""The options that name files for other programs, of the commands that make some."""

from __future__ import annotations

import argparse
import shlex
from typing import Final

FORMATS: Final = {
    "junit": "JUnit XML, for Jenkins and others that show tests",
    "metrics": "OpenMetrics text, for a node exporter",
    "trace": "a trace of slots and what is in use, for ui.perfetto.dev",
    "step-summary": "a summary in GitHub's Markdown",
}
"""The name of each format, which is that of its option, and what it is."""


def add_formats(parser: argparse.ArgumentParser, *, when: str, events: str) -> None:
    """Add the options to a parser.

    Args:
        parser: of a command.
        when: what the help says of when the files are written.
        events: what it says of the events.
    """
    group = parser.add_argument_group("for other programs", when)
    group.add_argument("--events", metavar="FILE", help=f"write the events of the run, as lines of JSON, {events}")
    for name, what in FORMATS.items():
        group.add_argument(f"--{name}", metavar="FILE", help=f"write {what}, to FILE")


def format_attributes() -> list[str]:
    """Return the names that the options of `add_formats` have in a namespace."""
    return ["events", *(name.replace("-", "_") for name in FORMATS)]


def given_formats(options: argparse.Namespace) -> dict[str, str]:
    """Return the paths that were given, by the names of their formats; those of events, which are no format, too."""
    given = zip(["events", *FORMATS], (getattr(options, name) for name in format_attributes()), strict=True)
    return {name: path for name, path in given if path is not None}


def add_formats_of_run(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command that runs jobs."""
    events = "to FILE while it goes; - for standard output, and then all else is on standard error"
    add_formats(parser, when="Written when the run has ended, but for the events.", events=events)
    parser.add_argument(
        "--on-end",
        metavar="CMD",
        type=_words,
        help="run CMD, split as a shell does it, when the run has ended, with its summary on standard input",
    )


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is given: {exc}; expected words as for a shell") from exc
    if not words:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a program and its arguments")
    return words
