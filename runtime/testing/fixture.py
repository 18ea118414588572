"""`BackendFixture`, which the conformance suite gets from the author of a backend; `CheckContext`, for each check."""

from __future__ import annotations

import enum
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Protocol

import attrs
import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.job import EventBatch, JobCompletionEvent, JobHandle
from runtime.job.protocol import Specification
from runtime.testing.history import History


class Behaviour(enum.Enum):
    """What a job of the suite does."""

    PASS = "pass"
    """Ends by itself, soon, and passes."""
    FAIL = "fail"
    """Ends by itself, soon, and fails."""
    RUN_UNTIL_KILLED = "run until killed"
    """Never ends by itself; ends at SIGTERM, or what the backend has instead."""
    IGNORE_SIGTERM = "ignore SIGTERM"
    """Never ends by itself, nor at SIGTERM. To end ten of them one by one should exceed the budget of a check."""
    CANNOT_LAUNCH = "cannot launch"
    """Cannot be started: there is no such program, or the launcher raises."""
    BUSY_ONCE = "busy once"
    """Is refused as busy at its first submission; passes at the second."""


PASS: Final = Behaviour.PASS
FAIL: Final = Behaviour.FAIL
RUN: Final = Behaviour.RUN_UNTIL_KILLED
IGNORE: Final = Behaviour.IGNORE_SIGTERM
CANNOT_LAUNCH: Final = Behaviour.CANNOT_LAUNCH


class MakeJob(Protocol):
    """A function that makes job specifications. Its parameter `id` is named as the field of a job is."""

    def __call__(
        self,
        behaviour: Behaviour,
        id: str,  # noqa: A002 - its name
        *,
        timeout: float | None = None,
    ) -> Specification:
        """Return a job with this behaviour, this id, and this time limit in seconds."""


@attrs.frozen
class BackendFixture:
    """A backend to check, and a way to make jobs for it."""

    backend: RuntimeBackend
    """A new one, not opened yet."""
    job: MakeJob
    """Makes a job specification for the backend."""
    timeout: float | None = 0.2
    """A short time limit for a job that runs until it is killed, in seconds; `None`: jobs cannot have a limit."""
    alive: Callable[[str], bool] | None = None
    """Whether a process of the job with this id is running; `None`: that cannot be known."""


FixtureFactory = Callable[[], BackendFixture | AbstractAsyncContextManager[BackendFixture]]
"""A function that returns a new fixture, or an async context manager around one."""


@attrs.define(eq=False)
class Session:
    """One block of a backend: its fixture, a channel, and the history of the events that were read from it."""

    fixture: BackendFixture
    send: trio.MemorySendChannel[EventBatch]
    receive: trio.MemoryReceiveChannel[EventBatch]
    history: History
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def backend(self) -> RuntimeBackend:
        """The backend. The check opens it, with `open` or directly."""
        return self.fixture.backend

    def open(self) -> AbstractAsyncContextManager[RuntimeBackend]:
        """Return the backend's block, which sends its events to this session."""
        return self.backend.open(self.send)

    def jobs(self, *behaviours: Behaviour) -> list[Specification]:
        """Return a job for each of `behaviours`, each with a new id."""
        return [self.fixture.job(each, f"{each.name.lower()}-{next(self._numbers)}") for each in behaviours]

    async def submit(
        self, jobs: Iterable[Specification], attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        """Submit, and record what was accepted; if cancelled, record what may have been accepted."""
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
        """Submit a new job for each of `behaviours`. Raises `AssertionError` unless all are accepted."""
        jobs = self.jobs(*behaviours)
        handles = await self.submit(jobs)
        refused = [job.id for job in jobs if job.id not in handles]
        if refused:
            raise AssertionError(f"refused below the limit: {refused}")
        return [handles[job.id] for job in jobs]

    async def completed(self, handle: JobHandle) -> JobCompletionEvent:
        """Wait for the completion that `handle` promises, and return it."""
        key = handle.job_id, handle.attempt
        await self.history.wait_until(
            lambda: any((event.job_id, event.attempt) == key for event in self.history.completions)
        )
        return self.history.completion(*key)

    async def read(self) -> None:
        """Read one batch, in a session that has no reader."""
        self.history.take(await self.receive.receive())

    def read_buffered(self) -> None:
        """Read all batches that are in the channel's buffer, in a session that has no reader."""
        with suppress(trio.WouldBlock):
            while True:
                self.history.take(self.receive.receive_nowait())


@attrs.frozen
class CheckContext:
    """What a check gets: the factory of fixtures, and the size of the channel's buffer."""

    factory: FixtureFactory
    buffer: float
    """How many batches the channel holds: 0, 1, or `math.inf`."""

    @asynccontextmanager
    async def fixture(self) -> AsyncIterator[BackendFixture]:
        """A new fixture. When the block ends, no process of a job that it made may be running."""
        async with AsyncExitStack() as stack:
            made = self.factory()
            fixture = made if isinstance(made, BackendFixture) else await stack.enter_async_context(made)
            ids: list[str] = []

            def make(
                behaviour: Behaviour,
                id: str,  # noqa: A002 - see MakeJob
                *,
                timeout: float | None = None,
            ) -> Specification:
                ids.append(id)
                return fixture.job(behaviour, id, timeout=timeout)

            yield attrs.evolve(fixture, job=make)
            alive = [job_id for job_id in ids if fixture.alive is not None and fixture.alive(job_id)]
            if alive:
                raise AssertionError(f"running after the end of the block: {alive}")

    def channel(self) -> tuple[trio.MemorySendChannel[EventBatch], trio.MemoryReceiveChannel[EventBatch]]:
        """A channel with the buffer of this check."""
        return trio.open_memory_channel[EventBatch](self.buffer)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session of a new backend. Its reader is shielded, so it sees the events of a cancelled block, too.

        When the session ends, the channel must have ended, and `History.check` must pass.
        """
        async with self.fixture() as fixture:
            send, receive = self.channel()
            session = Session(fixture, send, receive, History())
            failure: BaseException | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.history.collect, receive)
                try:
                    yield session
                except BaseException as exc:  # noqa: BLE001 - raised again after the nursery, so not in a group
                    failure = exc
                send.close()
                left_open = send.statistics().open_send_channels
                if left_open:
                    receive.close()  # otherwise the reader waits for these clones, and the check never ends
                    failure = failure or AssertionError(f"the backend left {left_open} clones of the channel open")
            if failure is not None:
                raise failure
            session.history.check(undelivered=fixture.backend.undelivered)

    @asynccontextmanager
    async def unread_session(self) -> AsyncIterator[Session]:
        """A session of a new backend without a reader: the check itself reads, or lets events be lost.

        When the session ends, `History.check` must pass.
        """
        async with self.fixture() as fixture:
            send, receive = self.channel()
            session = Session(fixture, send, receive, History())
            with send, receive:
                yield session
            session.history.check(undelivered=fixture.backend.undelivered)


async def checkpoints(count: int) -> None:
    """Let other tasks run, for so many steps."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def cancel_after(steps: int, scope: trio.CancelScope) -> None:
    """Cancel `scope` after so many steps."""
    await checkpoints(steps)
    scope.cancel()
