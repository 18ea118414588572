"""`BatchBase`: what the sides of a backend for a batch system share.

The sides stand on each other: `ending` (what a job ended with), `following` (what becomes of it), `killing`,
`adopting`, `launching`; `backend` is the whole.
"""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio

from runtime.backend.backend import RuntimeBackend, check_limit
from runtime.backend.batch.array_index import ArrayIndex, Observation
from runtime.backend.batch.element import Element, LaunchProgress
from runtime.backend.batch.pace import Pace
from runtime.backend.batch.store import Store
from runtime.backend.batch.system import (
    Limits,
    Row,
    System,
    Unanswered,
)
from runtime.backend.finishing import Finisher
from runtime.backend.verdict_pool import VerdictPool
from runtime.job import JobSpec
from runtime.process import SoftSteps, SoftStop, in_thread, inherited_environment
from runtime.roots import Roots

logger: Final = logging.getLogger("runtime.backend.batch")

T = TypeVar("T")

POLL_INTERVAL: Final = 2.0
"""Seconds between two questions to a queue that has news. Arbitrary."""

VISIBILITY_TIMEOUT: Final = 60.0
"""Seconds that a file on a network's disk may be late; what NFS keeps an absent name for, at most, by default."""

KILL_TIMEOUT: Final = 180.0
"""Seconds that a job may take to be gone from the queue once its end was asked for. Slurm itself gives a job 30 s
after SIGTERM; the rest is for a controller that restarts. Arbitrary."""

SOFT_TIMEOUT: Final = 10.0
"""Seconds between the soft step of a stop, if there is one, and the cancel. Arbitrary."""

MAX_OUTPUT_DIRS: Final = 5
"""Old output directories of a job. DVSim's."""

DOUBT_TIMEOUT: Final = 600.0
"""Seconds for which an array may turn up that was in doubt, and then was not in the queue. Arbitrary."""

DEFAULT_LIMITS: Final = Limits("unknown", 1000, accounting=False)
"""Of a system that did not answer when the backend was opened."""


