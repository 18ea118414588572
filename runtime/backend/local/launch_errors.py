"""What a launch that failed returns: the reason in words, and whether it may succeed later."""

from __future__ import annotations

import errno
import json
import os

import attrs

from runtime.job import JobSpec
from runtime.process import is_out_of_resources


@attrs.frozen
class NotLaunched:
    """A job that cannot be launched, and why."""

    why: str


@attrs.frozen
class OutOfResources:
    """The system is out of resources for now, and why."""

    why: str


class UnwatchedError(Exception):
    """A process was started, and killed at once, because there is no memory to watch it.

    The launch fails and is not tried again, because the job has begun.
    """

    def __str__(self) -> str:
        return "there is no memory to watch its process, so that was killed"


def explain(error: Exception, job: JobSpec | None = None) -> NotLaunched | OutOfResources:
    """Return the result of a launch that raised `error`: `OutOfResources` if the system is out of resources."""
    if isinstance(error, MemoryError):  # also out of resources, so the job is refused and may come later
        error = OSError(errno.ENOMEM, "")
    if isinstance(error, OSError):
        return (OutOfResources if is_out_of_resources(error) else NotLaunched)(describe(error, job))
    return NotLaunched(f"cannot be started: {error}")


def describe(error: OSError, job: JobSpec | None = None) -> str:
    """Return the message for an error of the system: its name, its text, its file, and a hint."""
    if error.errno is None:
        return f"cannot be started: {error}"
    name = errno.errorcode.get(error.errno, str(error.errno))
    about = "" if error.filename is None else f": {error.filename!r}"
    what = os.strerror(error.errno) if is_out_of_resources(error) else error.strerror
    return f"cannot be started: {name}, {what}{about}{_hint(error, job)}"


def _hint(error: OSError, job: JobSpec | None) -> str:
    """Return how to fix the error, where the text of the system does not tell; else an empty text."""
    if job is not None and job.cwd is not None and error.filename == os.path.abspath(job.cwd):
        return ", which is its cwd; expected a directory that exists and may be entered"
    if job is not None and isinstance(job.shell, str) and error.filename == job.shell and " " in job.shell:
        words = json.dumps([*job.shell.split(), "-c"], ensure_ascii=False)
        return f", which is its shell; expected a program, or its words, such as {words}"
    if error.errno == errno.ENOEXEC:
        return "; expected a program of this machine, or a script with a first line such as #!/bin/sh"
    if error.errno == errno.ENOENT and isinstance(error.filename, str) and "/" not in error.filename:
        return "; expected a program in the PATH of the job"
    return ""
