"""`RunJournal`: the journal of a run of the command line: its lock, its secret values, its records.

::

    take the lock ──► secret values ──► [ writer: `Begin` with what the run is made of … `End` ] ──► release the lock

Only the lock can refuse a run. Whatever else fails is said once, costs the record, and makes the exit code 74.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from runtime.cli.earlier import Earlier
from runtime.cli.provenance import (
    git_state,
    machine,
    package_version,
    python_version,
    tool_versions,
    version_commands,
)
from runtime.errors import JournalLockedError
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError
from runtime.jobfile.regression import Regression
from runtime.journal.disk import JournalFile
from runtime.journal.json_text import JSON
from runtime.journal.kept_records import KeptRecords
from runtime.journal.lock import acquire
from runtime.journal.outputs import OutputFinder
from runtime.journal.recorder import Recorder
from runtime.journal.replay import RunState
from runtime.journal.secret_values import SECRETS_NAME, SecretValues, append_secrets
from runtime.journal.writer import JournalWriter
from runtime.process import in_thread
from runtime.report.again import WAVES
from runtime.report.bucket_rules import BUCKETS
from runtime.report.known_issues import KNOWN, known_details
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.cli")


class RunJournal:
    """Writes the journal of one run.

    Args:
        roots: of the run; the run directory is open before `lock` is called.
        regression: what the job files say.
        jobs: of the run.
        options: of the command line, as `recorded_options` returns them.
        earlier: the segments before this one; `None` if it is the first.
    """

    def __init__(
        self,
        roots: Roots,
        regression: Regression,
        jobs: Sequence[JobSpec],
        options: Mapping[str, str],
        earlier: Earlier | None = None,
    ) -> None:
        self._roots = roots
        self._regression = regression
        self._jobs = jobs
        self._secrets = SecretValues(
            files=regression.recorded.texts,
            environment=dict(os.environ),
            variables=dict(regression.variables.given()),
            lists=regression.recorded.lists,
            options=options,
        )
        if earlier is not None and earlier.secrets_key is not None:
            self._secrets = attrs.evolve(self._secrets, key=earlier.secrets_key)
        self._lock = None if earlier is None else earlier.lock
        self.writer: Final = JournalWriter(JournalFile(roots), complete=OutputFinder(roots).complete)
        """An async context, in which the scheduler runs."""
        self._records = KeptRecords(self.writer, () if earlier is None else earlier.records)
        self.recorder: Final = Recorder(self._records, str(roots), state=None if earlier is None else earlier.state)
        """For the scheduler."""
        self._secrets_failure: str | None = None

    @property
    def failure(self) -> str | None:
        """What could not be recorded, in one line; `None` if nothing has failed."""
        return self.writer.failure or self._secrets_failure

    def state(self) -> RunState:
        """Return what was recorded of the run so far, whether or not it could be written. For any thread."""
        return self._records.state(str(self._roots))

    def break_off(self, why: str, token: str, epoch: float) -> None:
        """Record that the run ends early and out of order, and its jobs, if it never came to that.

        Args:
            why: what counts as the reason, unless the run is being stopped already.
            token: the run token.
            epoch: as for `Recorder.begin`.
        """
        if self._records.is_empty:
            self.recorder.begin(token, epoch)
            self.recorder.add(self._jobs)
        self.recorder.stopping(time.time() - epoch, why)

    async def record_removal(self, ids: Sequence[str]) -> bool:
        """Record that the output directories of these jobs are about to be removed; return whether that is written."""
        record = self.recorder.removal(ids)
        self.writer.append(record)
        is_written = await self.writer.written()
        if is_written:  # else nothing is removed, and no result may say so
            self._records.note(record)
        return is_written

    def lock(self) -> None:
        """Take the lock of the run directory, unless the run is resumed, which has it. Blocks.

        Raises:
            InputError: if another process writes the journal, or may do so.
            OSError: if the lock cannot be written.
        """
        if self._lock is not None:
            return
        try:
            self._lock = acquire(self._roots.run)
        except JournalLockedError as exc:
            raise InputError(str(exc)) from exc

    def close(self) -> None:
        """Release the lock, if it was taken. Blocks."""
        if self._lock is not None:
            self._lock.release()

    def write_secrets(self) -> None:
        """Write the secret values. Blocks. An error is logged, and is in `failure`."""
        try:
            append_secrets(self._roots.run, self._secrets)
        except OSError as exc:
            self._secrets_failure = f"{self._roots}/{SECRETS_NAME} cannot be written ({exc.strerror}); the run goes on"
            logger.error("%s", self._secrets_failure)

    async def describe(self, known: Mapping[str, JSON]) -> None:
        """Find out what the run is made of, for its first record. Takes bounded time.

        A cancel leaves out what is not known yet.

        Args:
            known: what needs no finding out, by key.
        """
        regression = self._regression
        details = {
            **known,
            "name": regression.name,
            "files": self._files(),
            BUCKETS: {name: list(patterns) for name, patterns in regression.buckets.items()},
            WAVES: list(regression.waves),
            KNOWN: known_details(regression.known),
            "environment": self._secrets.digests(self._secrets.environment),
            "variables": self._secrets.digests(self._secrets.variables),
            "machine": machine(),
        }
        self.recorder.details = details  # what is added below is there when it is written
        texts = {entry.name: entry.table.version for entry in regression.entries if entry.table.version is not None}

        async def ask_tools() -> None:
            details["tools"] = await tool_versions(version_commands(self._jobs, texts))

        async def ask_git() -> None:
            details["git"] = await git_state(str(regression.directory), str(Path(self._roots).parent))

        details["versions"] = {
            "runtime": await in_thread(package_version, limiter=trio.CapacityLimiter(1)),
            "python": python_version(),
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_tools)
            nursery.start_soon(ask_git)

    def _files(self) -> list[JSON]:
        """Return of each job file its path, a digest of its text, and its text unless it sets variables of jobs."""
        is_secret = any(entry.table.exports for entry in self._regression.entries)
        return [
            {"path": path, "digest": self._secrets.digest(text), "text": None if is_secret else text}
            for path, text in self._regression.recorded.texts.items()
        ]
