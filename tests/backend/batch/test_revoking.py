"""A job that is to be stopped, or that has completed without a record, does not begin, whatever the system does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.batch import Unanswered
from runtime.backend.batch.store import Store
from runtime.backend.batch.system import Targets
from runtime.backend.batch.tokens import job_token
from runtime.job import JobSpec
from tests.backend.batch.scripted import (
    Element,
    ScriptedSystem,
    Stage,
    idle,
    jobs,
    previous_incarnation,
    stays,
)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def claim_of(stage: Stage, job: str, attempt: int = 1) -> Path:
    token = job_token("run", job, attempt)
    return stage.directory / ".batch" / "ends" / token[:2] / f"{token}.run"


def begin(system: ScriptedSystem, element: Element) -> None:
    """Run, and claim the job, as its wrapper does."""
    assert system.ends is not None
    system.run(element)
    (system.ends / element.token[:2] / f"{element.token}.run").write_text("100_0\n")


class WatchedSystem(ScriptedSystem):
    """Notes which jobs were revoked when a cancel came."""

    def __init__(self, nursery: trio.Nursery, stage: Stage) -> None:
        super().__init__(nursery, idle)
        self.stage = stage
        self.revoked: list[set[str]] = []
        self.cancelled_at: list[float] = []

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        self.revoked.append({each.job for each in self.elements if claim_of(self.stage, each.job).is_dir()})
        self.cancelled_at.append(trio.current_time())
        return await super().cancel(targets, signal)


async def test_jobs_are_revoked_before_their_elements_are_cancelled_and_in_one_call(
    stage: Stage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel may meet a node while that starts the element; then nobody ends what it starts."""
    calls: list[int] = []
    revoke = Store.revoke

    def counted(store: Store, tokens: Collection[str], restarted: Collection[str] = ()) -> None:
        calls.append(len(tokens))
        revoke(store, tokens, restarted)

    monkeypatch.setattr(Store, "revoke", counted)
    async with trio.open_nursery() as nursery:
        system = WatchedSystem(nursery, stage)
        async with stage.open(system=system) as scene:
            await scene.submit(*jobs(20))
            await trio.sleep(3)
            await scene.backend.kill_many([f"job{number}" for number in range(15)])
            assert system.revoked == [{f"job{number}" for number in range(15)}]
            await scene.backend.kill_many([f"job{number}" for number in range(15, 20)])
        nursery.cancel_scope.cancel()
    assert calls == [15, 5]  # and not once more when they complete


