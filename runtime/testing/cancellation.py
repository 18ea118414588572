"""`cancel_at_every_step`: runs a program repeatedly, cancelled one task step later each time.

A clean-up that is wrong fails at one particular await. This finds it without knowing which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope when all tasks together have run a number of steps.

    Args:
        scope: the scope to cancel.
        steps: the number of steps.
    """

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._steps = steps
        self.taken: int = 0
        """The number of steps so far."""

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the step, and cancel the scope if it is the last one."""
        self.taken += 1
        if self.taken == self._steps:
            self._scope.cancel()


Program = Callable[[trio.CancelScope], Awaitable[None]]
"""Enters the scope that it is given around the code to cancel. After the scope it asserts what must hold."""


def cancel_at_every_step(program: Program, *, limit: int = 10_000) -> int:
    """Run `program` in virtual time, cancelled after 1 step, after 2, and so on, until it ends before it is cancelled.

    Args:
        program: run once for each step, in a fresh `trio.run`.
        limit: the largest number of runs. Arbitrary: ten times less would be too few for a whole backend's block, ten
            times more would let a program without an end run for minutes.

    Returns:
        The number of runs.

    Raises:
        Exception: what a run raises, with a note that says after how many steps it was cancelled.
        RuntimeError: if the program still takes more steps after `limit` runs.
    """
    for steps in range(1, limit + 1):
        scope = trio.CancelScope()
        instrument = CancelAfter(scope, steps)
        try:
            trio.run(program, scope, clock=MockClock(autojump_threshold=0), instruments=[instrument])
        except Exception as exc:
            exc.add_note(f"cancelled after {steps} steps")
            raise
        # The scope was not cancelled, and the program took fewer steps: there is no later step to cancel.
        if not scope.cancelled_caught and instrument.taken < steps:
            return steps
    raise RuntimeError(f"after {limit} runs the program still takes more steps")
