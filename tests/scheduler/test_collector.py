"""The garbage collector is off while a graph or its results are made, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from runtime import FakeBackend, JobSpec, Scheduler
from runtime.errors import GraphError
from runtime.scheduler.collector import collector_paused
from tests.scheduler.planning import job


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_on else gc.disable)()


def test_it_is_off_for_the_block_and_on_again_after_it() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_if_the_program_had_switched_it_off() -> None:
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


def test_wrong_input_leaves_it_on() -> None:
    with pytest.raises(GraphError):
        Scheduler([job("a"), job("a")], FakeBackend())
    assert gc.isenabled()


def test_it_is_off_while_a_graph_and_its_results_are_made() -> None:
    jobs = [job(f"j{number}") for number in range(10_000)]
    seen: list[int] = []
    due = 1
    """The collector may run once, right after the block."""

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(look)
    try:
        scheduler = Scheduler[JobSpec]((), FakeBackend())
        seen.clear()
        scheduler.add(jobs)
        assert len(seen) <= due  # and not fourteen times, as with the default threshold of 700
        scheduler.stop()
        seen.clear()
        assert len(scheduler.results()) == len(jobs)
        assert len(seen) <= due
    finally:
        gc.callbacks.remove(look)
