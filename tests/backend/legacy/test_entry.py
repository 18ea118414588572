"""The states of a launcher: the table of their moves, and that each of these moves happens."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from runtime.backend.contract.live import make_live
from runtime.backend.legacy import LauncherBusyError, LauncherError, LegacyLauncherAdapter, driver, entry
from runtime.backend.legacy.entry import MOVES, Entry, LauncherState, move_all, queue_all
from runtime.backend.legacy.launcher_calls import BUILD, POLL
from runtime.testing.launchers import PASSED, RUNNING, Act, Script, raises, says, scripted
from runtime.testing.virtual import Gate
from tests.backend.legacy.isolated_launchers import CommandLauncher
from tests.backend.legacy.rig import job, rig

LEGAL = {(before, after) for before, afters in MOVES.items() for after in afters}


@pytest.mark.parametrize("before", LauncherState)
@pytest.mark.parametrize("after", LauncherState)
def test_a_move_is_legal_if_it_is_in_the_table(before: LauncherState, after: LauncherState) -> None:
    (live,) = make_live([job("a")], 0.0)
    it = Entry(live, CommandLauncher, BUILD)
    for move in (it.move, lambda state: queue_all([it], POLL, state)):
        it.state = before
        if (before, after) in LEGAL:
            move(after)
            assert it.state is after
        else:
            with pytest.raises(RuntimeError, match=f"of job 'a' cannot go from {before.name} to {after.name}"):
                move(after)
            assert it.state is before


def test_the_table_of_the_module_s_docstring_is_the_table() -> None:
    rows = [line.rsplit("  ", 1) for line in (entry.__doc__ or "").splitlines() if line.partition(" ")[0].isupper()]
    written = {row[0].split()[0]: row[1].strip() for row in rows}
    assert {state.name for state in LauncherState} == set(written)
    for state, text in written.items():
        names = set() if text == "(nothing)" else set(text.split(", "))
        assert names == {after.name for after in MOVES[LauncherState[state]]}, state


@attrs.frozen
class Scenario:
    """A launcher, what happens to its job, and the states that it goes through."""

    path: str
    """The initials of the states; see `INITIALS`."""
    script: Script
    kill: float | None = None
    """When the job is killed, in seconds after its submission."""
    submissions: int = 1
    """How often it is submitted."""
    other: Script = attrs.Factory(Script)
    """The launcher of another job, which is submitted with it."""
    options: Mapping[str, float] = attrs.Factory(dict)


INITIALS = dict(zip("blipskKda", LauncherState, strict=True))
BUSY, NEVER = raises(LauncherBusyError()), Gate()
SCENARIOS = {
    "it passes": Scenario("blipipd", Script(poll=[says(RUNNING), says(PASSED)])),
    "its constructor raises": Scenario("bd", Script(build=[raises(LauncherError())])),
    "its constructor hangs": Scenario("ba", Script(build=[Act(gate=NEVER)])),
    "its launch raises": Scenario("bld", Script(launch=[raises(LauncherError())])),
    "its launch hangs": Scenario("bla", Script(launch=[Act(gate=NEVER)])),
    "it is killed before its launch": Scenario(
        "bld", Script(build=[Act(delay=1)]), kill=2, other=Script(build=[Act(delay=4)])
    ),
    "it is busy once": Scenario("blKlipd", Script(launch=[BUSY, Act()]), submissions=2),
    "it is busy, and killed": Scenario("blKd", Script(launch=[BUSY]), kill=2),
    "it is killed between polls": Scenario("blipikd", Script(poll=[says(RUNNING)]), kill=5),
    "it is killed in a poll": Scenario("blipkd", Script(poll=[says(RUNNING, delay=0.5)]), kill=0.2),
    "it is killed in a poll that hangs": Scenario(
        "blipa", Script(poll=[says(RUNNING, gate=NEVER)]), kill=2, options={"stall_timeout": 100}
    ),
    "a poll is slow": Scenario("blipsipd", Script(poll=[says(RUNNING, delay=3), says(PASSED)])),
    "its last poll is slow": Scenario("blipsd", Script(poll=[says(PASSED, delay=3)])),
    "it is killed in a slow poll": Scenario("blipskd", Script(poll=[says(RUNNING, delay=5)]), kill=2),
    "a poll hangs": Scenario("blipsa", Script(poll=[says(RUNNING, gate=NEVER)])),
    "its kill hangs": Scenario("blipika", Script(poll=[says(RUNNING)], kill=[Act(gate=NEVER)]), kill=5),
}
THE_PROCESS_DIES = "blipid"
"""Of a launcher in another process."""


def states(path: str) -> list[LauncherState]:
    return [INITIALS[initial] for initial in path]


def test_the_scenarios_make_each_legal_move() -> None:
    paths = [*(scenario.path for scenario in SCENARIOS.values()), THE_PROCESS_DIES]
    assert {move for path in paths for move in itertools.pairwise(states(path))} == LEGAL


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[LauncherState]]:
    """The states that the launchers of a test go through, by the ids of their jobs."""
    seen: dict[str, list[LauncherState]] = {}
    move = Entry.move

    def recorded(it: Entry, state: LauncherState) -> None:
        seen.setdefault(it.job.id, [it.state]).append(state)
        move(it, state)

    def all_recorded(entries: Collection[Entry], state: LauncherState) -> None:
        for it in entries:
            seen.setdefault(it.job.id, [it.state]).append(state)
        move_all(entries, state)

    monkeypatch.setattr(Entry, "move", recorded)
    monkeypatch.setattr(driver, "move_all", all_recorded)
    monkeypatch.setattr(entry, "move_all", all_recorded)
    return seen


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_the_states_of_a_launcher(
    scenario: Scenario, paths: dict[str, list[LauncherState]], autojump_clock: MockClock
) -> None:
    limits: dict[str, Any] = {
        "stall_timeout": 1,
        "poll_timeout": 20,
        "launch_timeout": 5,
        "kill_timeout": 8,
        **scenario.options,
    }
    cls = scripted({"it": scenario.script, "other": scenario.other}, poll_freq=10)
    specs = [job("it"), job("other")]
    async with rig(cls, **limits) as it, trio.open_nursery() as nursery:
        for _ in range(scenario.submissions):
            nursery.start_soon(it.backend.submit_many, specs)
            await trio.sleep(scenario.kill or 0.1)
            specs = specs[:1]
        if scenario.kill is not None:
            await it.backend.kill("it")
    assert paths["it"] == states(scenario.path)


@pytest.mark.slow
async def test_the_states_of_a_launcher_whose_process_dies(paths: dict[str, list[LauncherState]]) -> None:
    async with rig(CommandLauncher, LegacyLauncherAdapter, isolated=True, poll_interval=1000) as it:
        await it.submit("it", cmd="poll:run")
        with trio.fail_after(60):
            while paths["it"] != states(THE_PROCESS_DIES[:-1]):  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.01)
        await it.submit("other", cmd="launch:die")
        await it.wait_ended("it")
    assert paths["it"] == states(THE_PROCESS_DIES)
