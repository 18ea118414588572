"""Random launchers, kills and cancels: whatever happens, each accepted job completes once, and the block ends in time.

The virtual seam checks on the way that no launcher has two calls at once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from trio.testing import MockClock

from runtime.backends.legacy import LauncherBusyError
from runtime.job import JobStatus
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, scripted
from runtime.testing.virtual import Gate
from tests.backends.legacy.rig import job, rig

CLOSED = Gate()
"""Never opened: who waits for it hangs for ever."""

KILL, POLL, LAUNCH, PATIENCE = 10.0, 20.0, 15.0, 1.0

odd: st.SearchStrategy[BaseException] = st.one_of(
    st.builds(SystemExit, st.just("exit")), st.builds(ValueError), st.builds(LauncherBusyError, st.just("full"))
)
delays = st.sampled_from([0.0, 0.0, 0.003, 0.5, 2.0, 12.0, 25.0])
acts = st.one_of(
    st.builds(Act, delay=delays),
    st.builds(Act, delay=delays),
    st.builds(Act, delay=delays, raises=odd),
    st.just(Act(gate=CLOSED)),
)
statuses = st.sampled_from([RUNNING, RUNNING, JobStatus.QUEUED, PASSED, JobStatus.FAILED, JobStatus.KILLED, None])
polls = st.one_of(
    st.builds(Act, delay=delays, says=statuses), st.builds(Act, delay=delays, says=statuses), acts.map(lambda act: act)
)
scripts = st.builds(
    Script,
    build=st.lists(acts, min_size=1, max_size=2),
    launch=st.lists(acts, min_size=1, max_size=2),
    poll=st.lists(polls, min_size=1, max_size=4),
    kill=st.lists(acts, min_size=1, max_size=1),
)
deeds = st.lists(
    st.tuples(st.sampled_from(["submit", "submit", "kill", "cancel", "wait"]), st.floats(0, 30), st.integers(1, 4)),
    max_size=6,
)


@pytest.mark.slow
@given(
    pool=st.lists(scripts, min_size=1, max_size=4),
    program=deeds,
    close=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "kill_threads": st.sampled_from([1, 64]),
            "poll_interval": st.sampled_from([0, 1]),
            "patience": st.just(PATIENCE),
        }
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_accepted_job_completes_once(
    pool: list[Script], program: list[tuple[str, float, int]], close: bool, options: dict[str, Any]
) -> None:
    trio.run(_play, pool, program, close, options, clock=MockClock(autojump_threshold=0))


async def _play(
    pool: list[Script], program: list[tuple[str, float, int]], close: bool, options: dict[str, Any]
) -> None:
    accepted: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    names = [f"job{number}" for number in range(24)]
    fresh = iter(names)
    cls = scripted(lambda job: pool[int(job.id[3:]) % len(pool)])
    limits: dict[str, Any] = {"kill_timeout": KILL, "poll_timeout": POLL, "launch_timeout": LAUNCH}
    async with rig(cls, **options, **limits) as it, trio.open_nursery() as nursery:

        async def submit(count: int, patience: float) -> None:
            jobs = [job(name, timeout=40) for name, _ in zip(fresh, range(count), strict=False)]
            with trio.move_on_after(patience) as scope:
                accepted.update(dict.fromkeys(await it.backend.submit_many(jobs), 1))
            if scope.cancelled_caught:
                doubtful.update({each.id: 1 for each in jobs})

        for what, seconds, count in program:
            if what == "submit":
                nursery.start_soon(submit, count, 1e9)
            elif what == "cancel":
                nursery.start_soon(submit, count, seconds)
            elif what == "kill":
                nursery.start_soon(it.backend.kill_many, names[:: 5 - count])
            await trio.sleep(seconds if what == "wait" else 0.1)
        if close:
            it.backend.close()
    events = Counter(event.job_id for event in it.events if hasattr(event, "reason"))
    for name in names:
        assert accepted[name] <= events[name] <= accepted[name] + doubtful[name], name
    for name in names:
        steps = cls.steps(name)
        assert steps[0:1] in ([], ["build"])
        assert "kill" not in steps[:-1], "a call after the kill"
    assert trio.current_time() < 2000
