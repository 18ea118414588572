"""`RunDirectory`: the directory below which a native backend runs its jobs."""

from __future__ import annotations

import os
import tempfile
from typing import Final

from runtime.backend.job_paths import job_paths
from runtime.job import JobPaths, JobSpec
from runtime.roots import Roots


class RunDirectory:
    """A run directory, which may be opened for several blocks one after the other.

    Args:
        given: its path, or the `Roots` of a run; open ones are shared. `None` for a private temporary directory, which
            is made once, by the first `open`, and never deleted.
    """

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self.path: str | None = None if given is None else os.fspath(given)
        """Its path; `None` for a temporary one that was not made yet."""
        self._shared: Final = given if isinstance(given, Roots) else None

    def open(self) -> Roots:
        """Return its roots, open. Blocks.

        Raises:
            OSError: if it cannot be made or opened.
        """
        if self._shared is not None and self._shared.is_open:
            return self._shared
        if self.path is None:
            self.path = tempfile.mkdtemp(prefix="job-runtime-")
        roots = Roots(os.path.abspath(self.path))
        roots.open()
        self.path = roots.run_dir
        return roots

    def paths_of(self, job: JobSpec) -> JobPaths | None:
        """Return the paths of a job's files; `None` before a temporary directory is made."""
        return None if self.path is None else job_paths(job, os.path.abspath(self.path))

    def close(self, roots: Roots) -> None:
        """Close what `open` has returned, unless it is shared."""
        if roots is not self._shared:
            roots.close()
