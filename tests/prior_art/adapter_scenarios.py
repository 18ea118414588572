"""Faults of launchers behind an adapter, as scenarios that run against any adapter.

This module imports neither our adapter nor DVSim's. A scenario is a coroutine function of an `AdapterUnderTest`, which
may use any event loop; it returns facts. The expected facts are at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

Facts = dict[str, Any]


class AdapterUnderTest(Protocol):
    """An open adapter, and its event loop."""

    status: Any
    """An enumeration with RUNNING, PASSED, FAILED, KILLED."""
    launcher_error: type[Exception]
    events: list[tuple[str, str, str]]
    """Of each completion: the job's id, the name of its status, the message of its reason."""

    async def open(self, launcher_cls: type) -> None: ...

    async def submit(self, jobs: Iterable[Job]) -> None: ...

    async def kill(self, jobs: Iterable[Job]) -> str:
        """Kill jobs; return the name of the exception that this raised, or an empty string."""

    async def close(self) -> None:
        """End the adapter, as at the end of a run."""

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Run the event loop until `condition` holds, or for half a second; return whether it holds."""

    async def run_while_ticking(self, work: Callable[[], Awaitable[None]], tick: Callable[[], bool]) -> None:
        """Do `work`, and call `tick` in the event loop again and again until it is done."""


class Job:
    """A job as DVSim's launchers see it; counts how often it is compared, and which hooks were called."""

    timeout_secs = timeout_mins = None
    interactive = False
    compared = 0

    def __init__(self, name: str) -> None:
        self.id = self.name = self.full_name = self.qual_name = name
        self.hooks: list[str] = []

    def __eq__(self, other: object) -> bool:
        Job.compared += 1
        return self is other

    __hash__ = object.__hash__

    def pre_launch(self) -> None:
        self.hooks.append("pre_launch")

    def post_finish(self, status: Any) -> None:
        self.hooks.append(f"post_finish {status.name}")


class Launcher:
    """A launcher without faults: its job runs until it is killed."""

    variant = "scenario"
    max_parallel = max_poll = 0
    poll_freq = 0.001
    fail_msg = job_runtime = simulated_time = None
    adapter: AdapterUnderTest

    def __init__(self, job: Job) -> None:
        self.job = job
        self.polls = self.launches = self.kills = 0
        self.made.append(self)

    made: list[Launcher]

    def launch(self) -> None:
        self.launches += 1

    def poll(self) -> Any:
        self.polls += 1
        return self.adapter.status.RUNNING

    def kill(self) -> None:
        self.kills += 1


async def start(adapter: AdapterUnderTest, launcher_cls: type[Launcher], *names: str) -> tuple[list[Job], list[Any]]:
    """Open an adapter for these launchers and submit jobs; return both."""
    Job.compared = 0
    cls: Any = type(launcher_cls.__name__, (launcher_cls,), {"adapter": adapter, "made": []})
    await adapter.open(cls)
    jobs = [Job(name) for name in names]
    await adapter.submit(jobs)
    return jobs, cls.made


async def a_launcher_that_raised_while_launching_was_polled_for_ever(adapter: AdapterUnderTest) -> Facts:
    class Raises(Launcher):
        def launch(self) -> None:
            raise self.adapter.launcher_error("no such queue")

    _, (launcher,) = await start(adapter, Raises, "a")
    await adapter.until(lambda: launcher.polls > 3)
    return {"polls": launcher.polls, "events": len(adapter.events)}


async def an_exception_that_is_no_launcher_error_killed_the_poller(adapter: AdapterUnderTest) -> Facts:
    class Raises(Launcher):
        def poll(self) -> Any:
            super().poll()
            if self.job.id == "bad":
                raise ValueError("odd")
            return self.adapter.status.PASSED if self.polls > 5 else self.adapter.status.RUNNING

    await start(adapter, Raises, "bad", "good")
    await adapter.until(lambda: len(adapter.events) == 2)
    return {"ended": sorted((name, status) for name, status, _ in adapter.events)}


