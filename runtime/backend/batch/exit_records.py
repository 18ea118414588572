"""The exit record: the wrapper's report of how a job ended, in a file that is named by the job's token. Pure.

The record decides how a job ended, so it is parsed strictly. Its last line repeats the token; a file without that line
is not complete, and is no record yet. That is as safe as to rename a finished file into place, and costs no process. A
complete file that cannot be parsed is no record either: its job ends as *lost*, never as passed.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

# Exit codes of the wrapper of which no record tells.
UNSEEN: Final = 113
"""The exit code of a wrapper whose node does not see the run directory, or cannot write to it. Arbitrary: any code that
shells and programs seldom use."""

TAKEN: Final = 114
"""The exit code of a wrapper that finds its job claimed by another copy. Arbitrary, too."""

_FIRST: Final = "job-runtime end 1"
_MAX_SIGNAL: Final = 64
"""The highest signal number of Linux."""
_SIGNAL_OFFSET: Final = 128
"""What a shell adds to a signal's number to make an exit status."""
_HOW: Final = ("", "exit", "killed", "core")
"""What the wrapper found out about a status above 128: nothing (which counts as a signal), an exit code, a signal, or a
signal with a core dump."""
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
class ExitRecord:
    """How one start of a job ended."""

    restarts: int
    """How often the system had started the job again before this start."""
    id: str
    """The system's id of the element, for people."""
    host: str
    """The node that it ran on."""
    launch_error: str | None = None
    """Why it could not be started there; `None` if it was started."""
    code: int | None = None
    """The exit code; `None` if it did not exit."""
    signal: int | None = None
    """The number of the signal that ended it; `None` if none did."""
    core_dumped: bool = False
    stopped: str | None = None
    """The name, less ``SIG``, of a signal that the wrapper received while the job ran."""
    seconds: float | None = None
    """How long it ran, by the monotonic clock of its node."""
    cpu_seconds: float | None = None
    """User and system time of all its processes that were reaped, in seconds."""
    peak_bytes: int | None = None
    """The peak memory of all its processes together; `None` without a cgroup of its own."""


def parse_record(raw: bytes, token: str) -> ExitRecord | None:
    """Return the record in `raw`, or `None` if it is incomplete, of another job, or not a record."""
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


def _record(values: dict[str, str], times: str) -> ExitRecord:
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
    return ExitRecord(
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
