"""What is in use is recorded now and then: the more seldom the longer a run takes."""

from __future__ import annotations

from itertools import pairwise

import trio
import trio.testing

from runtime.cli.load_samples import PART, record_samples
from runtime.journal import Recorder, Sampled
from runtime.process.machine_load import MachineLoad
from tests.journal.sink import Sink


class Machine:
    """A machine that has worked for another half second at each look, and uses more memory."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> MachineLoad:
        await trio.lowlevel.checkpoint()
        self.looks += 1
        return MachineLoad(0.5 * self.looks, self.looks)


async def samples(seconds: float, machine: Machine, *, begun: bool = True) -> list[Sampled]:
    sink = Sink()
    recorder = Recorder(sink, "/out/run")
    if begun:
        recorder.begin("token", 0.0)
    with trio.move_on_after(seconds):
        await record_samples(recorder, lambda: {"licence": (1, 4), "disk": (7, None)}, machine.look)
    recorder.end(seconds)
    recorder.sampled(seconds, None, None, {})
    return [record for record in sink.records if isinstance(record, Sampled)]


async def test_a_sample_has_the_mean_since_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    found = await samples(3.5, Machine())
    began = found[0].at - 1
    assert [(each.at - began, each.cpus, each.memory) for each in found] == [(1, 0.5, 2), (2, 0.5, 3), (3, 0.5, 4)]
    assert found[0].held() == {"licence": (1, 4), "disk": (7, None)}


async def test_their_number_is_bounded_however_long_a_run_takes(autojump_clock: trio.testing.MockClock) -> None:
    machine = Machine()
    found = await samples(86_400, machine)
    assert PART < len(found) < 7 * PART
    assert len(found) == machine.looks - 1
    assert max(later.at - each.at for each, later in pairwise(found)) < 2 * 86_400 / PART


async def test_nothing_is_recorded_before_the_beginning(autojump_clock: trio.testing.MockClock) -> None:
    assert await samples(10, Machine(), begun=False) == []


def test_what_a_job_has_written_is_left_out() -> None:
    sample = Sampled(1.0, resources={"a": [1, 2], "b": [1], "c": "12", "d": [True, None], "e": [1, "x"], "f": {}})
    assert sample.held() == {"a": (1, 2)}
