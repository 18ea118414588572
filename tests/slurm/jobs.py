"""A `SlurmBackend`, or another one, on a cluster, real or fake: fixtures for the conformance suite, and a session."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from runtime.backend.batch import BatchBackend
from runtime.backend.slurm import SlurmBackend
from runtime.job import JobSpec
from runtime.testing.fixture import BackendFixture, Behaviour, CheckContext, Session
from runtime.testing.proof import COMMANDS
from tests.backend.local_jobs import TOKEN, alive
from tests.no_job import no_job
from tests.slurm.fakes.jobs import Request
from tests.slurm.fakes.system import FakeSystem

POLL_INTERVAL = 0.2
"""Seconds; short, as nobody else uses the cluster."""

TIMEOUT = 120.0
"""Seconds after which a test counts as hung."""

PROGRAMS = ("sbatch", "squeue", "scancel", "sacct", "scontrol")

_COUNTING = """#!/bin/sh
echo "$(basename "$0") $*" >>"{calls}"
{extra}
PATH="{path}"
exec "$(basename "$0")" "$@"
"""

BUSY_ONCE = """
for word; do
    if [ "${word#--comment=busy-}" != "$word" ] && mkdir "$(dirname "$0")/${word#--comment=}" 2>/dev/null; then
        echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
        echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's\
 size and/or time limits)" >&2
        exit 1
    fi
done
"""
"""Lines for an sbatch that refuses the first array with each such comment, as if the user's queue were full."""


class Calls:
    """Records the calls of commands, Slurm's unless others are named, by stand-ins that come first on the PATH."""

    def __init__(
        self, directory: Path, patch: pytest.MonkeyPatch, extra: str = "", programs: Iterable[str] = PROGRAMS
    ) -> None:
        self._file = directory / "calls"
        folder = directory / "commands"
        folder.mkdir(parents=True)
        for name in programs:
            script = folder / name
            script.write_text(_COUNTING.format(calls=self._file, path=os.environ["PATH"], extra=extra))
            script.chmod(0o755)
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def of(self, command: str) -> list[str]:
        """Return the arguments of each call of a command."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == command]


class BatchFixtures:
    """Makes fixtures of a backend in a directory, on the cluster that the environment names.

    The stand-in for sbatch must be `BUSY_ONCE`, or the cluster a fake, by `use_fake`.

    Args:
        directory: for the run directories.
        poll_interval: of the backends.
        make: makes a backend.
        busy: returns words for the command that submits, from a mark: with these it refuses the first array.
    """

    def __init__(
        self,
        directory: Path,
        poll_interval: float = POLL_INTERVAL,
        make: Callable[..., BatchBackend] = SlurmBackend,
        busy: Callable[[str], list[str]] = lambda mark: [f"--comment={mark}"],
    ) -> None:
        self._directory = directory
        self._poll_interval = poll_interval
        self._make = make
        self._busy = busy
        self._mark = uuid.uuid4().hex

    def __call__(self) -> BackendFixture:
        backend = self._make(
            self._directory / uuid.uuid4().hex,
            poll_interval=self._poll_interval,
            rules=[{"tag": "busy", "extra": self._busy(f"busy-{uuid.uuid4().hex}")}],
        )
        return BackendFixture(backend, self.job, alive=lambda job_id: alive(self._token(job_id)))

    def _token(self, job_id: str) -> str:
        return f"{self._mark}-{job_id}"

    def job(self, behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - its name
        return JobSpec(
            name=id,
            cmd=COMMANDS[behaviour],
            exports={TOKEN: self._token(id)},
            timeout=timeout,
            tags=["busy"] if behaviour is Behaviour.BUSY_ONCE else [],
        )


def use_fake(slurm: FakeSystem, patch: pytest.MonkeyPatch) -> None:
    """Put the fake on the PATH, and let it refuse arrays as `BUSY_ONCE` does."""
    patch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
    met: set[str] = set()

    def refuse(request: Request) -> str | None:
        comment = request.comment or request.account or ""
        if not comment.startswith("busy-") or comment in met:
            return None
        met.add(comment)
        return "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"

    slurm.controller.refuse = refuse


Backend = TypeVar("Backend", bound=BatchBackend)


def on_slurm(
    run_dir: Path, *, time_limit: float = TIMEOUT, **options: Any
) -> AbstractAsyncContextManager[tuple[SlurmBackend, Session]]:
    """Open a backend and a session; when it closes, each accepted job must have completed once."""
    return on_cluster(SlurmBackend(run_dir, **{"poll_interval": POLL_INTERVAL, **options}), time_limit)


@asynccontextmanager
async def on_cluster(backend: Backend, time_limit: float = TIMEOUT) -> AsyncIterator[tuple[Backend, Session]]:
    """Open a backend and a session; when it closes, each accepted job must have completed once."""
    fixture = BackendFixture(backend, job=no_job)
    with trio.fail_after(time_limit):
        async with CheckContext(lambda: fixture, math.inf).session() as session, session.open():
            yield backend, session
