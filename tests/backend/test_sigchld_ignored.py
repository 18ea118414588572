"""In a program that ignores SIGCHLD the system discards the exit codes of children. We do not change that setting."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.backend.gridengine import GridEngineBackend
from runtime.backend.local import LocalBackend
from runtime.backend.lsf import LsfBackend
from runtime.backend.slurm import SlurmBackend
from runtime.errors import BackendBrokenError
from runtime.job import EventBatch, FailureKind, JobStatus
from runtime.process.commands import Commands
from tests.backend.local_jobs import local
from tests.backend.test_local import why


@pytest.fixture(autouse=True)
def ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    signal.signal(signal.SIGCHLD, before)


async def test_contained_jobs_do_not_notice(tmp_path: Path) -> None:
    async with local(tmp_path, containment="tree") as here:
        status, kind, _ = why(await here.run("exit 3"))
        assert (status, kind) == (JobStatus.FAILED, FailureKind.EXIT_CODE)


@pytest.mark.parametrize(
    "backend",
    [LocalBackend(containment="group"), SlurmBackend(), GridEngineBackend(), LsfBackend()],
    ids=["group", "slurm", "gridengine", "lsf"],
)
async def test_a_backend_that_has_to_know_how_its_children_end_is_not_opened(
    backend: LocalBackend | SlurmBackend,
) -> None:
    send, _receive = trio.open_memory_channel[EventBatch](0)
    with pytest.raises(BackendBrokenError, match=r"cannot be opened.*ignores SIGCHLD.*expected the default action"):
        async with backend.open(send):
            raise AssertionError


async def test_a_command_of_which_nothing_can_be_learnt_any_more_ends_its_backend() -> None:
    with pytest.raises(BackendBrokenError, match=r"the exit code of true is lost: .*SIGCHLD"):
        await Commands({"PATH": os.environ["PATH"]}, 60).run(["true"])