async def poll_and_launch_and_kill_blocked_the_event_loop(adapter: AdapterUnderTest) -> Facts:
    """Each call waits until the event loop has done something: for ever, if the call blocks the event loop."""
    alive: list[str] = []

    class Blocks(Launcher):
        def _blocks(self, step: str) -> None:
            if step not in begun:
                begun.append(step)
                if ticked[step].wait(0.3):
                    alive.append(step)

        def launch(self) -> None:
            self._blocks("launch")

        def poll(self) -> Any:
            self._blocks("poll")
            return self.adapter.status.RUNNING

        def kill(self) -> None:
            self._blocks("kill")

    begun: list[str] = []
    ticked = {step: threading.Event() for step in ("launch", "poll", "kill")}

    def tick() -> bool:
        for step in begun:
            ticked[step].set()
        return len(begun) == 3

    async def work() -> None:
        jobs, _ = await start(adapter, Blocks, "a")
        await adapter.until(lambda: "poll" in begun)
        await adapter.kill(jobs)

    await adapter.run_while_ticking(work, tick)
    return {"alive": alive}


async def one_failing_kill_left_the_rest_alive(adapter: AdapterUnderTest) -> Facts:
    class Raises(Launcher):
        def kill(self) -> None:
            super().kill()
            if self.job.id == "j2":
                raise PermissionError("not yours")

    jobs, launchers = await start(adapter, Raises, "j1", "j2", "j3", "j4", "j5")
    raised = await adapter.kill(jobs)
    await adapter.until(lambda: len(adapter.events) == 5)
    return {"raised": raised, "kills": [launcher.kills for launcher in launchers], "events": len(adapter.events)}


async def kills_went_one_after_the_other(adapter: AdapterUnderTest) -> Facts:
    together = threading.Barrier(4)

    class Meets(Launcher):
        def kill(self) -> None:
            together.wait(0.5)

    jobs, _ = await start(adapter, Meets, "a", "b", "c", "d")
    raised = await adapter.kill(jobs)
    return {"raised": raised, "met": not together.broken}


async def removing_a_job_from_the_poll_queue_compared_whole_specifications(adapter: AdapterUnderTest) -> Facts:
    jobs, _ = await start(adapter, Launcher, *[f"j{number}" for number in range(50)])
    await adapter.kill(reversed(jobs))
    return {"comparisons": Job.compared, "events": len(adapter.events)}


async def an_error_while_polling_left_the_process_running_and_lost_the_text(adapter: AdapterUnderTest) -> Facts:
    killed: list[int] = []

    class Raises(Launcher):
        def poll(self) -> Any:
            raise self.adapter.launcher_error("lost the socket")

        def kill(self) -> None:
            killed.append(len(self.adapter.events))

    await start(adapter, Raises, "a")
    await adapter.until(lambda: bool(adapter.events))
    with_text = [status for _, status, message in adapter.events if "lost the socket" in message]
    return {"events when it was killed": killed, "events with the text": with_text}


async def hooks_ran_twice(adapter: AdapterUnderTest) -> Facts:
    """DVSim's launchers run the hooks themselves."""

    class Runs(Launcher):
        def launch(self) -> None:
            self.job.pre_launch()

        def poll(self) -> Any:
            self.job.post_finish(self.adapter.status.PASSED)
            return self.adapter.status.PASSED

    (job,), _ = await start(adapter, Runs, "a")
    await adapter.until(lambda: bool(adapter.events))
    return {"hooks": job.hooks}


async def closing_left_jobs_running(adapter: AdapterUnderTest) -> Facts:
    _, launchers = await start(adapter, Launcher, "a", "b", "c")
    await adapter.close()
    return {"kills": [launcher.kills for launcher in launchers], "events": len(adapter.events)}


SCENARIOS: dict[Callable[[AdapterUnderTest], Awaitable[Facts]], Facts] = {
    a_launcher_that_raised_while_launching_was_polled_for_ever: {"polls": 0, "events": 1},
    an_exception_that_is_no_launcher_error_killed_the_poller: {"ended": [("bad", "KILLED"), ("good", "PASSED")]},
    poll_and_launch_and_kill_blocked_the_event_loop: {"alive": ["launch", "poll", "kill"]},
    one_failing_kill_left_the_rest_alive: {"raised": "", "kills": [1] * 5, "events": 5},
    kills_went_one_after_the_other: {"raised": "", "met": True},
    removing_a_job_from_the_poll_queue_compared_whole_specifications: {"comparisons": 0, "events": 50},
    an_error_while_polling_left_the_process_running_and_lost_the_text: {
        "events when it was killed": [0],
        "events with the text": ["KILLED"],
    },
    hooks_ran_twice: {"hooks": ["pre_launch", "post_finish PASSED"]},
    closing_left_jobs_running: {"kills": [1, 1, 1], "events": 3},
}
"""The scenarios, and the facts of an adapter without these faults."""
