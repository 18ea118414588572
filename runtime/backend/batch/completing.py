"""`Completer`: from the end of a job, and its record if it left one, to its completion."""

from __future__ import annotations

from typing import Final

import trio

from runtime.backend.batch.element import Element
from runtime.backend.batch.excluding import Excluder
from runtime.backend.batch.exit_records import ExitRecord
from runtime.backend.batch.files import Files
from runtime.backend.batch.job import BatchJob
from runtime.backend.batch.store import may_appear
from runtime.backend.batch.system import QueueRow, System
from runtime.backend.batch.transitions import Finished, Transition, Unseen, is_end_of_stop
from runtime.backend.batch.wrapper import FOLDER
from runtime.backend.contract.control import Control
from runtime.backend.finishing import Finisher, usage_of
from runtime.backend.log_watch import LogWatch
from runtime.errors import BackendBrokenError
from runtime.job import FailureKind, JobStatus, JobStatusInfo
from runtime.job.command import command_words
from runtime.process import Exit
from runtime.process.memory_use import MemoryUse
from runtime.verdict import Judgement, explain_stop, needs_log

_LOG_INTERVAL: Final = 0.5
"""Seconds between two looks for a log that is not visible yet. Arbitrary: with a tenth, many waiting jobs keep the file
threads busy; with ten times as many, each such verdict is 5 s late."""


