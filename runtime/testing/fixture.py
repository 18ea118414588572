"""`BackendFixture`, which a backend's author gives to the conformance suite; `CheckContext`, which each check gets."""

from __future__ import annotations

import enum
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import attrs
import trio

from runtime.backend.backend import RuntimeBackend
from runtime.job import EventBatch, JobCompletionEvent, JobHandle
from runtime.testing.history import History


class Behaviour(enum.Enum):
    """What a job of the suite does."""

    PASS = "pass"
    """Ends by itself, soon, and has passed."""
    FAIL = "fail"
    """Ends by itself, soon, and has failed."""
    RUN_UNTIL_KILLED = "run until killed"
    """Never ends by itself; ends when it is asked to."""
    IGNORE_SIGTERM = "ignore SIGTERM"
    """Never ends by itself, and only when it is forced to. To end ten of them one by one should exceed the budget."""
    CANNOT_LAUNCH = "cannot launch"
    """Fails to start: no such program, or a launcher's error."""
    BUSY_ONCE = "busy once"
    """The backend is busy at its first submission; at the second it passes."""


class MakeJob(Protocol):
    """Makes a specification for the kit's backend."""

    def __call__(self, behaviour: Behaviour, id: str, *, timeout: float | None = None) -> Any:  # noqa: A002 - its name
        """Return a job that does `behaviour`, with this `id` and this time limit in seconds."""


@attrs.frozen
class BackendFixture:
    """A backend to be checked, and how to make jobs for it."""

    backend: RuntimeBackend
    """Fresh, not yet opened."""
    job: MakeJob
    """Makes a specification for it."""
    timeout: float | None = 0.2
    """A time limit, in seconds, that a job which runs until killed exceeds at once; `None`: jobs cannot have one."""
    alive: Callable[[str], bool] | None = None
    """Tells whether anything of the job of this id is still running, if that can be known."""


KitFactory = Callable[[], BackendFixture | AbstractAsyncContextManager[BackendFixture]]
"""Makes a fresh kit, or an async context manager around one."""


@attrs.define(eq=False)
class Session:
    """One life of one backend under check: its kit, a channel that is read all the time, and the history."""

    kit: BackendFixture
    send: trio.MemorySendChannel[EventBatch]
    history: History
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def backend(self) -> RuntimeBackend:
        """The backend; the check opens it, or calls `open`."""
        return self.kit.backend

    def open(self) -> AbstractAsyncContextManager[RuntimeBackend]:
        """Open the backend around a block."""
        return self.backend.open(self.send)

    def jobs(self, *behaviours: Behaviour) -> list[Any]:
        """Return a job for each of `behaviours`, with an id of its own."""
        return [self.kit.job(each, f"{each.name.lower()}-{next(self._numbers)}") for each in behaviours]

    async def submit(self, jobs: Iterable[Any], attempts: Mapping[str, int] | None = None) -> dict[str, JobHandle]:
        """Submit, and record what was accepted; or, when cancelled, what may have been."""
        jobs = list(jobs)
        try:
            handles = await self.backend.submit_many(jobs, attempts=attempts)
        except trio.Cancelled:
            for job in jobs:
                self.history.doubt([job.id], (attempts or {}).get(job.id, 1))
            raise
        self.history.accept(handles.values())
        return handles

    async def start(self, *behaviours: Behaviour) -> list[JobHandle]:
        """Submit a new job for each of `behaviours`; all of them must be accepted."""
        jobs = self.jobs(*behaviours)
        handles = await self.submit(jobs)
        refused = [job.id for job in jobs if job.id not in handles]
        if refused:
            msg = f"refused, with room for them: {refused}"
            raise AssertionError(msg)
        return [handles[job.id] for job in jobs]

    async def completed(self, handle: JobHandle) -> JobCompletionEvent:
        """Wait for the completion that `handle` promises, and return it."""
        key = handle.job_id, handle.attempt
        await self.history.wait_until(
            lambda: any((event.job_id, event.attempt) == key for event in self.history.completions)
        )
        return self.history.completion(*key)


@attrs.frozen
class CheckContext:
    """Where a check works: the factory, and the size of the channel's buffer."""

    factory: KitFactory
    buffer: float
    """How many batches the channel holds: 0, 1, or `math.inf`."""

    @asynccontextmanager
    async def kit(self) -> AsyncIterator[BackendFixture]:
        """A fresh kit. At the end nothing of the jobs that it made may be running."""
        async with AsyncExitStack() as stack:
            made = self.factory()
            kit = made if isinstance(made, BackendFixture) else await stack.enter_async_context(made)
            ids: list[str] = []

            def make(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> Any:  # noqa: A002 - as in the kit
                ids.append(id)
                return kit.job(behaviour, id, timeout=timeout)

            yield attrs.evolve(kit, job=make)
            alive = [job_id for job_id in ids if kit.alive is not None and kit.alive(job_id)]
            if alive:
                msg = f"running after the end of the block: {alive}"
                raise AssertionError(msg)

    def channel(self) -> tuple[trio.MemorySendChannel[EventBatch], trio.MemoryReceiveChannel[EventBatch]]:
        """A channel of the size in question."""
        return trio.open_memory_channel[EventBatch](self.buffer)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A fresh backend with a reader that sees every event, also of a cancelled run.

        At the end the channel must have ended, and the history must agree.
        """
        async with self.kit() as kit:
            send, receive = self.channel()
            session = Session(kit, send, History())
            failure: BaseException | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.history.collect, receive)
                try:
                    yield session
                except BaseException as exc:  # noqa: BLE001 - raised again outside of the nursery, so without a group
                    failure = exc
                send.close()
                left_open = send.statistics().open_send_channels
                if left_open:
                    receive.close()  # so that the reader ends
                    failure = failure or AssertionError(f"the backend left {left_open} clones of the channel open")
            if failure is not None:
                raise failure
            session.history.check(undelivered=kit.backend.undelivered)
