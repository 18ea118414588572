"""`CtlRequests`: carries out what ``job-runtime ctl`` asks of this run, as the scheduler's methods do it.

It is a watcher of the run: it can neither delay nor end it. If the file system of the run directory does not answer,
requests wait, and nothing else does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeVar, TypeVarTuple

import trio

from runtime.ctl.inbox import Inbox, Received
from runtime.ctl.messages import Answer, RunRequest
from runtime.errors import GraphError, ResourceError
from runtime.process import in_thread
from runtime.scheduler.statistics import SchedulerStatistics

logger: Final = logging.getLogger("runtime.cli")

CLOSE_TIMEOUT: Final = 1.0
"""Seconds for the last answers. Arbitrary: ten times longer, a file system that does not answer
seems to hang the end of the run; ten times shorter, who has stopped a run on a slow one gets no
answer."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

POLL_INTERVAL: Final = 1.0
"""Seconds between two looks for requests. Arbitrary: to a person who waits for an answer, ten times more seems broken;
ten times less would cost a thread and a file server ten calls a second. inotify sees nothing of another host."""


class Controllable(Protocol):
    """The part of `Scheduler` that is used."""

    def kill(self, ids: Iterable[str], *, by: str = ..., force: bool = ...) -> None:
        """Kill jobs."""

    def stop(self, *, by: str = ..., force: bool = ..., drain: bool = ...) -> None:
        """Start no more jobs, and kill those that run, or (`drain`) let them end."""

    def pause_launching(self, *, by: str = ...) -> None:
        """Launch no more jobs."""

    def resume_launching(self, *, by: str = ...) -> None:
        """Launch jobs again."""

    def set_limit(self, resource: str, limit: int | None, *, by: str = ...) -> None:
        """Set the limit of a resource."""

    def statistics(self) -> SchedulerStatistics:
        """Return a snapshot of the run."""
        ...


class CtlRequests:
    """The requests to one run. Made in the event loop.

    Args:
        inbox: has them.
        scheduler: carries them out.
        say: shows a line.
        show_stop: shows a line that says that the run is being stopped.
    """

    def __init__(
        self,
        inbox: Inbox,
        scheduler: Controllable,
        *,
        say: Callable[[str], object],
        show_stop: Callable[[str], object],
    ) -> None:
        self._inbox = inbox
        self._scheduler = scheduler
        self._say = say
        self._show_stop = show_stop
        self._limiter: Final = trio.CapacityLimiter(1)
        self._problem: str | None = None
        """What was logged last."""
        self._answers: Final[dict[str, Answer]] = {}
        """To requests that were carried out, by their ids, as far as they are not written."""
        self._actions: Final[Mapping[str, Callable[[RunRequest, str], str]]] = {
            "kill": self._kill,
            "stop": self._stop,
            "drain": self._drain,
            "pause": self._pause,
            "resume": self._resume,
            "limit": self._limit,
        }

    async def run(self) -> None:
        """Carry out requests until cancelled, which is prompt: what is being taken may be lost."""
        while True:
            for received in await self._in_thread(self._inbox.take) or ():
                self._answers[received.id] = self._carry_out(received)  # which may end the run, and cancel this
            await self._answer()
            await trio.sleep(POLL_INTERVAL)

    async def close(self) -> None:
        """Write the answers that are left, and take no more requests. To be called when `run` was cancelled."""
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._answer()
            await self._in_thread(self._inbox.close)

    async def _answer(self) -> None:
        for request_id, answer in list(self._answers.items()):
            await self._in_thread(self._inbox.answer, request_id, answer)
            del self._answers[request_id]

    async def _in_thread(self, function: Callable[[*Ts], T], *args: *Ts) -> T | None:
        """Return what a function does in a thread; `None` if it raises `OSError`, which is logged once."""
        try:
            return await in_thread(function, *args, limiter=self._limiter)
        except OSError as exc:
            self._warn(f"job-runtime ctl does not reach this run: {exc.filename}: {exc.strerror}")
            return None

    def _warn(self, problem: str) -> None:
        """Log a problem once, and not again and again: a job can make it."""
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem = problem

    def _carry_out(self, received: Received) -> Answer:
        """Do what is asked; return what became of it."""
        request, by = received.request, received.by
        if request is None:
            self._warn(f"a request of {by} is refused: {received.problem}")
            return Answer(False, received.problem)
        try:
            done = self._actions[request.action](request, by)
        except (GraphError, ResourceError) as exc:
            logger.info("a request of %s to %s is refused: %s", by, request.action, exc)
            return Answer(False, str(exc))
        return Answer(True, done)

    def _kill(self, request: RunRequest, by: str) -> str:
        self._scheduler.kill(request.jobs, by=by, force=request.force)
        count = len(request.jobs)
        done = f"{count} {'job is' if count == 1 else 'jobs are'} being killed, if not ended yet"
        self._say(f"{by}: {done}")
        return done

    def _stop(self, request: RunRequest, by: str) -> str:
        self._scheduler.stop(by=by, force=request.force)
        done = f"nothing new starts, running jobs are being {'killed' if request.force else 'ended'}"
        self._show_stop(f"{by}: {done}")
        return done

    def _drain(self, _: RunRequest, by: str) -> str:
        self._scheduler.stop(by=by, drain=True)
        done = "nothing new starts, running jobs may finish"
        self._show_stop(f"{by}: {done}")
        return done

    def _pause(self, _: RunRequest, by: str) -> str:
        self._scheduler.pause_launching(by=by)
        count = self._scheduler.statistics().in_flight
        done = f"launching is paused; {count} {'job goes' if count == 1 else 'jobs go'} on"
        self._say(f"{by}: {done}")
        return done

    def _resume(self, _: RunRequest, by: str) -> str:
        self._scheduler.resume_launching(by=by)
        done = "launching goes on"
        self._say(f"{by}: {done}")
        return done

    def _limit(self, request: RunRequest, by: str) -> str:
        self._scheduler.set_limit(request.resource, request.limit, by=by)
        held, limit = self._scheduler.statistics().resources[request.resource]
        done = f"the limit of {request.resource} is {'unlimited' if limit is None else limit}; {held} held"
        self._say(f"{by}: {done}")
        return done