class BatchBase(RuntimeBackend):
    """What all sides of a backend for a batch system share: its arguments, and what is known of its jobs.

    Args:
        system: the batch system.
        run_dir: where jobs that name no directory get theirs, and where they are waited for; the nodes see it at the
            same path. `None` for a private temporary one, which is not deleted.
        poll_interval: seconds between two questions to a queue that has news; with none they become five times as
            many. `None` for 2.
        visibility_timeout: seconds that a file, or the queue, may be late before a job without a record is lost; `None` for 60.
        kill_timeout: seconds that a job may take to be gone from the queue once its end was asked for, before it is
            given up as lost; `None` for 180.
        max_output_dirs: how many old output directories of a job with `renew_odir` are kept; `None` for 5.
        soft_stop: what comes before the system's own stop sequence when a job is stopped; as for `LocalBackend`, but a
            signal goes to all processes of the job.
        soft_timeout: seconds between that and the stop, unless the job ends sooner; `None` for 10.
        options: as for `RuntimeBackend`.

    Raises:
        ValueError: for an argument that cannot be what it is.
    """

    name = "batch"
    shares_roots = True
    """As for `LocalBackend`."""
    max_batch = None  # the larger, the fewer arrays

    def __init__(
        self,
        system: System,
        run_dir: str | os.PathLike[str] | None = None,
        *,
        poll_interval: float | None = None,
        visibility_timeout: float | None = None,
        kill_timeout: float | None = None,
        max_output_dirs: int | None = None,
        soft_stop: SoftStop | Callable[[JobSpec], SoftStop | tuple[SoftStop, float]] = None,
        soft_timeout: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        self._system = system
        self.run_dir: str | None = None if run_dir is None else os.fspath(run_dir)
        """The run directory; of a temporary one the path is known once the backend is open."""
        self._given_roots = run_dir if isinstance(run_dir, Roots) else None
        self._own_roots: Roots | None = None
        poll = check_limit(f"{who}: poll_interval", poll_interval, POLL_INTERVAL, whole=False)
        if poll is None:
            msg = f"{who}: poll_interval is {poll_interval!r}; expected seconds above 0"
            raise ValueError(msg)
        self._visibility_timeout = (
            check_limit(f"{who}: visibility_timeout", visibility_timeout, VISIBILITY_TIMEOUT, whole=False) or 0.0
        )
        keep = check_limit(f"{who}: max_output_dirs", max_output_dirs, MAX_OUTPUT_DIRS)
        self.max_output_dirs = None if keep is None else int(keep)
        soft_seconds = check_limit(f"{who}: soft_timeout", soft_timeout, SOFT_TIMEOUT, whole=False)
        try:
            self._soft_steps = SoftSteps.checked(soft_stop, soft_seconds)
        except ValueError as exc:
            msg = f"{who}: {exc}"
            raise ValueError(msg) from None
        self._kill_timeout = check_limit(f"{who}: kill_timeout", kill_timeout, KILL_TIMEOUT, whole=False)
        self.kill_deadline = self._time_to_end(0 if soft_stop is None else soft_seconds)
        self.limits = DEFAULT_LIMITS
        """What the system says of itself; known once the backend is open."""
        self._pace = Pace(poll)
        self._array_index = ArrayIndex()
        self._limiting = False  # whether somebody looks how large logs are
        self._elements: dict[str, Element] = {}
        self._adoptable: dict[str, str] = {}
        self._absent: dict[str, str] = {}
        self._unresolved: set[str] = set()
        self._finished: set[str] = set()
        self._strays: dict[str, float] = {}
        self._stray_observations: dict[str, Observation] = {}
        self._shared = False
        self._launch_progress: weakref.WeakKeyDictionary[Any, LaunchProgress] = weakref.WeakKeyDictionary()
        self._due = -math.inf
        self._queries = 0
        self._last_answer = 0
        self._accounting_asked_at = -math.inf
        self._roots: Roots
        self._store: Store
        self._finisher: Finisher
        self._verdict_pool: VerdictPool
        self._submit_lock: trio.Lock
        self._file_limiter: trio.CapacityLimiter
        self._hook_limiter: trio.CapacityLimiter
        self._poll_requested: trio.Event
        self._urgent: trio.Event
        self._answer_arrived: trio.Event

    async def _probe(self) -> None:
        answer = await self._system.probe()
        if isinstance(answer, Unanswered):
            logger.warning("backend %r: %s does not answer: %s", self.name, self._system.name, answer.why)
            self._pace.failed()
        else:
            self.limits = answer
            logger.info(
                "backend %r: %s %s, arrays of up to %d jobs, accounting %s",
                self.name,
                self._system.name,
                answer.version,
                answer.max_array,
                "is there" if answer.accounting else "is not there",
            )

    def _environment(self) -> dict[str, str]:
        """Return the environment that jobs inherit."""
        return inherited_environment()

    def _time_to_end(self, soft: float | None) -> float | None:
        """Return in how many seconds a job with so long a soft step is gone at the latest; `None` for no limit."""
        return None if soft is None or self._kill_timeout is None else soft + self._kill_timeout

    async def _next_answer(self) -> None:
        """Wait for an answer to a question that is asked from now on."""
        self._poll_requested.set()
        asked = self._queries
        while self._last_answer <= asked:
            await self._answer_arrived.wait()

    def _label(self, element: Element, row: Row | None) -> str:
        note = f" on {row.note}" if row is not None and row.note else ""
        return f"{self._system.name} job {element.array}_{element.index}{note}"

    def _unattended(self) -> set[str]:
        """Return the jobs that nobody waits for, and that may be alive."""
        return {*self._adoptable, *self._stray_observations, *self._unresolved}

    def _make_stray(self, element: Element) -> None:
        """Nobody waits for a job any more, which may be alive: it is a stray from now on."""
        self._unresolved.add(element.token)
        self._forget(element)

    def _forget(self, element: Element) -> None:
        if self._elements.get(element.token) is element:
            del self._elements[element.token]
        self._finished.add(element.token)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await in_thread(function, *args, limiter=self._file_limiter)
