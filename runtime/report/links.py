"""Links ``running/ passed/ failed/ killed/`` in a run's directory, to the directories of its jobs.

Each job has at most one link, in the folder of its status. The links follow the run as closely as a disk allows; what
changes quicker than that is linked once. At the end each job is moved to where it belongs, whatever was missed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from runtime.backend.job_paths import JobPaths
from runtime.descriptors import Descriptor
from runtime.job import JobStatus, safe_id
from runtime.rooted import make_new_directory, rename, unlink
from runtime.rooted import status as status_of
from runtime.roots import RootedPath, Roots

FOLDERS: Final = {
    JobStatus.RUNNING: "running",
    JobStatus.PASSED: "passed",
    JobStatus.FAILED: "failed",
    JobStatus.KILLED: "killed",
}


class Links:
    """The links of one run. Everything here blocks, and belongs in threads; calls for different jobs may overlap.

    It holds its folders open: a link that a job puts in a folder's place leads nobody astray.

    Args:
        roots: of the run; open by the time of the first call.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._folders: dict[str, Descriptor] = {}
        """Name of the folder to its descriptor."""
        self._made: dict[str, str] = {}
        """Id of the job to the folder that its link is in."""
        self._moving: set[str] = set()
        """Jobs for which a call is in progress: it may be held up by the job's file system."""

    def make_folders(self) -> None:
        """Make the folders, empty, and open them; `close` closes them.

        Raises:
            OSError: if one cannot be made.
        """
        with self._roots.run.root.descriptor as root:
            for folder in FOLDERS.values():
                self._folders[folder] = Descriptor(make_new_directory(root, os.fsencode(folder)))

    def move(self, change: tuple[str, Any, JobStatus]) -> None:
        """Move the link of a job, given by its id, itself and its status, to the folder of that.

        A link that cannot be made is passed over: a full disk costs the overview, not the run.
        """
        job_id, job, status = change
        folder = FOLDERS.get(status)
        if folder == self._made.get(job_id) or job_id in self._moving:
            return
        self._moving.add(job_id)
        try:
            with suppress(OSError):
                self._move(job_id, job, folder)
        finally:
            self._moving.discard(job_id)

    def _move(self, job_id: str, job: Any, folder: str | None) -> None:
        name = safe_id(job_id)
        old = self._made.pop(job_id, None)
        if old is not None:
            with suppress(FileNotFoundError), self._folders[old] as fd:
                os.unlink(name, dir_fd=fd)
        if folder is None:
            return
        target = self._roots.resolve(JobPaths.of(job, self._roots.run_dir).odir)
        if stat.S_ISDIR(target.status().st_mode):  # a job that never ran has none
            with suppress(FileExistsError), self._folders[folder] as fd:
                os.symlink(self._way_to(target), name, dir_fd=fd)
            self._made[job_id] = folder

    def _way_to(self, target: RootedPath) -> str:
        """Return what a link in a folder says. The run directory may be moved as a whole, and may lie behind links."""
        inside = target.root is self._roots.run.root
        return os.path.normpath(f"../{target.relative}") if inside else target.real

    def close(self) -> None:
        """Close the folders. A call that is stuck makes no link any more."""
        for folder in self._folders.values():
            folder.close()


def point_latest(run_dir: Path) -> None:
    """Let ``latest``, beside the run's directory, lead to it; replaced in one step.

    Raises:
        OSError: if that cannot be done, as when ``latest`` is something else than a link.
    """
    temporary = f".latest.{run_dir.name}"
    parent = os.open(run_dir.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISLNK(status_of(parent, "latest").st_mode):
                msg = "is no link; it was left alone"
                raise FileExistsError(errno.EEXIST, msg, str(run_dir.parent / "latest"))
        os.symlink(run_dir.name, temporary, target_is_directory=True, dir_fd=parent)
        try:
            rename(parent, temporary, "latest")
        except OSError:
            unlink(parent, temporary)
            raise
    finally:
        os.close(parent)
