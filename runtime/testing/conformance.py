"""`check_backend`: does a backend keep the contract?

In the manner of trio's checks of streams: hand over a factory that makes fresh kits, and the suite runs every promise
with channels that hold 0, 1 and any number of batches. For a plug-in's own tests::

    @asynccontextmanager
    async def kit():
        backend = MyBackend()
        yield BackendFixture(backend, job=make_job)

    async def test_contract():
        await check_backend(kit)

or, for a test per promise::

    @pytest.mark.parametrize("buffer", BUFFERS)
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check, buffer):
        await run_check(check, kit, buffer)

It works in virtual time, for backends that are made of trio alone, and with real processes and threads: nothing sleeps,
and the only clock is the budget that each check has.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from runtime.testing.checks import DELIVERING, ENDING, KILLING, SUBMITTING
from runtime.testing.fixture import CheckContext, KitFactory

Check = Callable[[CheckContext], Awaitable[None]]

CHECKS: Final[tuple[Check, ...]] = (*SUBMITTING, *KILLING, *ENDING, *DELIVERING)
"""All checks; the name of each is the promise."""

BUFFERS: Final = (0, 1, math.inf)
"""Sizes of the channel's buffer, in batches."""

BUDGET: Final = 30.0
"""Seconds for one check. Ten jobs that ignore SIGTERM, ended one by one, should take longer. Arbitrary."""


async def run_check(check: Check, factory: KitFactory, buffer: float, *, budget: float = BUDGET) -> None:
    """Run one of `CHECKS`.

    Args:
        check: which one.
        factory: makes the kits; a check may need two.
        buffer: how many batches the channel holds: 0, 1 or `math.inf`.
        budget: seconds, in the run's clock.

    Raises:
        AssertionError: if the promise is not kept; it says what was found and what was wanted.
        trio.TooSlowError: if the budget was exceeded.
    """
    where = f"in check {getattr(check, '__name__', check)!r} with a buffer of {buffer}"
    try:
        with trio.fail_after(budget):
            await check(CheckContext(factory, buffer))
    except ExceptionGroup as group:
        group.add_note(where)
        failures = _leaves(group.subgroup(AssertionError))
        if failures:
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
    factory: KitFactory,
    *,
    buffers: Iterable[float] = BUFFERS,
    checks: Iterable[Check] = CHECKS,
    budget: float = BUDGET,
) -> None:
    """Run all checks with all sizes of the channel's buffer. Raises what `run_check` raises, at the first failure."""
    buffers = tuple(buffers)
    for check in checks:
        for buffer in buffers:
            await run_check(check, factory, buffer, budget=budget)
