"""The exit record: what a job itself says of its end, in a file that is named by its token. Pure.

The record has the last word on how a job ended, so it is read strictly. Its last line repeats the token; without that
it is not complete, and so is no record yet, which is as good as renaming and costs no process. What is complete and
reads wrongly is no record either: its job ends as *lost*, never as passed.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

_FIRST: Final = "job-runtime end 1"
_MAX_SIGNAL: Final = 64
"""Linux has as many."""
_SIGNAL_OFFSET: Final = 128
"""What a shell adds to the number of a signal."""
_HOW: Final = ("", "exit", "killed", "core")
"""What the wrapper has found out about a code that may be a signal's: nothing, which counts as a signal; that it is a
code; that it is a signal; and that there is a core of it, too."""
_KEYS: Final = ("token", "id", "restart", "host", "launch", "status", "stopped", "uptime", "peak")
_TIMES: Final = re.compile(r"(\d+)m(\d+(?:\.\d+)?)s (\d+)m(\d+(?:\.\d+)?)s", re.ASCII)
_LAUNCHES: Final = {
    "": None,
    "log": "its log cannot be created",
    "program": "there is no such program, or it may not be executed",
    "directory": "the directory that it runs in (its cwd, or else its odir) does not exist, or may not be entered",
    "exec": "the system does not execute its program, or not with so long a command",
}


@attrs.frozen
class Record:
    """How one start of a job ended."""

    restarts: int
    """How often the system had started it again."""
    id: str
    """The system's id of the element, for people."""
    host: str
    """The node that it ran on."""
    launch_error: str | None = None
    """Why it could not be started there, if it could not."""
    code: int | None = None
    """The exit code, when it exited."""
    signal: int | None = None
    """The number of the signal that ended it, when one did."""
    core_dumped: bool = False
    stopped: str | None = None
    """The name of a signal, less ``SIG``, that the wrapper was sent meanwhile."""
    seconds: float | None = None
    """How long it ran, by a clock of its node that nobody sets."""
    cpu_seconds: float | None = None
    """User and system time of all its processes that were waited for, seconds."""
    peak_bytes: int | None = None
    """The largest amount of memory that it had, all its processes together, where the system keeps it in a cgroup."""


def parse_record(raw: bytes, token: str) -> Record | None:
    """Return the record in `raw`, or `None` if it is not complete, not of this job, or no record."""
    text = raw.decode("utf-8", "replace")
    if not text.endswith(f"\nend {token}\n"):
        return None
    lines = text.split("\n")[:-2]
    if len(lines) != len(_KEYS) + 4 or lines[0] != _FIRST or lines[-3] != "times":
        return None
    values = {}
    for key, line in zip(_KEYS, lines[1:], strict=False):
        name, _, value = line.partition(" ")
        if name != key:
            return None
        values[key] = value
    try:
        return _record(values, lines[-1]) if values["token"] == token else None
    except ValueError:
        return None


def _record(values: dict[str, str], times: str) -> Record:
    code: int | None = None
    signal: int | None = None
    launch = values["launch"]
    if launch not in _LAUNCHES:
        raise ValueError(launch)
    how = ""
    if not launch:
        number, _, how = values["status"].partition(" ")
        status = _whole(number)
        if how not in _HOW:
            raise ValueError(how)
        if _SIGNAL_OFFSET < status <= _SIGNAL_OFFSET + _MAX_SIGNAL and how != "exit":
            signal = status - _SIGNAL_OFFSET
        else:
            code = status
    begun, ended = map(float, values["uptime"].split(" "))
    spent = _TIMES.fullmatch(times)
    if spent is None:
        raise ValueError(times)
    user, system = (60 * int(minutes) + float(seconds) for minutes, seconds in (spent.group(1, 2), spent.group(3, 4)))
    return Record(
        restarts=_whole(values["restart"]),
        id=values["id"],
        host=values["host"],
        launch_error=_LAUNCHES[launch],
        code=code,
        signal=signal,
        core_dumped=how == "core",
        stopped=values["stopped"] or None,
        seconds=max(0.0, ended - begun),
        cpu_seconds=user + system,
        peak_bytes=_whole(values["peak"]) if values["peak"] else None,
    )


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
