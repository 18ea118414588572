"""What the words of LSF's programs mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

BSUB: Final = {
    **dict.fromkeys(
        ("-J", "-Jd", "-o", "-e", "-cwd", "-Q", "-q", "-P", "-W", "-M", "-n", "-R", "-sp", "-m", "-env"), 1
    ),
    **dict.fromkeys(("-r", "-rn", "-H"), 0),
}
BJOBS: Final = {**dict.fromkeys(("-J", "-o", "-u"), 1), **dict.fromkeys(("-a", "-json", "-noheader"), 0)}
BKILL: Final = {"-s": 1}
BMOD: Final = {"-R": 1}
BPARAMS: Final = {"-a": 0}

_SECTION: Final = re.compile(r"(select|rusage|span|order|same)\[([^\[\]]*)\]")
_NOT_HOST: Final = re.compile(r"hname!='([\w.-]+)'")
_USAGE: Final = re.compile(r"(mem|vcs_lic)=\d+(MB|GB)?(/job|/host|/task)?")

_KNOWN: Final[Mapping[str, Callable[[str], bool]]] = {
    "rusage": lambda inside: all(map(_USAGE.fullmatch, inside.split(","))),
    "span": lambda inside: inside == "hosts=1",
    "order": bool,
    "same": bool,
}


def indices(text: str) -> list[int]:
    """Return the indices in ``1-3,5``.

    Raises:
        ValueError: if it is something else.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[1]) < 1 or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(text)
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def seconds(text: str) -> float:
    """Return the seconds in a run limit: ``90``, or ``1:30``, are minutes, with hours before them.

    Raises:
        ValueError: if it is something else.
    """
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", text)
    if match is None:
        raise ValueError(text)
    return 60 * (60 * int(match[1] or 0) + int(match[2]))


def excluded_nodes(requirements: Sequence[str]) -> frozenset[str]:
    """Return the nodes that resource requirements exclude.

    Raises:
        ValueError: if one is not in the syntax of LSF, or names what the fake does not have.
    """
    found: set[str] = set()
    for text in requirements:
        sections = _SECTION.findall(text)
        if not sections or _SECTION.sub("", text).strip():
            raise ValueError(text)
        for section, inside in sections:
            if section == "select":
                found |= set(_NOT_HOST.findall(inside))
            elif not _KNOWN[section](inside):
                raise ValueError(text)
    return frozenset(found)
