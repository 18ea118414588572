"""Tests of the conformance suite: it passes a right backend, describes faults, and takes fixtures in each form."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import runtime.testing
from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import LiveJob
from runtime.backend.fake import FakeBackend, FakeDriver
from runtime.job import JobHandle
from runtime.testing.backends import FakeFixtures
from runtime.testing.conformance import BUFFERS, CHECKS, Check, check_backend, run_check
from runtime.testing.fixture import BackendFixture, Behaviour, CheckContext


class Forgetful(FakeBackend):
    """Never tells the end of a job that was killed."""

    def make_driver(self, control: Control) -> Driver:
        return _ForgetfulDriver(control, self)


class _ForgetfulDriver(FakeDriver):
    def kill(self, jobs: Sequence[LiveJob]) -> None:
        """Do nothing."""


class Shy(FakeBackend):
    """Says nothing of itself."""

    def __repr__(self) -> str:
        return "<a backend>"


class Stubborn(FakeBackend):
    """Kills nothing, and lets go of everything."""

    def make_driver(self, control: Control) -> Driver:
        return _StubbornDriver(control, self)


class _StubbornDriver(FakeDriver):
    def kill(self, jobs: Sequence[LiveJob]) -> None:
        for job in jobs:
            self.control.finish_stopped(job)


class Generous(FakeBackend):
    """Knows no limit."""

    async def submit_many(self, jobs: Any, **options: Any) -> dict[str, JobHandle]:
        self.max_parallelism = None
        return await super().submit_many(jobs, **options)


async def test_a_right_backend_passes_in_one_call(autojump_clock: MockClock) -> None:
    await check_backend(FakeFixtures(at_once=True), buffers=[0])


async def test_a_fixture_may_come_from_an_async_context_manager(autojump_clock: MockClock) -> None:
    entered = left = 0

    @asynccontextmanager
    async def fixture() -> AsyncIterator[BackendFixture]:
        nonlocal entered, left
        entered += 1
        yield FakeFixtures()()
        left += 1

    await check_backend(fixture, buffers=[1], checks=CHECKS[:3])
    assert entered == left == 3


@pytest.mark.parametrize(
    ("backend", "check", "complaint"),
    [
        (Shy, "statistics_and_repr_show_the_state", "the repr should name it: <a backend>"),
        (Stubborn, "a_killed_job_completes_after_its_end", "is running after its completion"),
        (Generous, "no_more_jobs_than_max_parallelism", "accepted, with a limit of two: found"),
        (Forgetful, "a_kill_takes_handles_and_ids", "in check"),
    ],
)
async def test_a_wrong_backend_is_told_what_is_wrong(
    backend: type[FakeBackend], check: str, complaint: str, autojump_clock: MockClock
) -> None:
    chosen = next(each for each in CHECKS if each.__name__ == check)
    with pytest.raises((AssertionError, trio.TooSlowError), match=complaint) as caught:
        await run_check(chosen, FakeFixtures(backend), 0, budget=20)
    assert f"in check {check!r} with a buffer of 0" in caught.value.__notes__


class Broken(FakeBackend):
    """Raises when it launches."""

    def make_driver(self, control: Control) -> Driver:
        return _BrokenDriver(control, self)


class _BrokenDriver(FakeDriver):
    async def launch(self, jobs: Sequence[LiveJob]) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_check_of_a_broken_backend_comes_to_an_end(check: Check, autojump_clock: MockClock) -> None:
    """If it does not, this test hangs: what waits for ever is a shielded reader."""
    with suppress(Exception):
        await run_check(check, FakeFixtures(Broken), 0, budget=20)


async def test_a_survivor_is_found(autojump_clock: MockClock) -> None:
    fixture = attrs.evolve(FakeFixtures()(), alive=lambda _job_id: True)
    with pytest.raises(AssertionError, match=r"running after the end of the block: \['pass-0'\]"):
        async with CheckContext(lambda: fixture, 0).session() as session, session.open():
            await session.start(Behaviour.PASS)


async def test_a_channel_that_is_left_open_is_found() -> None:
    with pytest.raises(AssertionError, match="the backend left 1 clones of the channel open"):
        async with CheckContext(FakeFixtures(), 0).session() as session:
            leaked = session.send.clone()
    leaked.close()


async def test_a_fixture_whose_backend_is_never_busy_is_told(autojump_clock: MockClock) -> None:
    def fixture() -> BackendFixture:
        made = FakeFixtures()()
        return attrs.evolve(
            made,
            job=lambda _, id, *, timeout=None: made.job(Behaviour.PASS, id, timeout=timeout),  # noqa: A006 - see MakeJob
        )

    (check,) = (check for check in CHECKS if check.__name__ == "a_refused_job_has_no_event")
    with pytest.raises(
        AssertionError, match="job for BUSY_ONCE was accepted at its first submission; expected a refusal"
    ):
        await run_check(check, fixture, 0)


async def test_a_refusal_with_room_is_found(autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match=r"refused below the limit: \['busy_once-0'\]"):
        async with CheckContext(FakeFixtures(), 0).session() as session, session.open():
            await session.start(Behaviour.BUSY_ONCE)


def test_each_check_has_a_name_of_its_own_and_says_what_it_checks() -> None:
    checks: list[Callable[..., object]] = list(CHECKS)
    assert len({check.__name__ for check in checks}) == len(checks) >= 40
    assert all(check.__doc__ for check in checks)
    assert list(BUFFERS) == [0, 1, math.inf]


def test_the_package_is_public() -> None:
    assert all(hasattr(runtime.testing, name) for name in runtime.testing.__all__)
