"""The embedding program in the README sees every job complete, also when it is cancelled."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from runtime import EventBatch, FakeBackend, JobSpec
from runtime.backend.fake import FakeRun

PAGE = (Path(__file__).parents[2] / "README.md").read_text()


async def test_the_embedding_program_sees_every_job_complete_when_it_is_cancelled(autojump_clock: MockClock) -> None:
    (program,) = re.findall(r"## Embedding.*?```python\n(.*?)```", PAGE, re.DOTALL)
    backend = FakeBackend(lambda *_: FakeRun(duration=math.inf, kill_duration=1))
    names: dict[str, Any] = {"trio": trio, "EventBatch": EventBatch, "LocalBackend": lambda: backend}
    exec(program, names)  # the page is ours, and running it is the point
    jobs = [JobSpec(name=f"job-{number}", cmd="true") for number in range(6)]
    events: list[Any] = []
    with trio.move_on_after(5):
        await names["main"](jobs, events)
    assert sorted(event.job_id for event in events) == [job.id for job in jobs]
    assert {event.status.name for event in events} == {"KILLED"}
    assert trio.current_time() == 5 + 1
