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
    """The links of one run. Everything here blocks, and belongs in a thread, one call at a time.

    It holds its folders open: a link that a job puts in a folder's place leads nobody astray.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._folders: dict[str, int] = {}
        """Name of the folder to its descriptor."""
        self._made: dict[str, str] = {}
        """Id of the job to the folder that its link is in."""

    def make_folders(self) -> None:
        """Make the folders, empty, and open them; `close` closes them.

        Raises:
            OSError: if one cannot be made.
        """
        for folder in FOLDERS.values():
            path = self._run_dir / folder
            path.mkdir()
            self._folders[folder] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def move(self, jobs: Mapping[str, tuple[Any, JobStatus]]) -> None:
        """Move the links of `jobs`, by id, to the folders of their status.

        A link that cannot be made is passed over: a full disk costs the overview, not the run.
        """
        for job_id, (job, status) in jobs.items():
            folder = FOLDERS.get(status)
            old = self._made.get(job_id)
            if folder == old:
                continue
            name = safe_id(job_id)
            with suppress(OSError):
                if old is not None:
                    del self._made[job_id]
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=self._folders[old])
                target = job_dir(job, self._run_dir)
                if folder is not None and target.is_dir():  # a job that never ran has none
                    with suppress(FileExistsError):
                        os.symlink(os.path.relpath(target, self._run_dir / folder), name, dir_fd=self._folders[folder])
                    self._made[job_id] = folder

    def settle(self, results: list[JobResult]) -> None:
        """Make the links right for the results of a run that has ended."""
        self.move({result.id: (result.job, result.status) for result in results})

    def close(self) -> None:
        """Close the folders."""
        while self._folders:
            os.close(self._folders.popitem()[1])


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
