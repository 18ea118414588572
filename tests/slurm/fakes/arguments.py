"""Command lines of Slurm's programs: their options, and the notation of indices and ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs


class WrongUseError(Exception):
    """An unknown option, or a value that it does not take."""


@attrs.frozen
class Syntax:
    """The options of one program: those with a value, those without, and the short names of both."""

    valued: frozenset[str]
    flags: frozenset[str]
    short: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    """Options whose value may be left out."""
    stops: bool = False
    """Whether all words after the first plain word are arguments of a script."""

    def parse(self, arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options and the remaining words; flags have an empty value."""
        options: dict[str, str] = {}
        words: list[str] = []
        left = list(arguments)
        while left:
            item = left.pop(0)
            if not item.startswith("-") or item == "-":
                words.append(item)
                if self.stops:
                    return options, words + left
                continue
            if item == "--":
                return options, words + left
            name, equals, value = item[2:].partition("=")
            if not item.startswith("--"):
                name, value = self.short.get(item[1], item), item[2:]
                if name in self.flags and value:
                    left.insert(0, f"-{value}")
                    value = ""
                equals = "=" if value else ""
            if name in self.optional or name in self.flags:
                options[name] = value
            elif name in self.valued:
                if not equals and not left:
                    raise WrongUseError(f"option '{item}' requires an argument")
                options[name] = value if equals else left.pop(0)
            else:
                raise WrongUseError(f"unrecognized option '{item}'")
        return options, words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SBATCH = Syntax(
    valued=_words(
        """account array begin chdir clusters comment constraint cpus-per-task deadline dependency error exclude export
        extra gpus gpus-per-node gpus-per-task gres input job-name licenses mail-type mail-user mem mem-per-cpu
        mem-per-gpu nice nodelist nodes ntasks ntasks-per-node open-mode output partition priority qos reservation
        signal switches time time-min tmp uid wckey wrap"""
    ),
    flags=_words("parsable hold requeue no-requeue quiet verbose contiguous overcommit oversubscribe test-only wait"),
    optional=_words("exclusive get-user-env kill-on-invalid-dep propagate"),
    short={
        "A": "account", "a": "array", "D": "chdir", "c": "cpus-per-task", "C": "constraint", "d": "dependency",
        "e": "error", "H": "hold", "i": "input", "J": "job-name", "L": "licenses", "n": "ntasks", "N": "nodes",
        "o": "output", "p": "partition", "Q": "quiet", "q": "qos", "t": "time", "v": "verbose", "w": "nodelist",
        "x": "exclude", "G": "gpus", "b": "begin", "W": "wait",
    },
    stops=True,
)  # fmt: skip

SQUEUE = Syntax(
    valued=_words("states format Format user name jobs partition account sort licenses steps nodelist qos"),
    flags=_words("noheader array me long start hide all local"),
    short={
        "h": "noheader", "r": "array", "t": "states", "o": "format", "O": "Format", "u": "user", "n": "name",
        "j": "jobs", "p": "partition", "A": "account", "S": "sort", "l": "long", "a": "all",
    },
)  # fmt: skip

SCANCEL = Syntax(
    valued=_words("name user state signal account partition qos nodelist reservation wckey"),
    flags=_words("batch full quiet verbose ctld hurry me interactive"),
    short={"n": "name", "u": "user", "t": "state", "s": "signal", "b": "batch", "f": "full", "Q": "quiet"}
    | {"v": "verbose", "H": "hurry", "A": "account", "p": "partition", "q": "qos", "i": "interactive"},
)

SCONTROL = Syntax(
    valued=frozenset(),
    flags=_words("oneliner details all hide quiet verbose"),
    short={"o": "oneliner", "d": "details", "a": "all", "Q": "quiet", "v": "verbose"},
)

SACCT = Syntax(
    valued=_words("jobs format starttime endtime state name user accounts delimiter units"),
    flags=_words("parsable2 parsable noheader allocations duplicates allusers array long"),
    short={
        "P": "parsable2", "p": "parsable", "n": "noheader", "X": "allocations", "D": "duplicates", "a": "allusers",
        "j": "jobs", "o": "format", "S": "starttime", "E": "endtime", "s": "state", "u": "user", "l": "long",
    },
)  # fmt: skip


def indices(text: str) -> tuple[tuple[int, ...], int | None]:
    """Return the indices that ``--array`` names, and its limit.

    Raises:
        ValueError: if it names none.
    """
    match = re.fullmatch(r"([\d,:-]+)(?:%(\d+))?", text)
    if match is None:
        raise ValueError(text)
    found: dict[int, None] = {}
    for part in match[1].split(","):
        piece = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if piece is None:
            raise ValueError(text)
        first, last, step = int(piece[1]), int(piece[2] or piece[1]), int(piece[3] or 1)
        found |= dict.fromkeys(range(first, last + 1, step))
    if not found:
        raise ValueError(text)
    return tuple(sorted(found)), int(match[2]) if match[2] and int(match[2]) else None


def job_ids(text: str) -> list[tuple[int, frozenset[int] | None]]:
    """Return what a list of ids names: the number of each, and the elements of the array if it names some.

    Raises:
        ValueError: if that is none.
    """
    found: list[tuple[int, frozenset[int] | None]] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\]?)+", text):
        match = re.fullmatch(r"(\d+)(?:_(?:(\d+)|\[([\d,%:-]+)\]|(\*)))?", part)
        if match is None:
            raise ValueError(part)
        some = match[2] or match[3]
        found.append((int(match[1]), frozenset(indices(some)[0]) if some else None))
    return found


def duration(text: str) -> float:
    """Return the seconds that ``--time`` means.

    Raises:
        ValueError: if it is none.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise ValueError(text)
    days, first, second, third = (int(group) if group else 0 for group in match.groups())
    if match[1]:
        return days * 86400 + first * 3600 + second * 60 + third
    return first * 3600 + second * 60 + third if match[4] else first * 60 + second
