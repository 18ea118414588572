"""`EndingSide`: from the end of a job, and its record if it left one, to its completion."""

from __future__ import annotations

import logging
from typing import Final

import trio

from runtime.backend.batch.base import BatchBase
from runtime.backend.batch.element import Element
from runtime.backend.batch.records import Record
from runtime.backend.batch.store import may_appear
from runtime.backend.batch.system import (
    Row,
)
from runtime.backend.batch.transitions import Ended
from runtime.backend.batch.wrapper import FOLDER
from runtime.backend.finishing import usage_of
from runtime.job import FailureKind, JobStatus, JobStatusInfo
from runtime.job.command import command_words
from runtime.process import Exit
from runtime.verdict import Judgement, explain_stop, needs_log

logger: Final = logging.getLogger("runtime.backend.batch")

_LOG_INTERVAL: Final = 0.5
"""Seconds between two looks for a log that is not visible yet. Arbitrary: with a tenth, many waiting jobs keep the file
threads busy; with ten times as many, each such verdict is 5 s late."""


class EndingSide(BatchBase):
    """Completes jobs that have ended: with their verdicts, or with the reason why there is none."""

    async def _conclude(self, element: Element, ended: Ended) -> None:
        """Complete a job that has ended."""
        try:
            if ended.record is None:
                await self._conclude_unrecorded(element, ended.row)
            else:
                await self._conclude_recorded(element, ended.record, ended.row)
        finally:
            self._forget(element)

    async def _conclude_unrecorded(self, element: Element, row: Row | None) -> None:
        job = element.job
        if job.stop is not None and (row is None or row.state.kind is FailureKind.CANCELLED):
            # The cancel and the start may have crossed on their way to a node: then the element still begins.
            await self._in_thread(self._store.revoke, element.token)
            await self._complete_killed(element)
        elif row is None:
            raise AssertionError("an end needs a record, a row, or a stop")
        elif row.state.kind is not None:
            await self._complete_ended(element, row.state.kind, f"{self._label(element, row)} ended: {row.word}")
        else:
            await self._fail_unrecorded(element, f"{self._label(element, row)} is {row.word}")

    async def _fail_unrecorded(self, element: Element, what: str) -> None:
        """Complete a job as lost: it left no record, or its files were removed."""
        message = f"{what}, and left no record of its end within {self._visibility_timeout:g} s"
        if not await self._has_files(element):
            message = f"{what}, and the record of its end is gone: {self._removed()}"
        self.control.fail(element.job, FailureKind.LOST, message)

    async def _has_files(self, element: Element) -> bool:
        """Whether the run's own files of a job still exist; true, too, if their file system does not answer in time."""
        with trio.move_on_after(self._visibility_timeout):
            return await self._in_thread(self._store.has_files_of, element.token, element.name)
        return True

    def _removed(self) -> str:
        return f"its files in {self.run_dir}/{FOLDER} were removed or replaced, as by another job"

    async def _conclude_recorded(self, element: Element, record: Record, row: Row | None) -> None:
        job = element.job
        if record.launch_error is not None:
            program = command_words(job.spec)[0]
            about = f"program {program!r}, directory {element.paths.cwd!r}, log {element.paths.log!r}"
            self.control.fail(job, FailureKind.LAUNCH_ERROR, f"on {record.host}: {record.launch_error} ({about})")
            return
        if job.status is JobStatus.QUEUED:  # a short job may never be seen running
            self.control.progress(job, JobStatus.RUNNING, record.host)
        if job.started is not None and record.seconds is not None:
            # The duration is by the node's clock; its start is not, as clocks of nodes differ from ours.
            job.started = max(job.submitted, min(job.started, trio.current_time() - record.seconds))
        # Neither a stop nor an action of the system explains an end that came before it. Out of memory does: the kernel
        # kills some process of the job, and the job may then exit by itself.
        by_itself = record.stopped is None and record.signal is None
        kind = None if row is None else row.state.kind
        if job.stop is not None and not by_itself:
            await self._complete_killed(element, _exit_of(record))
        elif kind is not None and record.code != 0 and not (by_itself and kind is not FailureKind.OUT_OF_MEMORY):
            word = "" if row is None else row.word
            message = f"{self._system.name} job {record.id} on {record.host} ended: {word}"
            await self._complete_ended(element, kind, message, _exit_of(record))
        else:
            if element.killed:  # it had ended when it was stopped
                element.scope.deadline = trio.current_time() + self._visibility_timeout
            exit_status = _exit_of(record)
            await self._wait_log(element, exit_status)
            verdict = await self._finisher.conclude(
                job.spec, element.paths.log, exit_status, element.scope, self._visibility_timeout
            )
            self.control.finish(job, verdict.status, verdict.reason, usage_of(exit_status, verdict.log))

    async def _wait_log(self, element: Element, exit_status: Exit) -> None:
        """Wait up to `visibility_timeout` for a log that the verdict needs and that may still appear."""
        if needs_log(element.job.spec, exit_status):
            with trio.move_on_after(self._visibility_timeout):
                # Another machine creates the log, so there is no event to wait for.
                while await self._in_thread(may_appear, element.paths.log):  # noqa: ASYNC110 - NFS notifies no client
                    await trio.sleep(_LOG_INTERVAL)

    async def _complete_killed(self, element: Element, how: Exit | None = None) -> None:
        """Complete a job that was stopped on request."""
        job = element.job
        assert job.stop is not None
        kind = job.stop.reason.kind
        judgement = await self._look_at_log(element, JobStatus.KILLED if kind is None else kind.status)
        usage = None if how is None else usage_of(how, judgement)
        self.control.finish_stopped(job, usage, explain_stop(job.stop.reason, judgement))

    async def _complete_ended(self, element: Element, kind: FailureKind, message: str, how: Exit | None = None) -> None:
        """Complete a job that the batch system has ended."""
        judgement = await self._look_at_log(element, kind.status)
        reason = explain_stop(JobStatusInfo(message, kind=kind), judgement)
        self.control.finish(element.job, kind.status, reason, None if how is None else usage_of(how, judgement))

    async def _look_at_log(self, element: Element, status: JobStatus) -> Judgement | None:
        """Return the judgement of the log of a job that was stopped, if it has one, and call its `post_finish`."""
        spec, log = element.job.spec, element.paths.log
        return await self._finisher.conclude_stopped(spec, log, status, self._visibility_timeout)


def _exit_of(record: Record) -> Exit:
    """Return the end of a job as a local process would report it."""
    return Exit(
        record.code, record.signal, record.core_dumped, cpu_seconds=record.cpu_seconds, peak_bytes=record.peak_bytes
    )
