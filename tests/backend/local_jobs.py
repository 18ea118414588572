"""A `LocalBackend` with a reader of its events, jobs for it, and a fixture for the conformance suite."""

from __future__ import annotations

import errno
import math
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.local import LocalBackend
from runtime.backend.local.driver import LocalDriver
from runtime.job import JobCompletionEvent, JobSpec
from runtime.process import Child, spawn
from runtime.testing.fixture import BackendFixture, Behaviour, CheckContext, Session
from runtime.testing.proof import COMMANDS
from tests.no_job import no_job

HANG_TIMEOUT = 60.0
"""Seconds after which a test counts as hung."""

TOKEN = "LOCAL_JOBS_TOKEN"
"""The environment variable by which a job's processes are found."""


class Local:
    """An open backend in a session."""

    def __init__(self, backend: LocalBackend, session: Session) -> None:
        self.backend = backend
        self.session = session
        self._attempts: Counter[str] = Counter()

    @property
    def driver(self) -> LocalDriver:
        assert self.backend._driver is not None
        return self.backend._driver

    @property
    def run_dir(self) -> Path:
        assert self.backend.run_dir is not None
        return Path(self.backend.run_dir)

    async def run(self, cmd: str | Sequence[str] = "true", **fields: Any) -> JobCompletionEvent:
        """Run one job to its end. The same name again is the next attempt."""
        spec = JobSpec(**{"name": "job", "cmd": cmd, **fields})
        self._attempts[spec.id] += 1
        handles = await self.session.submit([spec], self._attempts)
        assert spec.id in handles, "refused"
        return await self.session.completed(handles[spec.id])

    def log(self, job_id: str = "job") -> str:
        return (self.run_dir / job_id / "job.log").read_text()


@asynccontextmanager
async def local(run_dir: Path | None, **options: Any) -> AsyncIterator[Local]:
    """A backend that is open; each job that was accepted must have completed once when it is closed."""
    backend = LocalBackend(run_dir=run_dir, **{"max_parallelism": 0, "containment": "group", **options})
    fixture = BackendFixture(backend, job=no_job)
    with trio.fail_after(HANG_TIMEOUT):
        async with CheckContext(lambda: fixture, math.inf).session() as session, session.open():
            yield Local(backend, session)


async def hear(fifo: Path) -> str:
    """Wait for what a job writes to a FIFO, as a whole."""
    return await trio.to_thread.run_sync(fifo.read_text, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True)


async def tell(fifo: Path) -> None:
    """Write a line to a FIFO that a job reads."""
    await trio.to_thread.run_sync(fifo.write_text, "\n", limiter=trio.CapacityLimiter(1), abandon_on_cancel=True)


def alive(token: str) -> bool:
    """Whether a process has `token` in its environment."""
    variable = f"{TOKEN}={token}".encode()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue  # it has gone, or is a stranger's
    return False


class LocalKit:
    """Makes fixtures of a `LocalBackend` in a directory."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._mark = uuid.uuid4().hex
        self._busy: set[str] = set()
        self._patch = patch

    def __call__(self) -> BackendFixture:
        from runtime.backend.local import group_starter

        def spawn_or_be_busy(argv: Sequence[str], *, env: Mapping[str, str], **rest: Any) -> Child:
            if env.get("BUSY") in self._busy:
                self._busy.remove(env["BUSY"])
                raise OSError(errno.EAGAIN, "busy, the test says")
            return spawn(argv, env=env, **rest)

        self._patch.setattr(group_starter, "spawn", spawn_or_be_busy)
        backend = LocalBackend(
            run_dir=self._directory / uuid.uuid4().hex, max_parallelism=0, term_timeout=1, containment="group"
        )
        return BackendFixture(backend, self.job, alive=lambda job_id: alive(self._token(job_id)))

    def _token(self, job_id: str) -> str:
        return f"{self._mark}-{job_id}"

    def job(self, behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - its name
        exports = {TOKEN: self._token(id)}
        if behaviour is Behaviour.BUSY_ONCE:
            self._busy.add(id)
            exports["BUSY"] = id
        return JobSpec(name=id, cmd=COMMANDS[behaviour], exports=exports, timeout=timeout)


Plant = Callable[[Path], object]
"""Puts something in the place of a file."""
