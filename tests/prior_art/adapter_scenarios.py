"""What goes wrong with launchers behind an adapter, as stories that can be told to any adapter.

This module imports neither our adapter nor DVSim's. A story is a coroutine function of a `Stage`, which may stand on
any event loop; it returns facts. What they should be stands at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

Facts = dict[str, Any]


class Stage(Protocol):
    """An adapter that is open, and its event loop."""

    status: Any
    """An enumeration with RUNNING, PASSED, FAILED, KILLED."""
    launcher_error: type[Exception]
    events: list[tuple[str, str, str]]
    """Of each completion: the job's id, the name of its status, the message of its reason."""

    async def open(self, launcher_cls: type) -> None: ...

    async def submit(self, jobs: Iterable[Job]) -> None: ...

    async def kill(self, jobs: Iterable[Job]) -> str:
        """Kill jobs; return the name of the exception that came of it, or nothing."""

    async def close(self) -> None:
        """Stop everything, as on the way out."""

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Let the loop work until this is so, or for half a second."""

    async def beside(self, work: Callable[[], Awaitable[None]], beat: Callable[[], bool]) -> None:
        """Do `work`, and let the loop call `beat` beside it, again and again."""


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
    """Well behaved: runs for ever, dies when killed."""

    variant = "story"
    max_parallel = max_poll = 0
    poll_freq = 0.001
    fail_msg = job_runtime = simulated_time = None
    stage: Stage

    def __init__(self, job: Job) -> None:
        self.job = job
        self.polls = self.launches = self.kills = 0
        self.made.append(self)

    made: list[Launcher]

    def launch(self) -> None:
        self.launches += 1

    def poll(self) -> Any:
        self.polls += 1
        return self.stage.status.RUNNING

    def kill(self) -> None:
        self.kills += 1


async def play(stage: Stage, launcher_cls: type[Launcher], *names: str) -> tuple[list[Job], list[Any]]:
    """Open an adapter for these launchers and submit jobs; return both."""
    Job.compared = 0
    cls: Any = type(launcher_cls.__name__, (launcher_cls,), {"stage": stage, "made": []})
    await stage.open(cls)
    jobs = [Job(name) for name in names]
    await stage.submit(jobs)
    return jobs, cls.made


async def a_launcher_that_raised_while_launching_was_polled_for_ever(stage: Stage) -> Facts:
    class Raises(Launcher):
        def launch(self) -> None:
            raise self.stage.launcher_error("no such queue")

    _, (launcher,) = await play(stage, Raises, "a")
    await stage.until(lambda: launcher.polls > 3)
    return {"polls": launcher.polls, "events": len(stage.events)}


async def an_exception_that_is_no_launcher_error_killed_the_poller(stage: Stage) -> Facts:
    class Raises(Launcher):
        def poll(self) -> Any:
            super().poll()
            if self.job.id == "bad":
                raise ValueError("odd")
            return self.stage.status.PASSED if self.polls > 5 else self.stage.status.RUNNING

    await play(stage, Raises, "bad", "good")
    await stage.until(lambda: len(stage.events) == 2)
    return {"ended": sorted((name, status) for name, status, _ in stage.events)}


async def poll_and_launch_and_kill_blocked_the_event_loop(stage: Stage) -> Facts:
    """Each call waits for the event loop to do something. That is in vain if it is the event loop that waits."""
    alive: list[str] = []

    class Blocks(Launcher):
        def _blocks(self, step: str) -> None:
            if step not in begun:
                begun.append(step)
                if beaten[step].wait(0.3):
                    alive.append(step)

        def launch(self) -> None:
            self._blocks("launch")

        def poll(self) -> Any:
            self._blocks("poll")
            return self.stage.status.RUNNING

        def kill(self) -> None:
            self._blocks("kill")

    begun: list[str] = []
    beaten = {step: threading.Event() for step in ("launch", "poll", "kill")}

    def beat() -> bool:
        for step in begun:
            beaten[step].set()
        return len(begun) == 3

    async def all_of_it() -> None:
        jobs, _ = await play(stage, Blocks, "a")
        await stage.until(lambda: "poll" in begun)
        await stage.kill(jobs)

    await stage.beside(all_of_it, beat)
    return {"alive": alive}


async def one_failing_kill_left_the_rest_alive(stage: Stage) -> Facts:
    class Raises(Launcher):
        def kill(self) -> None:
            super().kill()
            if self.job.id == "j2":
                raise PermissionError("not yours")

    jobs, launchers = await play(stage, Raises, "j1", "j2", "j3", "j4", "j5")
    raised = await stage.kill(jobs)
    await stage.until(lambda: len(stage.events) == 5)
    return {"raised": raised, "kills": [launcher.kills for launcher in launchers], "events": len(stage.events)}


async def kills_went_one_after_the_other(stage: Stage) -> Facts:
    together = threading.Barrier(4)

    class Meets(Launcher):
        def kill(self) -> None:
            together.wait(0.5)

    jobs, _ = await play(stage, Meets, "a", "b", "c", "d")
    raised = await stage.kill(jobs)
    return {"raised": raised, "met": not together.broken}


async def removing_a_job_from_the_poll_queue_compared_whole_specifications(stage: Stage) -> Facts:
    jobs, _ = await play(stage, Launcher, *[f"j{number}" for number in range(50)])
    await stage.kill(reversed(jobs))
    return {"comparisons": Job.compared, "events": len(stage.events)}


async def an_error_while_polling_left_the_process_running_and_lost_the_text(stage: Stage) -> Facts:
    killed: list[int] = []

    class Raises(Launcher):
        def poll(self) -> Any:
            raise self.stage.launcher_error("lost the socket")

        def kill(self) -> None:
            killed.append(len(self.stage.events))

    await play(stage, Raises, "a")
    await stage.until(lambda: bool(stage.events))
    told = [status for _, status, message in stage.events if "lost the socket" in message]
    return {"events when it was killed": killed, "told with the text": told}


async def hooks_ran_twice(stage: Stage) -> Facts:
    """Launchers of DVSim run the hooks themselves."""

    class Runs(Launcher):
        def launch(self) -> None:
            self.job.pre_launch()

        def poll(self) -> Any:
            self.job.post_finish(self.stage.status.PASSED)
            return self.stage.status.PASSED

    (job,), _ = await play(stage, Runs, "a")
    await stage.until(lambda: bool(stage.events))
    return {"hooks": job.hooks}


async def closing_left_jobs_running(stage: Stage) -> Facts:
    _, launchers = await play(stage, Launcher, "a", "b", "c")
    await stage.close()
    return {"kills": [launcher.kills for launcher in launchers], "events": len(stage.events)}


STORIES: dict[Callable[[Stage], Awaitable[Facts]], Facts] = {
    a_launcher_that_raised_while_launching_was_polled_for_ever: {"polls": 0, "events": 1},
    an_exception_that_is_no_launcher_error_killed_the_poller: {"ended": [("bad", "KILLED"), ("good", "PASSED")]},
    poll_and_launch_and_kill_blocked_the_event_loop: {"alive": ["launch", "poll", "kill"]},
    one_failing_kill_left_the_rest_alive: {"raised": "", "kills": [1] * 5, "events": 5},
    kills_went_one_after_the_other: {"raised": "", "met": True},
    removing_a_job_from_the_poll_queue_compared_whole_specifications: {"comparisons": 0, "events": 50},
    an_error_while_polling_left_the_process_running_and_lost_the_text: {
        "events when it was killed": [0],
        "told with the text": ["KILLED"],
    },
    hooks_ran_twice: {"hooks": ["pre_launch", "post_finish PASSED"]},
    closing_left_jobs_running: {"kills": [1, 1, 1], "events": 3},
}
"""The stories, and the facts of an adapter that gets them right."""
