"""The backend that docs/backends.md writes keeps the contract, as the page says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from runtime import JobSpec
from runtime.backends.live import LiveJob
from runtime.testing import BUFFERS, BackendKit, Behaviour, check_backend

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"
COMMANDS = {
    Behaviour.PASS: "0.01",
    Behaviour.FAIL: "-0.01",
    Behaviour.RUN_UNTIL_KILLED: "inf",
    Behaviour.IGNORE_SIGTERM: "inf",
    Behaviour.CANNOT_LAUNCH: "soon",
    Behaviour.BUSY_ONCE: "0.01",
}


def written_on_the_page() -> Any:
    (program,) = re.findall(r"```python\n(from collections.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(program, namespace)  # the page is ours, and running it is the point
    return namespace["SleepBackend"]


def kit() -> BackendKit:
    busy: set[str] = set()

    class SometimesBusy(written_on_the_page()):  # type: ignore[misc]  # it comes from a page
        """The one on the page is never busy, and the suite wants to see that, too."""

        async def _launch(self, jobs: Sequence[LiveJob]) -> None:
            for job in jobs:
                if job.id in busy and self._begin(job):
                    busy.discard(job.id)
                    self._refuse(job)
            await super()._launch(jobs)

    def make(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - the kit's name
        if behaviour is Behaviour.BUSY_ONCE:
            busy.add(id)
        return JobSpec(name=id, cmd=COMMANDS[behaviour], timeout=timeout)

    return BackendKit(SometimesBusy(), make)


@pytest.mark.parametrize("buffer", BUFFERS)
async def test_the_backend_on_the_page_keeps_the_contract(buffer: float, autojump_clock: MockClock) -> None:
    await check_backend(kit, buffers=[buffer])


NAMES = """_launch _kill _force _setup _serve _teardown _begin _launched _refuse _progress _complete
_complete_stopped _fail _start_task"""


@pytest.mark.parametrize("name", NAMES.split())
def test_what_the_page_tells_of_exists(name: str) -> None:
    assert f"`{name}(" in PAGE.read_text()
    assert callable(getattr(written_on_the_page(), name))
