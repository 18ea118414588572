"""The soft step of a stop: a signal or a file before SIGTERM, on which a job can close its files."""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs

from runtime.job import JobSpec, check_soft_stop
from runtime.roots import RootedPath


@attrs.frozen
class SoftStep:
    """The soft step of one job."""

    what: int | RootedPath
    """The number of a signal for all processes of the job, or a file to make."""
    seconds: float | None
    """The soft timeout: seconds until SIGTERM, at most; `None` for no limit."""


@attrs.frozen
class SoftSteps:
    """Returns the soft step of each job: its own, or that of the backend."""

    stop: int | str | None
    """The number of a signal, or the name of a file, for jobs that name neither; `None` for no soft step."""
    seconds: float | None
    """The soft timeout of jobs that name none; `None` for no limit."""

    @classmethod
    def checked(cls, who: str, stop: object, seconds: float | None) -> SoftSteps:
        """Return the soft steps for the arguments of the backend `who`.

        Raises:
            ValueError: if `stop` is neither a `SoftStop` nor `None`.
        """
        try:
            return cls(None if stop is None else check_soft_stop(stop), seconds)
        except ValueError as exc:
            raise ValueError(f"{who}: soft_stop is {exc}") from None

    def of(self, spec: JobSpec, odir: str, locate: Callable[[str], RootedPath]) -> SoftStep | None:
        """Return the step of one job; `None` if it has none. Blocks only if `locate` does.

        Args:
            spec: the job.
            odir: the absolute path of its output directory, to which the name of a file is relative.
            locate: returns an absolute path with its root, for a file.
        """
        given = spec.soft_stop
        stop = self.stop if given is None else given and check_soft_stop(given)
        if not stop:  # `False` if the job says that it has none
            return None
        what = locate(os.path.normpath(os.path.join(odir, stop))) if isinstance(stop, str) else stop
        return SoftStep(what, self.seconds if spec.soft_timeout is None else spec.soft_timeout)