class Completer:
    """Completes jobs that have ended: with their verdicts, or with the reason why there is none.

    Args:
        control: records what happens to the jobs.
        files: the files of the run.
        finisher: finds verdicts, and calls `post_finish`.
        log_watch: finds the line from which a job runs.
        excluder: is told which nodes launch jobs, and which fail.
        system: the batch system.
        visibility_timeout: how late a file may appear, in seconds.
    """

    def __init__(
        self,
        control: Control,
        files: Files,
        finisher: Finisher,
        log_watch: LogWatch,
        excluder: Excluder,
        system: System,
        visibility_timeout: float,
    ) -> None:
        self._control = control
        self._files = files
        self._finisher = finisher
        self._log_watch = log_watch
        self._excluder = excluder
        self._system = system
        self._visibility_timeout = visibility_timeout

    def label(self, element: Element, row: QueueRow | None) -> str:
        """Return what people call an element: its id in the system, and its node if that is known."""
        note = f" on {row.note}" if row is not None and row.note else ""
        return f"{self._system.name} job {self._system.element_id(element.array, element.index)}{note}"

    async def complete(self, job: BatchJob, transition: Transition) -> None:
        """Complete a job that has ended, or is lost."""
        if not job.element.revoked and not (isinstance(transition, Finished) and transition.record is not None):
            # What may not have begun must not begin after its completion, whatever the system still does.
            await self._files.revoke([job.element.token])
        if isinstance(transition, Unseen):
            await self._complete_unseen(job, transition.row)
        elif not isinstance(transition, Finished):
            await self._fail_unrecorded(job, f"{self.label(job.element, None)} is no longer in the queue")
        elif transition.record is None:
            await self._complete_unrecorded(job, transition.row)
        else:
            await self._complete_recorded(job, transition.record, transition.row)

    # ------------------------------------------------------------------ without a record

    async def _complete_unrecorded(self, job: BatchJob, row: QueueRow | None) -> None:
        if job.live.stop is not None and is_end_of_stop(row):
            await self._complete_killed(job)
        elif row is None:
            raise AssertionError("an end needs a record, a row, or a stop")
        elif (kind := _kind_of(job, row)) is not None:
            what = f"{self.label(job.element, row)} ended: {row.word}"
            if kind is FailureKind.OUT_OF_MEMORY and job.live.spec.memory is not None:
                what = f"{MemoryUse(job.live.spec.memory, killed=True)}; {what}"
            await self._complete_ended(job, kind, what, row.note or "")
        else:
            await self._fail_unrecorded(job, f"{self.label(job.element, row)} is {row.word}")

    async def _fail_unrecorded(self, job: BatchJob, what: str) -> None:
        """Complete a job as lost: it left no record, or its files were removed."""
        message = f"{what}, and left no record of its end within {self._visibility_timeout:g} s"
        if not await self._has_files(job):
            message = f"{what}, and the record of its end is gone: {self._removed()}"
        self._control.fail(job.live, FailureKind.LOST, message)

    async def _complete_unseen(self, job: BatchJob, row: QueueRow) -> None:
        """Complete a job whose node does not see its files; break the backend if no node ever saw any.

        If a job has removed the files, that is the reason, and the run directory may well be shared.
        """
        live, store = job.live, self._files.store
        where = self.label(job.element, row)
        removed = not await self._has_files(job) and await self._files.run(store.is_in_place)
        message = f"{where} found that its node does not see, or may not write to, the run directory {store.run_dir}"
        if not removed and not self._files.is_shared:
            advice = "Choose one that this machine and all nodes have at the same path"
            error = BackendBrokenError(f"backend {self._control.name!r}: {message}. {advice}")
            self._control.break_backend(error)
        if live.stop is not None:
            self._control.finish_stopped(live)  # it never ran
        elif removed:
            self._control.fail(live, FailureKind.LAUNCH_ERROR, f"{where} cannot run: {self._removed()}")
        else:
            self._excluder.note_failure(row.note or "", message)
            self._control.fail(live, FailureKind.NODE_FAILURE, message)

    async def _has_files(self, job: BatchJob) -> bool:
        """Whether the run's own files of a job still exist; true, too, if their file system does not answer in time."""
        with trio.move_on_after(self._visibility_timeout):
            element = job.element
            return await self._files.run(self._files.store.has_files_of, element.token, element.name)
        return True

    def _removed(self) -> str:
        return f"its files in {self._files.store.run_dir}/{FOLDER} were removed or replaced, as by another job"

    # ------------------------------------------------------------------ with a record

    async def _complete_recorded(self, job: BatchJob, record: ExitRecord, row: QueueRow | None) -> None:
        live = job.live
        if record.launch_error is not None:
            program = command_words(live.spec)[0]
            about = f"program {program!r}, directory {job.paths.cwd!r}, log {job.paths.log!r}"
            message = f"on {record.host}: {record.launch_error} ({about})"
            node = record.host if row is None or row.note is None else row.note
            self._excluder.note_failure(node, message, (program, live.spec.cwd), record.launch_error)
            self._control.fail(live, FailureKind.LAUNCH_ERROR, message)
            return
        is_timed = live.spec.timeout_from is None  # else it has run since a line of its log, if there was one
        if is_timed and live.status is JobStatus.QUEUED:  # a short job may never be seen running
            self._control.progress(live, JobStatus.RUNNING, record.host)
        if is_timed and live.started is not None and record.seconds is not None:
            # The duration is by the node's clock; its start is not, as clocks of nodes differ from ours.
            live.started = max(live.submitted, min(live.started, trio.current_time() - record.seconds))
        # Neither a stop nor an action of the system explains an end that came before it. Out of memory does: the kernel
        # kills some process of the job, and the job may then exit by itself.
        by_itself = record.stopped is None and record.signal is None
        kind = None if row is None else row.state.kind
        is_over = kind is FailureKind.OUT_OF_MEMORY and live.spec.memory is not None  # whatever it makes of that
        if live.stop is not None and not by_itself:
            await self._complete_killed(job, _exit_of(record))
        elif kind is not None and (
            is_over or (record.code != 0 and not (by_itself and kind is not FailureKind.OUT_OF_MEMORY))
        ):
            word = "" if row is None else row.word
            message = f"{self._system.name} job {record.id} on {record.host} ended: {word}"
            if is_over:
                message = f"{MemoryUse(live.spec.memory, record.peak_bytes, killed=True)}; {message}"
            await self._complete_ended(job, kind, message, record.host, _exit_of(record))
        else:
            await self._complete_judged(job, record)

    async def _complete_judged(self, job: BatchJob, record: ExitRecord) -> None:
        """Complete a job that has ended by itself."""
        spec = job.live.spec
        self._excluder.note_begun(record.host, (command_words(spec)[0], spec.cwd))
        if job.element.stop is not None:  # it had ended when it was stopped
            self.hurry(job)
        how, log = _exit_of(record), job.paths.log
        await self._wait_log(job, how)
        if job.live.status is JobStatus.QUEUED:  # the line from which it runs may be among the last ones
            await self._log_watch.look_last(job.live, log, record.host)
        verdict = await self._finisher.conclude(job.live.spec, log, how, job.scope, self._visibility_timeout)
        self._control.finish(job.live, verdict.status, verdict.reason, usage_of(how, verdict.log))

    def hurry(self, job: BatchJob) -> None:
        """Give the verdict and the hook of a job that was killed a deadline, if they have none yet."""
        job.scope.deadline = min(job.scope.deadline, trio.current_time() + self._visibility_timeout)

    async def _wait_log(self, job: BatchJob, how: Exit) -> None:
        """Wait up to `visibility_timeout` for a log that the verdict needs and that may still appear."""
        if needs_log(job.live.spec, how):
            with trio.move_on_after(self._visibility_timeout):
                # Another machine creates the log, so there is no event to wait for.
                while await self._files.run(may_appear, job.paths.log):  # noqa: ASYNC110 - NFS notifies no client
                    await trio.sleep(_LOG_INTERVAL)

    # ------------------------------------------------------------------ stopped, or ended by the system

    async def _complete_killed(self, job: BatchJob, how: Exit | None = None) -> None:
        """Complete a job that was stopped on request."""
        live = job.live
        assert live.stop is not None
        kind = live.stop.reason.kind
        judgement = await self._look_at_log(job, JobStatus.KILLED if kind is None else kind.status)
        usage = None if how is None else usage_of(how, judgement)
        self._control.finish_stopped(live, usage, explain_stop(live.stop.reason, judgement))

    async def _complete_ended(
        self, job: BatchJob, kind: FailureKind, message: str, node: str, how: Exit | None = None
    ) -> None:
        """Complete a job that the batch system has ended."""
        if kind is FailureKind.NODE_FAILURE:
            self._excluder.note_failure(node, message)
        judgement = await self._look_at_log(job, kind.status)
        reason = explain_stop(JobStatusInfo(message, kind=kind), judgement)
        usage = None if how is None else usage_of(how, judgement)
        self._control.finish(job.live, kind.status, reason, usage)

    async def _look_at_log(self, job: BatchJob, status: JobStatus) -> Judgement | None:
        """Return the judgement of the log of a job that was stopped, if it has one, and call its `post_finish`."""
        spec, log = job.live.spec, job.paths.log
        return await self._finisher.conclude_stopped(spec, log, status, self._visibility_timeout)


def _kind_of(job: BatchJob, row: QueueRow) -> FailureKind | None:
    """Return why the system has ended a job without a record; `None` if that is not known."""
    if row.state.may_be_memory and job.live.spec.memory is not None:
        return FailureKind.OUT_OF_MEMORY
    return row.state.kind


def _exit_of(record: ExitRecord) -> Exit:
    """Return the end of a job as a local process would report it."""
    return Exit(
        record.code, record.signal, record.core_dumped, cpu_seconds=record.cpu_seconds, peak_bytes=record.peak_bytes
    )
