"""`cancel_at_every_step`: runs a program again and again, cancelled one step later each time.

A clean-up that is wrong is wrong at some await; this finds it without knowing which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope when, in all tasks together, so many steps were taken.

    Args:
        scope: what to cancel.
        steps: after how many steps.
    """

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._steps = steps
        self.taken = 0
        """How many steps have been taken."""

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cancel when it is time."""
        self.taken += 1
        if self.taken == self._steps:
            self._scope.cancel()


Program = Callable[[trio.CancelScope], Awaitable[None]]
"""Enters the scope that it is given around whatever shall be cancelled; checks, after that, what must hold then."""


def cancel_at_every_step(program: Program, *, limit: int = 10_000) -> int:
    """Run `program` in virtual time, cancelled after 1 step, after 2, and so on, until it ends before it is cancelled.

    Returns:
        How many runs that took.

    Raises:
        Exception: whatever a run raises, with a note that says after how many steps it was cancelled.
        RuntimeError: if after `limit` runs there is still something to cancel.
    """
    for steps in range(1, limit + 1):
        scope = trio.CancelScope()
        instrument = CancelAfter(scope, steps)
        try:
            trio.run(program, scope, clock=MockClock(autojump_threshold=0), instruments=[instrument])
        except Exception as exc:
            exc.add_note(f"cancelled after {steps} steps")
            raise
        if not scope.cancelled_caught and instrument.taken < steps:
            return steps
    msg = f"after {limit} runs the program still takes more steps"
    raise RuntimeError(msg)
