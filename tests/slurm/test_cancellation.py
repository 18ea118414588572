"""A backend's life on Slurm, cancelled at every single step: no job is left in the queue, none is told of twice."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
import trio

from runtime.testing.cancellation import cancel_at_every_step
from tests.slurm.fakes import Hang, Say
from tests.slurm.virtual import Run, Story, story


async def program(scope: trio.CancelScope) -> None:
    """Doubtful submissions, jobs that end and jobs that do not, a kill, and an adoption that nobody asks for."""
    tales: list[Story] = []
    with tempfile.TemporaryDirectory(prefix="sweep-") as name, pytest.MonkeyPatch.context() as patch:
        async with trio.open_nursery() as world:
            with scope:
                async with story(Path(name), patch, world=world, visibility_timeout=20) as tale:
                    tales.append(tale)
                    slurm = tale.slurm
                    slurm.runs = lambda name, _restarts: Run(5 if name == "short" else math.inf)
                    slurm.orders.next("sbatch", Hang(done=True), Say())
                    slurm.orders.next("scancel", Say(code=1))
                    await tale.submit("short", "long", "longer")
                    await tale.submit("late")
                    await tale.backend.kill("long")
                    tale.backend.close()
            world.cancel_scope.cancel()
    states = {job.label: job.state for tale in tales for job in tale.slurm.controller.jobs}
    assert not {"PENDING", "RUNNING"} & set(states.values()), states


@pytest.mark.slow
def test_nothing_is_left_in_the_queue_wherever_the_cancel_comes() -> None:
    assert cancel_at_every_step(program) > 100
