"""`StopSequence`: which step of a stop is due. Values only: its clock is the caller's, and so are all actions.

Facts go in by the methods: a stop begins, it is forced, the processes were paused, all of them have ended. `take` says
which step the caller is to carry out now::

    begin ──► SOFT ──► TERM ──► KILL ──► LOST
                │        │       ▲ └─ again after `kill_interval`
                └────────┴───────┘
                      force

A step lasts until its time is over, or `end_step` says that nothing more is to be expected of it. The gentle steps, all
before `KILL`, are a list, because they differ between callers:

- *The processes of a job* (`runtime.process.group`, and the shim in `runtime.process.guard`): the soft step if the job
  has one, then SIGTERM, then SIGKILL. If the root has ended by itself and others run on, the only gentle step is
  `LEFTOVERS`: they have some time to exit.
- *A job in the queue of a batch system*: the soft step if the job has one and runs, then `KILL`, which is the system's
  cancel: it sends SIGTERM and SIGKILL itself. `kill_interval` repeats it, as a cancel may get lost. Per job::

      stop = StopSequence(kill_timeout, kill_interval=10.0)      # with its record
      stop.begin([(SOFT, soft.seconds)] if runs and soft else [])  # it is to be stopped
      stop.force()                                               # without its soft step
      while (step := stop.take(now)) is not None: ...            # in each round: signal or file, cancel, give up
      stop.end()                                                 # it has left the queue, or is being judged

  A caller with another limit after which a job is lost passes `None` as `kill_timeout`.

Guards import this module, too (`runtime.helper.boot`), so it imports next to nothing. Steps are texts for that reason:
`enum` would add a tenth to the start of a guard.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    GentleStep = tuple[str, float | None]
    """A step before SIGKILL, and the seconds that it lasts; `None` for no limit."""

SOFT: Final = "soft step"
"""A signal, or a file that is made, on which the job can close its files."""
TERM: Final = "SIGTERM"
"""SIGTERM, and SIGCONT: a stopped process acts on SIGTERM only after it."""
LEFTOVERS: Final = "leftovers"
"""Processes that outlive the root may exit by themselves."""
KILL: Final = "SIGKILL"
"""SIGKILL until no process is left; or the cancel of a batch system."""
LOST: Final = "lost"
"""What is left did not end in time. The step in progress is still `KILL`."""

ENDED: Final = "ended"
"""No process is left. Never returned by `take`."""

_NEVER: Final = float("inf")
_NOW: Final = -_NEVER


class StopSequence:
    """The steps of one stop. Times are seconds of a clock of the caller, the same for all calls.

    Args:
        kill_timeout: seconds after SIGKILL until the job is lost; `None` for no limit.
        kill_interval: seconds after which `KILL` is due again.
    """

    # Defaults of the class, because most jobs end without a stop, and a shim makes one of these for each.
    step: str | None = None
    """The step in progress; `None` before the first; `ENDED`."""
    _gentle: Sequence[GentleStep] = ()
    """The gentle steps that are left."""
    has_begun: bool = False
    """Whether a step was, or is, due."""
    _deadline = _NEVER
    _again = _NEVER
    _paused_at: float | None = None

    def __init__(self, kill_timeout: float | None, kill_interval: float = _NEVER) -> None:
        self._kill_timeout = kill_timeout
        self._kill_interval = kill_interval

    def __repr__(self) -> str:
        return f"<StopSequence {self.step or ('due' if self.has_begun else 'not begun')}>"

    def begin(self, gentle: Sequence[GentleStep], kill_timeout: float | None) -> None:
        """Begin with the first of the gentle steps. Does nothing if it has begun.

        Args:
            gentle: the steps before `KILL`, in order.
            kill_timeout: replaces that of the constructor.
        """
        if not self.has_begun:
            self.has_begun = True
            self._gentle = gentle
            self._kill_timeout = kill_timeout
            self._deadline = _NOW

    def force(self) -> None:
        """Skip the gentle steps: `KILL` is due now, even if the stop has not begun or is paused. Idempotent."""
        if self.step not in (KILL, ENDED):
            self.has_begun = True
            self._gentle = ()
            self._deadline = _NOW
            self._paused_at = None  # SIGKILL takes effect on stopped processes, too

    def end_step(self) -> None:
        """End a gentle step before its time, because nothing more is to be expected of it."""
        if self.step not in (None, KILL, ENDED):
            self._deadline = _NOW

    def take(self, now: float) -> str | None:
        """Return the step that is to be carried out now, or `None`. To be called until it returns `None`."""
        if self._paused_at is not None:
            return None
        if now >= self._deadline:
            if self.step == KILL:
                self._deadline = _NEVER
                return LOST
            self.step, seconds = self._gentle[0] if self._gentle else (KILL, self._kill_timeout)
            self._gentle = self._gentle[1:]
            self._deadline = _NEVER if seconds is None else now + seconds
        elif now < self._again:
            return None
        if self.step == KILL:
            self._again = now + self._kill_interval
        return self.step

    def seconds_left(self, now: float) -> float:
        """Return the seconds until `take` has a step again; infinity if only another fact can change that."""
        return _NEVER if self._paused_at is not None else max(0.0, min(self._deadline, self._again) - now)

    def pause(self, now: float) -> bool:
        """Let no step begin until `unpause`; return whether that is new. Killing is not paused."""
        if self._paused_at is not None or self.step == KILL:
            return False
        self._paused_at = now
        return True

    def unpause(self, now: float) -> bool:
        """Extend the step in progress by the pause; return whether there was one."""
        if self._paused_at is None:
            return False
        self.postpone(now - self._paused_at)
        self._paused_at = None
        return True

    def postpone(self, seconds: float) -> None:
        """Extend the step in progress: the processes did not run as long."""
        self._deadline += seconds

    def end(self) -> None:
        """No process is left: nothing is due any more."""
        self.step = ENDED
        self.has_begun = True
        self._deadline = self._again = _NEVER
