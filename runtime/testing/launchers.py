"""Scripted launchers: classes for `LegacyLauncherAdapter` whose calls do what a script says, one act for each call.

::

    Cls = scripted({"slow": Script(poll=[says(RUNNING, delay=5), says(PASSED)]),
                    "busy": Script(launch=[raises(LauncherBusyError("full")), Act()])}, poll_freq=1)
    async with LegacyLauncherAdapter(Cls).open(send) as backend: ...
    Cls.steps("busy")            # ["build", "launch", "launch", "poll"]

With `runtime.testing.virtual.VirtualAdapter` the delays take virtual time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
import trio

from runtime.backend.legacy.launcher import Launcher
from runtime.job import JobStatus
from runtime.testing.virtual import Gate, spend


@attrs.frozen
class Act:
    """What a scripted launcher does in one call."""

    says: object = None
    """What `poll` returns."""
    raises: BaseException | None = None
    """What the call raises; `None`: it returns."""
    delay: float = 0.0
    """Seconds that the call takes."""
    gate: Gate | None = None
    """After the delay, the call hangs until this gate is opened."""
    does: Callable[[ScriptedLauncher], object] | None = None
    """Called with the launcher, just before the call returns or raises."""


def says(status: object, *, delay: float = 0.0, gate: Gate | None = None) -> Act:
    """Return the act of a `poll` that returns `status`."""
    return Act(says=status, delay=delay, gate=gate)


def raises(error: BaseException, *, delay: float = 0.0, gate: Gate | None = None) -> Act:
    """Return the act of any call that raises."""
    return Act(raises=error, delay=delay, gate=gate)


RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED
_NOTHING: Final = (Act(),)


@attrs.frozen
class Script:
    """How one job runs: for each step, the acts of its first, second, … call. The last act repeats."""

    poll: Sequence[Act] = (Act(says=PASSED),)
    launch: Sequence[Act] = _NOTHING
    kill: Sequence[Act] = _NOTHING
    build: Sequence[Act] = _NOTHING
    after: Mapping[str, object] = attrs.Factory(dict)
    """Attributes that the launcher has after its construction, such as `fail_msg`."""


@attrs.frozen
class TracedCall:
    """One call of a scripted launcher."""

    job_id: str
    step: str
    """`build`, `launch`, `poll` or `kill`."""
    at: float
    """Seconds on trio's clock when it began; in a thread, on the monotonic clock."""
    thread: int
    """The identifier of the thread."""
    launcher: ScriptedLauncher


Scripts = Mapping[str, Script] | Callable[[Any], Script]
"""A script for each job id, or a function from a job, of whatever class, to its script."""


class ScriptedLauncher(Launcher):
    """A launcher that acts as `scripts` says. `scripted` makes subclasses."""

    scripts: ClassVar[Scripts] = {}
    trace: ClassVar[list[TracedCall]]
    """All calls of all launchers of the class, in the order in which they began."""

    def __init__(self, job: Any) -> None:
        super().__init__(job)
        scripts = type(self).scripts
        self._script = scripts(job) if callable(scripts) else scripts.get(job.id, Script())
        self._calls: dict[str, int] = {}
        for name, value in self._script.after.items():
            setattr(self, name, value)
        self._act("build")

    @classmethod
    def steps(cls, job_id: str) -> list[str]:
        """Return the steps of one job's calls, in order."""
        return [call.step for call in cls.trace if call.job_id == job_id]

    @classmethod
    def times(cls, job_id: str, step: str) -> list[float]:
        """Return when one job's calls of one step began; see `TracedCall.at`."""
        return [call.at for call in cls.trace if call.job_id == job_id and call.step == step]

    def launch(self) -> None:
        """Do the next act of the step `launch`."""
        self._act("launch")

    def poll(self) -> object:
        """Do the next act of the step `poll`, and return its status."""
        return self._act("poll")

    def kill(self) -> None:
        """Do the next act of the step `kill`."""
        self._act("kill")

    def _act(self, step: str) -> object:
        acts = getattr(self._script, step)
        number = self._calls[step] = self._calls.get(step, 0) + 1
        self.trace.append(TracedCall(self.job.id, step, _now(), threading.get_ident(), self))
        act: Act = acts[min(number, len(acts)) - 1]
        if act.delay:
            spend(act.delay)
        if act.gate is not None:
            act.gate.wait()
        if act.does is not None:
            act.does(self)
        if act.raises is not None:
            raise act.raises
        return act.says


def scripted(scripts: Scripts | None = None, **attributes: object) -> type[ScriptedLauncher]:
    """Return a new launcher class with a trace of its own.

    Args:
        scripts: what the launchers do. A job without a script passes at its first poll.
        attributes: attributes of the class, such as `poll_freq`.
    """
    chosen = scripts or {}
    body = {"scripts": staticmethod(chosen) if callable(chosen) else chosen, "trace": [], **attributes}
    return type("ScriptedLauncher", (ScriptedLauncher,), body)


def _now() -> float:
    try:
        return trio.current_time()
    except RuntimeError:
        return time.monotonic()
