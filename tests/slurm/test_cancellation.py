"""A backend on Slurm, cancelled at every single step: no job is left in the queue, and none has two events."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
import trio

from runtime.testing.cancellation import cancel_at_every_step
from tests.slurm.fakes import Hang, Say
from tests.slurm.virtual import Run, Scene, open_scene


async def program(scope: trio.CancelScope) -> None:
    """Doubtful submissions, jobs that end and jobs that do not, a kill, and jobs that are not adopted."""
    scenes: list[Scene] = []
    with tempfile.TemporaryDirectory(prefix="sweep-") as name, pytest.MonkeyPatch.context() as patch:
        async with trio.open_nursery() as nursery:
            with scope:
                async with open_scene(Path(name), patch, cluster_nursery=nursery, visibility_timeout=20) as scene:
                    scenes.append(scene)
                    slurm = scene.slurm
                    slurm.runs = lambda name, _restarts: Run(5 if name == "short" else math.inf)
                    slurm.orders.next("sbatch", Hang(done=True), Say())
                    slurm.orders.next("scancel", Say(code=1))
                    await scene.submit("short", "long", "longer")
                    await scene.submit("late")
                    await scene.backend.kill("long")
                    scene.backend.close()
            nursery.cancel_scope.cancel()
    states = {job.label: job.state for scene in scenes for job in scene.slurm.controller.jobs}
    assert not {"PENDING", "RUNNING"} & set(states.values()), states


@pytest.mark.slow
def test_nothing_is_left_in_the_queue_wherever_the_cancel_comes() -> None:
    assert cancel_at_every_step(program) > 100