async def test_a_job_that_has_begun_keeps_its_claim(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(lambda system, element: system.after(1, lambda: begin(system, element))) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        await scene.backend.kill("job0")
        assert scene.why(await scene.completion("job0")) == ("KILLED", "cancelled")
    assert claim_of(stage, "job0").is_file()


async def test_the_claim_of_an_earlier_start_is_replaced(stage: Stage, autojump_clock: MockClock) -> None:
    """The system has started it again, and may be on the way to start its script."""
    async with stage.open(lambda system, element: system.after(1, lambda: begin(system, element))) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        scene.system.of("job0").restarts = 1
        await trio.sleep(10)
        await scene.backend.kill("job0")
    assert claim_of(stage, "job0").is_dir()


async def test_a_job_is_revoked_although_the_system_does_not_answer(stage: Stage, autojump_clock: MockClock) -> None:
    """It is away, and may start the element when it is back, before it takes a cancel."""
    async with stage.open(idle, kill_timeout=100) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        scene.system.down_until = trio.current_time() + 1000
        await trio.sleep(60)
        await scene.backend.kill("job0")
        assert scene.why(await scene.completion("job0")) == ("KILLED", "lost")
        assert scene.system.cancels == []
        assert claim_of(stage, "job0").is_dir()


async def test_a_file_system_that_does_not_answer_delays_a_cancel_by_a_few_seconds(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = WatchedSystem(nursery, stage)
        async with stage.open(system=system) as scene:
            await scene.submit(*jobs(2))
            await trio.sleep(3)
            stage.lag = 1000
            killed_at = trio.current_time()
            nursery.start_soon(scene.backend.kill_many, ["job0", "job1"])
            await trio.sleep(10)
            assert system.cancelled_at == [killed_at + 5]
            stage.lag = 0
        nursery.cancel_scope.cancel()


async def test_a_block_that_is_cancelled_while_jobs_are_revoked_ends_them(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = WatchedSystem(nursery, stage)
        with trio.CancelScope() as scope:
            async with stage.open(system=system) as scene:
                await scene.submit(*jobs(2))
                await trio.sleep(3)
                stage.lag = 2
                nursery.start_soon(scene.backend.kill, "job0")
                await trio.sleep(1)
                scope.cancel()
                await trio.sleep_forever()
        assert {element.word for element in system.elements} == {"CANCELLED"}
        assert system.revoked[0] == {"job0"}
        assert system.revoked[-1] == {"job0", "job1"}
        nursery.cancel_scope.cancel()


async def test_an_element_that_finds_its_job_revoked_has_ended_as_asked(
    stage: Stage, autojump_clock: MockClock
) -> None:
    """It began between the revocation and the cancel, so that it was not cancelled."""

    def take(system: ScriptedSystem, element: Element) -> None:
        element.word, element.code = "COMPLETED", 114

    async with stage.open(idle) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        scene.system.deaf = 1
        element = scene.system.of("job0")
        scene.system.after(0.5, lambda: take(scene.system, element))
        killed_at = trio.current_time()
        await scene.backend.kill("job0")
        assert scene.why(await scene.completion("job0")) == ("KILLED", "cancelled")
        assert trio.current_time() - killed_at < 5


@pytest.mark.parametrize("how", ["vanishes", "is cancelled by somebody", "has no record"])
async def test_a_job_that_completes_without_a_record_never_begins(
    stage: Stage, autojump_clock: MockClock, how: str
) -> None:
    async with stage.open(stays) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        element = scene.system.of("job0")
        element.word = "CANCELLED" if how == "is cancelled by somebody" else "COMPLETED"
        element.listed = how != "vanishes"
        await scene.completion("job0")
        assert claim_of(stage, "job0").is_dir()


async def test_what_was_revoked_runs_when_it_is_submitted_again(stage: Stage, autojump_clock: MockClock) -> None:
    spec = JobSpec(name="job0", cmd="true")
    async with stage.open(idle) as scene:
        await scene.submit(spec)
        await scene.backend.kill("job0")
        assert claim_of(stage, "job0").is_dir()
        handle = await scene.backend.submit(spec)
        assert handle is not None
        scene.session.history.accept([handle])
        assert not claim_of(stage, "job0").exists()
        await scene.backend.kill("job0")


async def test_what_a_previous_incarnation_was_stopping_is_not_adopted(stage: Stage, autojump_clock: MockClock) -> None:
    """Its element never begins: it is ended, and the job is submitted again."""
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        waits, runs = system.elements[:2]
        claim_of(stage, "job0").mkdir()
        async with stage.open(system=system) as scene:
            assert await scene.submit(*jobs(2)) == ["job0", "job1"]
            assert not claim_of(stage, "job0").exists()
            assert waits.word == "CANCELLED"
            assert system.of("job0") is not waits
            assert scene.why(await scene.completion("job0")) == ("PASSED", None)
            assert system.of("job1") is runs
            await scene.backend.kill("job1")
        nursery.cancel_scope.cancel()


async def test_an_earlier_attempt_is_revoked_before_it_is_cancelled(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system) as scene:
            await scene.submit(jobs(1)[0], attempts={"job0": 2})
            assert claim_of(stage, "job0").is_dir()
            assert not claim_of(stage, "job0", attempt=2).exists()
            await scene.backend.drain()
        nursery.cancel_scope.cancel()


async def test_what_nobody_asks_for_is_revoked_and_cancelled_with_the_block(
    stage: Stage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    revoke, cancel = Store.revoke, ScriptedSystem.cancel

    def noted_revoke(store: Store, tokens: Iterable[str], restarted: Collection[str] = ()) -> None:
        order.append("revoke")
        revoke(store, tokens, restarted)

    async def noted_cancel(system: ScriptedSystem, targets: Targets, signal: int | None) -> Unanswered | None:
        order.append("cancel")
        return await cancel(system, targets, signal)

    monkeypatch.setattr(Store, "revoke", noted_revoke)
    monkeypatch.setattr(ScriptedSystem, "cancel", noted_cancel)
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system):
            await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert order == ["revoke", "cancel"]
    assert claim_of(stage, "job0").is_dir()
