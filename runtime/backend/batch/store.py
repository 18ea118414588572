"""`Store`: the files that the backend and the jobs on other machines exchange. All of it blocks: call it in threads.

::

    <run directory>/.batch/
        wrapper                  the script that every element runs
        arrays/<name>/<index>    what an element runs
        arrays/<name>/jobs       which job each index is, one line of JSON each; read by a run that adopts
        ends/<xx>/<token>.run    the claim of the element that runs the job; a directory if the job must not begin
        ends/<xx>/<token>.end    the exit record of the job

The nodes must have the run directory at the same path. All files are below it, but those whose paths a job's own
specification gives.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from runtime.backend.batch.exit_records import ExitRecord, parse_record
from runtime.backend.batch.job_files import JobFiles, Member
from runtime.backend.batch.wrapper import FOLDER, render_wrapper
from runtime.backend.job_paths import write_private
from runtime.process import is_out_of_resources
from runtime.roots import RootedPath, Roots

logger: Final = logging.getLogger("runtime.backend.batch")

_MAX_RECORD_BYTES: Final = 1 << 16
"""Bytes of a record that are read; a real one has fewer than 1,000. A limit, as any job can write the file."""

_MAX_LIST_BYTES: Final = 1 << 28
"""Bytes that are read of the list of an array's jobs; a million jobs take some 100 MB. It is read into memory, and any
job can write the file. Arbitrary: with a tenth, the jobs of the largest arrays would not be adopted."""


class Store:
    """The files of one run.

    Args:
        roots: where the run has its files; open.
        job_files: write down what an element runs.
    """

    def __init__(self, roots: Roots, job_files: JobFiles) -> None:
        self.job_files = job_files
        self._roots = roots
        folder = roots.run.below(FOLDER)
        self._script = folder.below("wrapper")
        self._arrays = folder.below("arrays")
        self._ends = folder.below("ends")
        self._text = b""  # of the script
        self._written: object = None

    @property
    def run_dir(self) -> str:
        """The path of the run directory."""
        return self._roots.run_dir

    @property
    def wrapper(self) -> str:
        """The path of the script."""
        return str(self._script)

    def lay_out(self, prologue: str) -> None:
        """Make the directories, and write the wrapper for the system with this prologue.

        Raises:
            OSError: if that cannot be done.
        """
        self._text = render_wrapper(prologue)
        self._write_script()

    def _write_script(self) -> None:
        for path in (self._arrays, self._ends):
            path.make_directory()
        self._script.replace(self._text, 0o755)
        self._written = _identity(self._script.status())

    def _renew_script(self) -> None:
        """Write the wrapper again if a job has removed or replaced it.

        The system opens it by its path: it would submit a planted script, and wait for a planted FIFO.
        """
        if not self._text:
            return  # another store has written it
        try:
            there = _identity(self._script.status()) == self._written
        except FileNotFoundError:
            there = False
        if not there:
            logger.warning("%s was removed or replaced, and is written again", self._script)
            self._write_script()

    def write_array(self, name: str, members: Sequence[Member]) -> str:
        """Write the files of an array's elements, and return the directory they are in.

        Raises:
            OSError, ValueError: if that cannot be done.
        """
        self._renew_script()
        directory = self._arrays.below(name)
        directory.make_directory()
        for shard in {member.token[:2] for member in members}:
            self._ends.below(shard).make_directory()
        for index, member in enumerate(members):
            text = self.job_files.render(member, f"{self._ends}/{_sharded(member.token)}")
            write_private(directory.below(str(index)), text)
        lines = (
            json.dumps({"index": index, "token": member.token, "job": member.spec.id, "attempt": member.attempt})
            for index, member in enumerate(members)
        )
        directory.below("jobs").replace("".join(f"{line}\n" for line in lines).encode(), 0o600)
        return str(directory)

    def read_records(self, tokens: Iterable[str]) -> tuple[dict[str, ExitRecord], set[str]]:
        """Return the records that exist, by token, and the tokens whose records could not be read for lack of
        descriptors.

        The latter are not known to be absent: try again later.
        """
        found: dict[str, ExitRecord] = {}
        unread: set[str] = set()
        for token in tokens:
            try:
                record = parse_record(self._end(token).read(_MAX_RECORD_BYTES), token)
            except OSError as exc:
                if is_out_of_resources(exc):
                    unread.add(token)
                continue
            if record is not None:
                found[token] = record
        return found, unread

    def read_all_records(self, tokens: Iterable[str]) -> dict[str, ExitRecord]:
        """Return the records that exist, by token.

        Raises:
            OSError: if there is no descriptor to read one.
        """
        found, unread = self.read_records(tokens)
        if unread:
            raise OSError(errno.EMFILE, f"{len(unread)} exit records cannot be opened")
        return found

    def claimed(self, tokens: Iterable[str]) -> set[str]:
        """Return the tokens of those jobs that have begun.

        Raises:
            OSError: if there is no descriptor to find that out.
        """
        return {token for token in tokens if self._claim_mode(token)}

    def revoked(self, tokens: Iterable[str]) -> set[str]:
        """Return the tokens of those jobs that were revoked, and so never begin.

        Raises:
            OSError: if there is no descriptor to find that out.
        """
        return {token for token in tokens if stat.S_ISDIR(self._claim_mode(token))}

    def _claim_mode(self, token: str) -> int:
        """Return the file type and the mode of a claim; 0 if there is none."""
        try:
            return self._claim(token).status().st_mode
        except OSError as exc:
            if is_out_of_resources(exc):
                raise
            return 0

    def has_files_of(self, token: str, array: str) -> bool:
        """Whether the files of a job and of its array still exist. If not, a job has removed or replaced them."""
        try:
            listed = self._arrays.below(f"{array}/jobs").status()
            shard = self._ends.below(token[:2]).status()
        except OSError as exc:
            return not is_permanent(exc)
        return stat.S_ISREG(listed.st_mode) and stat.S_ISDIR(shard.st_mode)

    def is_in_place(self) -> bool:
        """Whether the path of the run directory still leads to the directory that was opened."""
        try:
            return os.path.samestat(os.stat(self._roots.run_dir), self._roots.run.status())
        except OSError:
            return False

    def revoke(self, tokens: Iterable[str], restarted: Collection[str] = ()) -> None:
        """Claim jobs that must not begin any more: an element that is started all the same sees the claim and ends.

        Such a claim is a directory, which is made atomically, too, and which the wrapper cannot remove by `rm -f`. So
        it also holds for an element that the system starts again.

        Args:
            tokens: of the jobs. Those that have begun keep their claims.
            restarted: those that the system has started again: their claims may be of earlier starts, and are replaced.
                One that has begun again does not notice: the wrapper keeps its claim open.
        """
        for token in tokens:
            claim = self._claim(token)
            with suppress(OSError):  # it has begun; or the file system fails, and the cancel alone has to do
                if token in restarted:
                    claim.unlink(missing_ok=True)
                os.close(claim.make_new_directory(0o700))

    def forget(self, token: str) -> None:
        """Remove the claim and the record of a job that does not run, so that it can run again."""
        for path in (self._claim(token), self._end(token)):
            with suppress(FileNotFoundError):
                path.remove()  # the claim may be a directory: see `revoke`

    def arrays(self, prefix: str) -> dict[str, list[tuple[str, str, int]]]:
        """Return the arrays whose names have this prefix: the token, id and attempt of each job, by index.

        Raises:
            OSError: if the arrays cannot be listed, or if there is no descriptor to read one.
        """
        found = {}
        for name in sorted(name for name in self._arrays.names() if name.startswith(prefix)):
            try:
                raw = self._arrays.below(f"{name}/jobs").read(_MAX_LIST_BYTES)
                jobs = [json.loads(line) for line in raw.splitlines()]
                found[name] = [(job["token"], job["job"], job["attempt"]) for job in jobs]
            except (OSError, ValueError, KeyError, TypeError) as exc:  # half written: not submitted
                if is_out_of_resources(exc):
                    raise
        return found

    def _claim(self, token: str) -> RootedPath:
        return self._ends.below(f"{_sharded(token)}.run")

    def _end(self, token: str) -> RootedPath:
        return self._ends.below(f"{_sharded(token)}.end")


def _sharded(token: str) -> str:
    return f"{token[:2]}/{token}"


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_ino, status.st_size


_PERMANENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


def is_permanent(error: OSError) -> bool:
    """Whether an error says that a file of ours is gone or replaced, and not that it cannot be looked for now."""
    return error.errno in _PERMANENT


def may_appear(path: RootedPath) -> bool:
    """Whether a file that is absent may still appear on a slow file system.

    Not if a link or a file has replaced a directory above it: waiting does not change that.
    """
    try:
        path.status()
    except FileNotFoundError:
        return True
    except OSError as exc:
        return not is_permanent(exc)
    return False
