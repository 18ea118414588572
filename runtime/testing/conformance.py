"""`check_backend`: does a backend keep the contract?

It works like trio's checks of streams: it gets a factory of fixtures, and checks every promise with channels that hold
0, 1 and any number of batches. In the tests of a plug-in::

    @asynccontextmanager
    async def fixture():
        backend = MyBackend()
        yield BackendFixture(backend, job=make_job)

    async def test_contract():
        await check_backend(fixture)

or, with a test for each promise::

    @pytest.mark.parametrize("buffer", BUFFERS)
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check, buffer):
        await run_check(check, fixture, buffer)

It works in virtual time, for backends that use trio alone, and with real processes and threads. No check sleeps; the
only clock is the time budget of each check.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from runtime.testing.checks import DELIVERING, ENDING, KILLING, SUBMITTING
from runtime.testing.checks.ending import no_task_is_left_behind
from runtime.testing.fixture import CheckContext, FixtureFactory

Check = Callable[[CheckContext], Awaitable[None]]

CHECKS: Final[tuple[Check, ...]] = (*SUBMITTING, *KILLING, *ENDING, *DELIVERING)
"""All checks. The name of each is the promise that it checks."""

ALONE: Final[tuple[Check, ...]] = (no_task_is_left_behind,)
"""Those that look at all of the program, and so cannot run beside others."""

BUFFERS: Final = (0, 1, math.inf)
"""Sizes of the channel's buffer, in batches."""

BUDGET: Final = 30.0
"""Seconds for one check. Arbitrary. It must be less than the time to end ten jobs that ignore SIGTERM one by one: ten
times more would no longer see that kills are sequential, ten times less would fail on a busy machine."""


async def run_check(check: Check, factory: FixtureFactory, buffer: float, *, budget: float = BUDGET) -> None:
    """Run one of `CHECKS`.

    Args:
        check: the check.
        factory: makes the fixtures; a check may need two.
        buffer: how many batches the channel holds: 0, 1 or `math.inf`.
        budget: seconds on the clock of the run.

    Raises:
        AssertionError: if the promise is not kept; the message says what was found and what was expected.
        trio.TooSlowError: if the check takes longer than `budget`.
    """
    where = f"in check {getattr(check, '__name__', check)!r} with a buffer of {buffer}"
    try:
        with trio.fail_after(budget):
            await check(CheckContext(factory, buffer))
    except ExceptionGroup as group:
        group.add_note(where)
        failures = _leaves(group.subgroup(AssertionError))
        if failures:  # the author wants the failed promise, not the nurseries around it
            error = AssertionError("; ".join(map(str, failures)))
            error.add_note(where)
            raise error from group
        raise
    except Exception as exc:
        exc.add_note(where)
        raise


def _leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [] if error is None else [error]


async def check_backend(
    factory: FixtureFactory,
    *,
    buffers: Iterable[float] = BUFFERS,
    checks: Iterable[Check] = CHECKS,
    budget: float = BUDGET,
) -> None:
    """Run all checks, each with all sizes of the channel's buffer. Raises what `run_check` raises, at the first error.

    Args:
        factory: makes the fixtures.
        buffers: sizes of the channel's buffer, in batches.
        checks: what to check.
        budget: seconds for one check.
    """
    buffers = tuple(buffers)
    for check in checks:
        for buffer in buffers:
            await run_check(check, factory, buffer, budget=budget)
