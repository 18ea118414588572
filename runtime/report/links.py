"""`Links`: symbolic links to the directories of a run's jobs, in ``running/``, ``passed/``, ``failed/``, ``killed/``.

Each job has at most one link, in the folder of its status. The links follow the run as fast as the disk allows; of
several changes in that time the last one counts. At the end of the run every link is moved to its final folder.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

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
    """The links of one run. Every method but `is_due` blocks: for threads. Calls for different jobs may overlap.

    The folders are held open, so a symbolic link that a job puts in the place of a folder is not followed.

    Args:
        roots: the roots of the run; must be open at the first call.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._folders: dict[str, Descriptor] = {}
        """The descriptor of each folder, by the folder's name."""
        self._made: dict[str, str] = {}
        """The folder that a job's link is in, by the job's id."""
        self._moving: set[str] = set()
        """Ids of the jobs for which a call is in progress. It may hang in the job's file system."""

    def make_folders(self) -> None:
        """Make the folders, without what an earlier segment has left in them, and open them; `close` closes them.

        Raises:
            OSError: if one cannot be made.
        """
        with self._roots.run.root.descriptor as root:
            for folder in FOLDERS.values():
                self._roots.run.below(folder).remove()
                self._folders[folder] = Descriptor(make_new_directory(root, os.fsencode(folder)))

    def is_due(self, change: tuple[str, str | None, JobStatus]) -> bool:
        """Whether `move` would make, move or remove a link. Does not block, and is for any thread."""
        job_id, odir, status = change
        made = self._made.get(job_id)
        return FOLDERS.get(status) != made and (odir is not None or made is not None)

    def move(self, change: tuple[str, str | None, JobStatus]) -> None:
        """Move the link of a job to the folder of its status.

        An error is ignored: a full disk must cost the links, not the run.

        Args:
            change: the id of the job, its output directory if that is known, and its status.
        """
        job_id, odir, status = change
        folder = FOLDERS.get(status)
        # While a call for this job hangs, further calls would hang too, each in a thread of its own.
        if folder == self._made.get(job_id) or job_id in self._moving:
            return
        self._moving.add(job_id)
        try:
            with suppress(OSError):
                self._move(job_id, odir, folder)
        finally:
            self._moving.discard(job_id)

    def _move(self, job_id: str, odir: str | None, folder: str | None) -> None:
        name = safe_id(job_id)
        old = self._made.pop(job_id, None)
        if old is not None:
            with suppress(FileNotFoundError), self._folders[old] as fd:
                os.unlink(name, dir_fd=fd)
        if folder is None or odir is None:
            return
        target = self._roots.resolve(odir)
        if stat.S_ISDIR(target.status().st_mode):  # a job that never ran has no directory
            with suppress(FileExistsError), self._folders[folder] as fd:
                os.symlink(self._link_target(target), name, dir_fd=fd)
            self._made[job_id] = folder

    def _link_target(self, target: RootedPath) -> str:
        """Return the content of a link to `target`: relative inside the run directory, absolute elsewhere."""
        # Relative, because a user may move the run directory as a whole. Not by `os.path.relpath`: ``..`` of a path
        # that leads through a symbolic link is another directory than that path suggests.
        inside = target.root is self._roots.run.root
        return os.path.normpath(f"../{target.relative}") if inside else target.real

    def close(self) -> None:
        """Close the folders. A call that hangs makes no link after this."""
        for folder in self._folders.values():
            folder.close()


def point_latest(run_dir: Path) -> None:
    """Make ``latest``, next to the run's directory, a symbolic link to it. An older link is replaced atomically.

    Raises:
        OSError: if that fails, for example because ``latest`` is no symbolic link.
    """
    temporary = f".latest.{run_dir.name}"
    parent = os.open(run_dir.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISLNK(status_of(parent, "latest").st_mode):
                msg = "is no symbolic link and stays as it is; remove it to get a link to the latest run"
                raise FileExistsError(errno.EEXIST, msg, str(run_dir.parent / "latest"))
        os.symlink(run_dir.name, temporary, target_is_directory=True, dir_fd=parent)
        try:
            rename(parent, temporary, "latest")
        except OSError:
            unlink(parent, temporary)
            raise
    finally:
        os.close(parent)
