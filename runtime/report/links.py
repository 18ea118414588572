"""Links ``running/ passed/ failed/ killed/`` in a run's directory, to the directories of its jobs.

Each job has at most one link, in the folder of its status. The links follow the run as closely as a disk allows; what
changes quicker than that is linked once. `settle` makes them right at the end, whatever was missed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from runtime.job import JobResult, JobStatus, safe_id
from runtime.report.places import job_dir

FOLDERS: Final = {
    JobStatus.RUNNING: "running",
    JobStatus.PASSED: "passed",
    JobStatus.FAILED: "failed",
    JobStatus.KILLED: "killed",
}


class Links:
    """The links of one run. Everything here blocks, and belongs in a thread, one call at a time."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._made: dict[str, str] = {}
        """Id of the job to the folder that its link is in."""

    def make_folders(self) -> None:
        """Make the folders, empty.

        Raises:
            OSError: if one cannot be made.
        """
        for folder in FOLDERS.values():
            (self._run_dir / folder).mkdir()

    def move(self, jobs: Mapping[str, tuple[Any, JobStatus]]) -> None:
        """Move the links of `jobs`, by id, to the folders of their status.

        A link that cannot be made is passed over: a full disk costs the overview, not the run.
        """
        for job_id, (job, status) in jobs.items():
            folder = FOLDERS.get(status)
            old = self._made.get(job_id)
            if folder == old:
                continue
            with suppress(OSError):
                if old is not None:
                    (self._run_dir / old / safe_id(job_id)).unlink(missing_ok=True)
                    del self._made[job_id]
                if folder is not None and self._link(job, self._run_dir / folder / safe_id(job_id)):
                    self._made[job_id] = folder

    def settle(self, results: list[JobResult]) -> None:
        """Make the links right for the results of a run that has ended."""
        self.move({result.id: (result.job, result.status) for result in results})

    def _link(self, job: Any, link: Path) -> bool:
        """Make the link of a job; not one that leads nowhere, as for a job that never ran."""
        target = job_dir(job, self._run_dir)
        if not target.is_dir():
            return False
        with suppress(FileExistsError):
            link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
        return True


def point_latest(run_dir: Path) -> None:
    """Let ``latest``, beside the run's directory, lead to it; replaced in one step.

    Raises:
        OSError: if that cannot be done, as when ``latest`` is something else than a link.
    """
    latest = run_dir.parent / "latest"
    if latest.exists() and not latest.is_symlink():
        msg = "is no link; it was left alone"
        raise FileExistsError(errno.EEXIST, msg, str(latest))
    temporary = latest.with_name(f".latest.{run_dir.name}")
    temporary.symlink_to(run_dir.name, target_is_directory=True)
    try:
        temporary.replace(latest)
    except OSError:
        temporary.unlink()
        raise
