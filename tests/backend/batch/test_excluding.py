"""`Excluder`: an array that is on its way when a node is excluded is kept away from it, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.batch.system import Array, SubmitAnswer
from runtime.job import JobSpec
from tests.backend.batch.scripted import Element, ScriptedSystem, Stage, passes, stays


async def test_an_array_that_is_being_submitted_is_told_when_it_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with Stage(tmp_path, monkeypatch).open(passes) as scene:
        system = scene.system
        await scene.submit(JobSpec(name="good", cmd="true"))
        await scene.completion("good")  # on n1
        system.behaviour = stays
        await scene.submit(*(JobSpec(name=name, cmd="true") for name in ("a", "b")))
        accept = system.submit

        async def submit_late(array: Array) -> SubmitAnswer:
            for name in ("a", "b"):
                system.of(name).word, system.of(name).note = "NODE_FAIL", "n2"
                await scene.completion(name)
            await trio.sleep(1)
            return await accept(array)

        def waits(_system: ScriptedSystem, _element: Element) -> None:
            pass

        system.behaviour = waits
        monkeypatch.setattr(system, "submit", submit_late)
        await scene.submit(JobSpec(name="late", cmd="true", job_type="x"))
        await trio.sleep(1)
        assert [array.excluded for array in system.arrays] == [(), (), ()]
        assert system.exclusions == [({system.of("late").array: "x"}, ["n2"])]
        monkeypatch.undo()
        await scene.backend.kill("late")
