"""Programs that embed the runtime and handle no signals: ``python -m … NAME``. They run until Ctrl-C."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from runtime import FakeBackend, JobSpec, LegacyLauncherAdapter, LocalBackend, RuntimeBackend, run_jobs
from runtime.backend.fake import FakeRun

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def of_the_page() -> RuntimeBackend:
    """The backend of `docs/backends.md`."""
    program, *_ = re.findall(r"```python\n(from collections.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(program, namespace)  # the page is ours
    backend = namespace["SleepBackend"](max_parallelism=1000)
    assert isinstance(backend, RuntimeBackend)
    return backend


def many(cmd: str) -> list[JobSpec]:
    return [JobSpec(name=f"job-{number}", cmd=cmd) for number in range(30_000)]


class Launcher:
    """A legacy launcher that does nothing."""

    poll_freq = 0.01

    def __init__(self, spec: JobSpec) -> None:
        self.polls = 0

    def launch(self) -> None:
        pass

    def poll(self) -> str:
        self.polls += 1
        return "PASSED" if self.polls > 1 else "RUNNING"

    def kill(self) -> None:
        pass


PROGRAMS: dict[str, Callable[[], tuple[list[JobSpec], RuntimeBackend]]] = {
    "page": lambda: (many("0.05"), of_the_page()),
    "fake": lambda: (many("true"), FakeBackend(lambda *_: FakeRun(duration=0.05), max_parallelism=1000)),
    "adapter": lambda: (many("true"), LegacyLauncherAdapter(Launcher, max_parallelism=100)),
    "tree": lambda: (many("sleep 0.05"), LocalBackend(20)),
    "group": lambda: (many("sleep 0.05"), LocalBackend(20, containment="group")),
}


async def main(name: str) -> None:
    """Run its jobs."""
    jobs, backend = PROGRAMS[name]()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    await run_jobs(jobs, backend)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
