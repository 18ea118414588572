"""Command lines of Grid Engine's programs: options of one dash, with a fixed number of words each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tests.slurm.fakes.arguments import WrongUseError

QSUB: Final = {
    **dict.fromkeys(
        ("-N", "-t", "-o", "-e", "-j", "-wd", "-b", "-S", "-w", "-r", "-q", "-P", "-l", "-A", "-p", "-tc"), 1
    ),
    **dict.fromkeys(("-terse", "-V", "-cwd", "-h"), 0),
    "-pe": 2,
}
QSTAT: Final = {**dict.fromkeys(("-u", "-s", "-q"), 1), **dict.fromkeys(("-xml", "-f", "-ne", "-ext"), 0)}
QALTER: Final = {"-l": 1}
QACCT: Final = {"-j": 1, "-t": 1}
QCONF: Final = dict.fromkeys(("-sconf", "-help"), 0)
QDEL: Final = {"-f": 0, "-u": 1}

Options = Mapping[str, list[str]]
"""The words of each option that was given; those of one that was repeated, one after the other."""


def parse(program: str, table: Mapping[str, int], arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Return the options and the remaining words. The script, and all after it, are words.

    Raises:
        WrongUseError: for an unknown option, or one that lacks a word.
    """
    options: dict[str, list[str]] = {}
    left = list(arguments)
    words: list[str] = []
    while left:
        item = left.pop(0)
        if not item.startswith("-"):
            words.append(item)
            if program in ("qsub", "bsub"):
                return options, words + left
            continue
        if item not in table:
            raise WrongUseError(f'{program}: invalid option argument "{item}"')
        if len(left) < table[item]:
            raise WrongUseError(f"{program}: {item} option must have argument")
        options.setdefault(item, []).extend(left[: table[item]])
        del left[: table[item]]
    return options, words


def tasks(text: str) -> range:
    """Return the indices in ``1-9``, or ``1-9:2``, or ``4``.

    Raises:
        ValueError: if it is none of them.
    """
    match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", text)
    if match is None:
        raise ValueError(text)
    return range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))


def resources(values: Sequence[str]) -> dict[str, str]:
    """Return what the words of ``-l`` ask for."""
    pairs = [part.partition("=") for value in values for part in value.split(",")]
    return {name: value for name, _, value in pairs}


def excluded_nodes(given: Mapping[str, str]) -> frozenset[str]:
    """Return the nodes that a request excludes: ``hostname=!n1&!n2``."""
    return frozenset(word.removeprefix("!") for word in given.get("hostname", "").split("&") if word.startswith("!"))
