"""The soft step of a stop: a signal or a file before SIGTERM, on which a job can close its files.

It is the same for all jobs of a backend, or the result of a function for each job.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from typing import Any, Final

import attrs

from runtime.job.numbers import brief, is_number
from runtime.roots import RootedPath

SoftStop = signal.Signals | str | None
"""A signal for all processes of the job, or its name; the name of a file to make; or `None` for no soft step."""

SOFT_STOPS: Final = "None, a signal ('SIGINT', signal.SIGINT), or the name of a file"


@attrs.frozen
class SoftStep:
    """The soft step of one job."""

    what: int | RootedPath
    """The number of a signal for all processes of the job, or a file to make."""
    seconds: float | None
    """The soft timeout: seconds until SIGTERM, at most; `None` for no limit."""


def check_soft_stop(given: object) -> int | str | None:
    """Return the number of the signal, the name of the file, or `None`.

    Raises:
        ValueError: if it is none of these; the message says what was expected.
    """
    if given is None or isinstance(given, signal.Signals):
        return None if given is None else int(given)
    if isinstance(given, str) and given and "\0" not in given:
        if not given.startswith("SIG"):
            return given
        if given in signal.Signals.__members__:
            return int(signal.Signals[given])
        msg = f"{given!r}, which is no signal; expected for a file of that name: './{given}'"
        raise ValueError(msg)
    msg = f"{given!r}; expected {SOFT_STOPS}"
    raise ValueError(msg)


@attrs.frozen
class SoftSteps:
    """Returns the soft step of each job."""

    stop: int | str | Callable[[Any], Any] | None
    """Checked, or a function of a job's specification that returns a `SoftStop`, or a pair of one and its seconds."""
    seconds: float | None
    """The soft timeout of jobs without one of their own; `None` for no limit."""

    @classmethod
    def checked(cls, stop: object, seconds: float | None) -> SoftSteps:
        """Return the soft steps for the arguments of a backend.

        Raises:
            ValueError: as for `check_soft_stop`.
        """
        if callable(stop) and not isinstance(stop, signal.Signals):
            return cls(stop, seconds)
        try:
            return cls(check_soft_stop(stop), seconds)
        except ValueError as exc:
            msg = f"soft_stop is {exc}, or a function from a job to one of these"
            raise ValueError(msg) from None

    def of(self, spec: Any, odir: str, locate: Callable[[str], RootedPath]) -> SoftStep | None:
        """Return the step of one job; `None` if it has none.

        May call the user's function: for threads.

        Args:
            spec: the job.
            odir: the absolute path of its output directory.
            locate: returns an absolute path with its root, for a file.

        Raises:
            ValueError: if the function raises, or returns no soft step.
        """
        stop, seconds = self.stop, self.seconds
        if callable(stop):
            try:
                returned = stop(spec)
            except (Exception, SystemExit) as exc:
                msg = f"soft_stop raised {exc!r}"
                raise ValueError(msg) from exc
            is_pair = isinstance(returned, tuple) and len(returned) == 2  # noqa: PLR2004 - a pair
            given, seconds = returned if is_pair else (returned, seconds)
            if seconds is not None and not (seconds == math.inf or (is_number(seconds) and seconds > 0)):
                msg = f"soft_stop of this job has {brief(seconds)} seconds; expected a positive number, or None"
                raise ValueError(msg)
            try:
                stop = check_soft_stop(given)
            except ValueError as exc:
                msg = f"soft_stop of this job is {exc}, or a pair of one of these and its seconds"
                raise ValueError(msg) from None
        if stop is None:
            return None
        what = locate(os.path.normpath(os.path.join(odir, stop))) if isinstance(stop, str) else stop
        return SoftStep(what, seconds)
