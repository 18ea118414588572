"""`OpenBackend`: what is written once for all backends, from the opening of a block to its end.

How a block ends
----------------
Two tasks must outlive the caller's cancellation: the watchers, which observe and kill the jobs, and the courier, which
delivers their events. Each runs in a shielded scope that only `OpenBackend.block` ends, in this order: kill, wait for
the jobs to end, stop the watchers, let the receiver take the queued events, stop the courier, close the channel.
Nothing is raised inside the nursery that holds them, so no exception leaves the block in a group that the caller did
not make.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.courier import Courier
from runtime.backend.contract.event_loop import check_in_loop
from runtime.backend.contract.interrupts import is_interrupt, protected_block, wait_through_interrupts
from runtime.backend.contract.live import Ledger, LiveJob
from runtime.backend.contract.submissions import Settings, Submissions
from runtime.backend.contract.tasks import ShieldedTask, Tasks, is_cancelled
from runtime.errors import BackendBrokenError, BackendClosedError
from runtime.job import EventBatch, FailureKind, JobHandle
from runtime.job.protocol import Specification

logger: Final = logging.getLogger("runtime.backend")

BROKEN_DEADLINE: Final = 30.0
"""Seconds that the kills of a broken backend may take before their jobs are abandoned. Arbitrary: ten times longer
looks like a hang, ten times shorter abandons processes that SIGKILL would still have ended."""

TEARDOWN_DEADLINE: Final = 30.0
"""Seconds that `Driver.teardown` may take before it is cancelled and the backend counts as broken. Arbitrary: ten times
longer looks like a hang, ten times shorter breaks a backend whose batch system answers slowly."""


class BackendState(enum.Enum):
    """The states of a backend, in the order in which it passes through them."""

    NEW = "new"
    OPENING = "opening"
    """`Driver.setup` runs; no jobs are accepted yet."""
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    """It may be opened again."""


class OpenBackend:
    """A backend while it is open: its live jobs, their events, the tasks that watch them, and its end.

    Args:
        backend: the object that the caller holds; it appears in handles and in messages.
        channel: receives the events; closed by the caller.
        run_token: marks this run's jobs in a batch system.
        tickets: as for `Submissions`.
    """

    def __init__(
        self, backend: Settings, channel: trio.MemorySendChannel[EventBatch], run_token: str, tickets: int
    ) -> None:
        self.state: BackendState = BackendState.OPENING
        self.tasks: Final = Tasks(backend.name)
        self.ledger: Final = Ledger()
        self.courier: Final = Courier(channel)
        self.control: Final = Control(self.tasks, self.ledger, self.courier, run_token)
        self._backend = backend
        self._driver = backend.make_driver(self.control)
        self.submissions: Final = Submissions(backend, self._driver, self.tasks, self.ledger, self.control, tickets)
        self._loop = trio.lowlevel.current_trio_token()
        self._body = trio.CancelScope()
        self._wait_for_jobs = trio.CancelScope()
        """Encloses the wait at the end of the block for the jobs that were killed."""
        self.control.attach(self._driver)
        self.tasks.on_error = self._handle_error

    # ------------------------------------------------------------------ the block

    @protected_block
    async def block(self) -> AsyncIterator[None]:
        """Run the backend around a block. May be called once. See `RuntimeBackend.open`."""
        await self._set_up()
        failure: BaseException | None = None
        async with trio.open_nursery() as root:
            courier, watchers = ShieldedTask(), ShieldedTask()
            started, ended = trio.Event(), trio.Event()
            root.start_soon(courier.run_until_stopped, self.tasks.guard, self.courier.run)
            root.start_soon(watchers.run_until_stopped, self._run_watchers, started)
            # The `try` begins before the first await after a task was started: a Ctrl-C is raised out of any await of
            # the main task, even in a shielded scope, and must not leave those tasks running.
            try:
                with trio.CancelScope(shield=True):  # ends with the first step of the watchers' task
                    await started.wait()
                if self.state is BackendState.OPENING:  # `close` may have been called meanwhile
                    self.state = BackendState.OPEN
                with self._body:
                    yield
                    await trio.lowlevel.checkpoint()
                    # A loop, because other tasks may submit jobs while this one waits for the receiver.
                    while len(self.ledger) or self.courier.undelivered:
                        await self.ledger.wait_idle()
                        await self.courier.wait_delivered()
            except BaseException as exc:  # noqa: BLE001 - raised below, when all tasks have ended; even a Cancelled
                failure = exc
            # `_run_end` is a task of its own, so that no Ctrl-C is raised in it: this task may be the main task. It is
            # the last task to end, so leaving the nursery waits for nothing; a Ctrl-C raised there would leave the
            # block in a group.
            root.start_soon(self._run_end, failure, watchers, courier, ended)
            failure = await self._wait_ended(ended, failure)
        self.state = BackendState.CLOSED
        self._raise_failure(failure)

    async def _set_up(self) -> None:
        try:
            await self._driver.setup()
        except BaseException as exc:
            self.state = BackendState.CLOSED
            if (shortage := self.tasks.shortage(exc, "cannot be opened")) is not None:
                raise shortage from exc
            raise

    async def _run_watchers(self, started: trio.Event) -> None:
        await self.tasks.run(self.control.deadlines.run, self._driver.serve, started=started)

    def _handle_error(self) -> None:
        """End the block, and kill all jobs, because the backend broke."""
        self._body.cancel()
        # A broken backend may never report an end, so the wait for ends needs a limit.
        self._wait_for_jobs.deadline = trio.current_time() + BROKEN_DEADLINE
        # Now, and not when the body has ended: the body may be in a shielded scope, which the cancel does not reach.
        self.control.stop(self.ledger, FailureKind.BACKEND_ERROR, self.tasks.why_broken())

    async def _wait_ended(self, ended: trio.Event, failure: BaseException | None) -> BaseException | None:
        """Wait until `_run_end` has ended; return the exception that is to leave the block.

        The second Ctrl-C skips the gentle steps of all kills; the third one stops waiting for jobs.
        """
        earlier = 1 if failure is not None and is_interrupt(failure) else 0

        def hurry(count: int) -> None:
            if earlier + count == 2:  # noqa: PLR2004 - see above
                self.control.stop(self.ledger, FailureKind.CANCELLED, _INTERRUPTED, force=True)
            elif earlier + count > 2:  # noqa: PLR2004 - see above
                self._wait_for_jobs.cancel()

        interrupt = await wait_through_interrupts(ended, hurry)
        # Any other exception of the block is worth more than a Ctrl-C that came while the block ended.
        return interrupt if interrupt is not None and (failure is None or is_cancelled(failure)) else failure

    @trio.lowlevel.enable_ki_protection
    async def _run_end(
        self, failure: BaseException | None, watchers: ShieldedTask, courier: ShieldedTask, ended: trio.Event
    ) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self.tasks.guard(self._end, failure, watchers)
                await watchers.stop()  # whatever `_end` raised: a shielded task left running would hang the nursery
                await courier.stop()
        finally:
            ended.set()

    async def _end(self, failure: BaseException | None, watchers: ShieldedTask) -> None:
        """Kill the live jobs; wait for their completions, and for the receiver. Bounded, because every kill is."""
        self.state = BackendState.CLOSING
        why = "was cancelled" if failure is None or is_cancelled(failure) else f"ended with {failure!r}"
        self.control.stop(self.ledger, FailureKind.CANCELLED, f"killed because its run {why}")
        with self._wait_for_jobs:  # `_handle_error` gives it a deadline
            await self.ledger.wait_idle()
        why = _INTERRUPTED if self.tasks.error is None else self.tasks.why_broken()
        for job in self.ledger:  # nothing watches them any longer
            self.control.fail(job, FailureKind.BACKEND_ERROR, f"{why}; whether it ended is not known")
        await watchers.stop()
        await self.tasks.guard(self._tear_down)
        # If the block ended normally, its body has already waited for the receiver, without a limit.
        if failure is not None or self.tasks.error is not None:
            await self.courier.wait_delivered(self._backend.drain_timeout)

    async def _tear_down(self) -> None:
        with trio.move_on_after(TEARDOWN_DEADLINE) as scope:
            await self._driver.teardown()
        if scope.cancelled_caught:
            msg = f"backend {self.tasks.name!r}: its teardown did not end within {TEARDOWN_DEADLINE:g} s"
            raise BackendBrokenError(msg)

    def _raise_failure(self, failure: BaseException | None) -> None:
        """Raise the exception of the block or, if there is none, the error that broke the backend.

        The error of a broken backend replaces a `Cancelled`, and becomes a note on any other exception. A closed
        receiver is not reported if the block raised: its reader most likely ended for the same reason.
        """
        broken = self.tasks.error
        notes = [*self._notes(), *self._driver.notes()]
        if isinstance(broken, trio.BrokenResourceError) and self.courier.receiver_gone:
            if failure is None:
                notes.append(f"backend {self.tasks.name!r}: the receiver of the completions was closed")
        elif broken is not None and failure is not None:
            if is_cancelled(failure):
                failure = None
            else:
                notes.append(self.tasks.why_broken())
        error = failure if failure is not None else broken
        for line in notes:
            if error is not None:
                error.add_note(line)
            if error is None or is_cancelled(error):  # trio discards a `Cancelled`, and its notes with it
                logger.warning("%s", line)
        if error is not None:
            raise error

    def _notes(self) -> list[str]:
        """Return a line about undelivered completions, and a line about lost jobs, if there are any."""
        notes = []
        name, lost = self.tasks.name, self.ledger.lost
        if undelivered := self.courier.undelivered:
            notes.append(f"backend {name!r}: the receiver did not take {undelivered} of the completions")
        if lost:
            some = ", ".join(lost[:10]) + (" and others" if len(lost) > 10 else "")  # noqa: PLR2004 - enough
            notes.append(f"backend {name!r}: {len(lost)} jobs were lost and may be alive: {some}")
        return notes

    # ------------------------------------------------------------------ for callers

    @trio.lowlevel.enable_ki_protection
    async def submit_many(
        self, specs: Sequence[Specification], attempts: Mapping[str, int] | None
    ) -> dict[str, JobHandle]:
        """See `RuntimeBackend.submit_many`."""
        # Before anything is launched, and before the state is checked: when the backend broke, the body of the block is
        # cancelled, and gets `Cancelled` rather than `BackendClosedError`.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.tasks.error is not None or self.state is not BackendState.OPEN:
            raise BackendClosedError(not_open(self._backend)) from self.tasks.error
        return await self.submissions.submit(specs, attempts)

    @trio.lowlevel.enable_ki_protection
    async def kill_many(self, targets: Sequence[JobHandle | str], by: str, *, force: bool) -> None:
        """See `RuntimeBackend.kill_many`."""
        found = [job for job in map(self._target, targets) if job is not None]
        live = self.control.stop(found, FailureKind.CANCELLED, f"killed by {by}", force=force)
        await trio.lowlevel.checkpoint()
        for job in live:
            await job.wait_ended()

    def _target(self, target: JobHandle | str) -> LiveJob | None:
        if isinstance(target, str):
            self._driver.forget(target)
            return self.ledger.get(target)
        if not isinstance(target, JobHandle):
            raise TypeError(f"the job to kill is {target!r}; expected a handle or an id")
        if target.backend is not self._backend:
            raise TypeError(f"{target!r} is a handle of {target.backend!r}; expected one of {self._backend!r}")
        job = self.ledger.get(target.job_id)
        # An id may be submitted again, even with the same attempt: only the ticket tells the two submissions apart.
        stale = job is None or job.attempt != target.attempt or job.ticket != target.ticket
        return None if stale else job

    @trio.lowlevel.enable_ki_protection
    def close(self, by: str, *, force: bool) -> None:
        """See `RuntimeBackend.close`."""
        if self.state is not BackendState.CLOSED:
            check_in_loop(self._loop, f"close() of {self._backend!r}")
            self.state = BackendState.CLOSING
            self.control.stop(self.ledger, FailureKind.CANCELLED, f"killed by {by}", force=force)


def not_open(backend: object) -> str:
    """Return the message for a job that is given to a backend which is not open."""
    return f"{backend!r} accepts no jobs; use it inside `async with backend.open(channel)`, before it is closed"


_INTERRUPTED: Final = "the end of its run was interrupted"
