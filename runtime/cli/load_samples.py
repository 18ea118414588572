"""`record_samples` records now and then what is in use of the machine and of the resources, while a run goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn

import trio

from runtime.journal.recorder import Recorder
from runtime.process import in_thread
from runtime.process.machine_load import MachineLoad, read_machine

SHORTEST_INTERVAL: Final = 1.0
"""Seconds between two samples at the beginning. Arbitrary: ten times longer, and a run of some seconds has none; ten
times shorter, and a long build fills its first seconds with them."""
PART: Final = 500
"""An interval is at least this part of the time that has passed. So a run of a day has 3,000 samples of some 120 bytes,
and one of a week 4,000. Arbitrary: a chart is some hundred points wide."""


async def look_at_machine() -> MachineLoad:
    """Return what is in use of this machine. A cancel is prompt; a call that is stuck is abandoned then."""
    return await in_thread(read_machine, limiter=trio.CapacityLimiter(1))


async def record_samples(
    recorder: Recorder,
    resources: Callable[[], Mapping[str, tuple[int, int | None]]],
    look: Callable[[], Awaitable[MachineLoad]] = look_at_machine,
) -> NoReturn:
    """Record samples, until it is cancelled.

    Args:
        recorder: of the run.
        resources: returns of each resource what is held, and its limit.
        look: returns what is in use of the machine.
    """
    began = last = trio.current_time()
    before = await look()
    while True:
        await trio.sleep(max(SHORTEST_INTERVAL, (last - began) / PART))
        load, now = await look(), trio.current_time()
        recorder.sampled(now, _cpus(before, load, now - last), load.memory, resources())
        before, last = load, now


def _cpus(before: MachineLoad, now: MachineLoad, seconds: float) -> float | None:
    """Return how many CPUs were busy, on average; `None` if it is not known."""
    if before.busy_seconds is None or now.busy_seconds is None or seconds <= 0:
        return None
    return round(max(0.0, now.busy_seconds - before.busy_seconds) / seconds, 2)
