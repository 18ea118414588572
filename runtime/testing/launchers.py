"""Scripted launchers: classes for `LegacyLauncherAdapter` that do, call by call, what a script says.

::

    Cls = scripted({"slow": Script(poll=[says(RUNNING, delay=5), says(PASSED)]),
                    "busy": Script(launch=[raises(LauncherBusyError("full")), Act()])}, poll_freq=1)
    async with LegacyLauncherAdapter(Cls).open(send) as backend: ...
    Cls.steps("busy")            # ["build", "launch", "launch", "poll"]

With `runtime.testing.virtual.VirtualAdapter` the delays are virtual time.
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
    """What a `poll` returns."""
    raises: BaseException | None = None
    """What it raises."""
    delay: float = 0.0
    """Seconds that it takes."""
    gate: Gate | None = None
    """What it waits for, after the delay: it hangs until somebody opens that."""
    does: Callable[[Any], object] | None = None
    """Called with the launcher, before it returns or raises."""


def says(status: object, *, delay: float = 0.0, gate: Gate | None = None) -> Act:
    """Return the act of a `poll` that says `status`."""
    return Act(says=status, delay=delay, gate=gate)


def raises(error: BaseException, *, delay: float = 0.0, gate: Gate | None = None) -> Act:
    """Return the act of any call that raises."""
    return Act(raises=error, delay=delay, gate=gate)


RUNNING: Final = JobStatus.RUNNING
PASSED: Final = JobStatus.PASSED
_NOTHING: Final = (Act(),)


@attrs.frozen
class Script:
    """What becomes of one job: for each step what its first, second, … call does; the last act repeats."""

    poll: Sequence[Act] = (Act(says=PASSED),)
    launch: Sequence[Act] = _NOTHING
    kill: Sequence[Act] = _NOTHING
    build: Sequence[Act] = _NOTHING
    after: Mapping[str, object] = attrs.Factory(dict)
    """What the launcher's attributes are from its construction on: `fail_msg`, say."""


@attrs.frozen
class Deed:
    """One call that was made on a scripted launcher."""

    job_id: str
    step: str
    """`build`, `launch`, `poll` or `kill`."""
    at: float
    """When it began: trio's clock in virtual time, else the wall clock. Seconds."""
    thread: int
    """In which thread."""
    launcher: Any
    """On which object."""


class ScriptedLauncher(Launcher):
    """Does what `scripts` says. Make a class of your own with `scripted`."""

    scripts: ClassVar[Mapping[str, Script] | Callable[[Any], Script]] = {}
    trace: ClassVar[list[Deed]]
    """All calls on all launchers of the class, in the order in which they began."""

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
        """Return the names of the calls that were made for one job."""
        return [deed.step for deed in cls.trace if deed.job_id == job_id]

    @classmethod
    def times(cls, job_id: str, step: str) -> list[float]:
        """Return when the calls of one step began for one job."""
        return [deed.at for deed in cls.trace if deed.job_id == job_id and deed.step == step]

    def launch(self) -> None:
        """Act."""
        self._act("launch")

    def poll(self) -> Any:
        """Act, and say what the script says."""
        return self._act("poll")

    def kill(self) -> None:
        """Act."""
        self._act("kill")

    def _act(self, step: str) -> object:
        acts = getattr(self._script, step)
        number = self._calls[step] = self._calls.get(step, 0) + 1
        self.trace.append(Deed(self.job.id, step, _now(), threading.get_ident(), self))
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


def scripted(
    scripts: Mapping[str, Script] | Callable[[Any], Script] | None = None, **attributes: object
) -> type[ScriptedLauncher]:
    """Make a class of launchers.

    Args:
        scripts: by job id, or a function of the job; a job without a script passes at its first poll.
        attributes: of the class, such as `poll_freq`.
    """
    chosen = scripts or {}
    body = {"scripts": staticmethod(chosen) if callable(chosen) else chosen, "trace": [], **attributes}
    return type("ScriptedLauncher", (ScriptedLauncher,), body)


def _now() -> float:
    try:
        return trio.current_time()
    except RuntimeError:
        return time.monotonic()
