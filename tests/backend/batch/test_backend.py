"""The batch core in virtual time, on a scripted system; for Slurm see `tests/slurm/test_faults.py`."""

from __future__ import annotations

import errno
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.backend.batch import Accepted, Array, BatchBackend, Doubtful, Limits, QueueFull, Refused, Unanswered
from runtime.backend.batch.exit_records import TAKEN, UNSEEN
from runtime.backend.batch.job_files import JobFiles
from runtime.backend.batch.store import Store
from runtime.backend.batch.tokens import array_name, job_token
from runtime.errors import BackendBrokenError
from runtime.job import EventBatch, JobCompletionEvent, JobSpec, JobStatus
from runtime.roots import RootedPath
from tests.backend.batch.scripted import (
    Element,
    ScriptedSystem,
    Stage,
    idle,
    jobs,
    passes,
    previous_incarnation,
    stays,
)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


# ---------------------------------------------------------------------- submitting


async def test_jobs_with_equal_requests_share_arrays_as_large_as_can_be(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = ScriptedSystem(nursery)
        system.limits = Limits("1", 4, accounting=False)
        async with stage.open(system=system) as scene:
            specs = [JobSpec(name=f"{kind}{number}", cmd="true", job_type=kind) for number in range(5) for kind in "ab"]
            assert await scene.submit(*specs) == [spec.id for spec in specs]
        nursery.cancel_scope.cancel()
    assert [(array.request, array.size) for array in scene.system.arrays] == [("a", 4), ("a", 1), ("b", 4), ("b", 1)]
    names = [array.name for array in scene.system.arrays]
    tokens = [job_token("run", f"a{number}", 1) for number in range(4)]
    assert names[0] == array_name("run", tokens)
    assert len(set(names)) == 4
    assert {event.status for event in scene.session.history.completions} == {JobStatus.PASSED}


async def test_an_array_that_is_too_large_is_halved_until_it_fits_and_the_rest_is_refused(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.open() as scene:
        room = [3]

        def admit(array: Array) -> Accepted | QueueFull:
            scene.system.submit_answers.append(admit)
            if array.size > room[0]:
                return QueueFull("full")
            room[0] -= array.size
            return scene.system.accept(array)

        scene.system.submit_answers.append(admit)
        assert await scene.submit(*jobs(10)) == ["job0", "job1", "job2"]
        assert scene.backend.busy_because == "full"
        scene.system.submit_answers.clear()
    assert [array.size for array in scene.system.arrays] == [10, 5, 2, 2, 1, 1]


@pytest.mark.parametrize("what", ["prepare", "write_array"])
async def test_where_there_is_no_descriptor_for_its_files_a_job_is_refused_as_busy(
    stage: Stage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with stage.open() as scene:
        with monkeypatch.context() as patch:

            def none_free(*_args: object, **_options: object) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

            patch.setattr(JobFiles if what == "prepare" else Store, what, none_free)
            assert await scene.submit(*jobs(2)) == []
            assert "Too many open files" in scene.backend.busy_because
        assert await scene.submit(*jobs(2)) == ["job0", "job1"]
    assert {event.status for event in scene.session.history.completions} == {JobStatus.PASSED}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_where_there_is_no_descriptor_for_its_record_a_job_has_not_ended(
    stage: Stage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Not even after the visibility timeout: its record is read as soon as there is a descriptor."""
    read, begun = RootedPath.read, trio.current_time()

    def none_free(path: RootedPath, most: int) -> bytes:
        if trio.current_time() < begun + 100:
            raise OSError(number, "none free")
        return read(path, most)

    def forgotten(system: ScriptedSystem, element: Element) -> None:
        passes(system, element)
        system.after(3, lambda: setattr(element, "listed", element.job != "job1"))

    async with stage.open(forgotten) as scene:
        monkeypatch.setattr(RootedPath, "read", none_free)
        await scene.submit(*jobs(2))
        ends = [await scene.completion(f"job{number}") for number in range(2)]
        assert trio.current_time() >= 100
    assert [scene.why(event) for event in ends] == [("PASSED", None)] * 2


async def test_what_is_refused_for_ever_fails_and_the_other_requests_go_on(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.open() as scene:
        scene.system.submit_answers.append(lambda _array: Refused("no such partition"))
        bad, good = JobSpec(name="bad", cmd="true", job_type="a"), JobSpec(name="good", cmd="true", job_type="b")
        impossible = JobSpec(name="impossible", cmd="true", target="impossible")
        assert await scene.submit(bad, good, impossible) == ["bad", "good", "impossible"]
        event = await scene.completion("bad")
        assert scene.why(event) == ("KILLED", "launch_error")
        assert event.reason is not None
        assert event.reason.message == "Scripted refused it: no such partition"
        assert scene.why(await scene.completion("impossible")) == ("KILLED", "launch_error")
        assert scene.why(await scene.completion("good")) == ("PASSED", None)


async def test_where_there_is_no_room_for_a_thread_it_is_waited_for(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:
        stage.refusals = 5
        assert await scene.submit(*jobs(3)) == ["job0", "job1", "job2"]
        assert stage.refusals == 0
        stage.refusals = 5
    assert stage.refusals == 0
    assert [event.status for event in scene.session.history.completions] == [JobStatus.PASSED] * 3


async def test_a_system_that_does_not_answer_is_a_busy_backend(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:
        scene.system.down_until = math.inf
        assert await scene.submit(*jobs(3)) == []
        submissions = len(scene.system.arrays)
        while scene.backend.busy_because != "Scripted does not answer":
            await scene.submit(*jobs(3))
        before = len(scene.system.arrays)
        await scene.submit(*jobs(3))
        assert len(scene.system.arrays) == before >= submissions  # the open circuit lets no submission through
        scene.system.down_until = -math.inf
        await trio.sleep(61)
        assert await scene.submit(*jobs(3)) == ["job0", "job1", "job2"]


async def test_limits_that_were_not_to_be_had_are_asked_for_again(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = ScriptedSystem(nursery)
        system.limits = Unanswered("not yet")
        async with stage.open(system=system) as scene:
            assert scene.backend.limits.version == "unknown"
            system.limits = Limits("1", 2, accounting=False)
            await scene.submit(*jobs(3))
        assert [array.size for array in system.arrays] == [2, 1]
        nursery.cancel_scope.cancel()


async def test_a_dry_run_prepares_everything_and_submits_nothing(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:
        await scene.submit(JobSpec(name="dry", cmd="true", dry_run=True, pre_launch=lambda: 1 / 0))
        assert scene.why(await scene.completion("dry")) == ("PASSED", None)
    assert scene.system.arrays == []
    assert (stage.directory / "dry" / "job.log").read_bytes() == b""
    assert (stage.directory / "dry" / "env_vars").exists()


# ---------------------------------------------------------------------- hooks and directories


async def test_hooks_are_called_once_however_often_the_queue_is_full(stage: Stage, autojump_clock: MockClock) -> None:
    called: list[Any] = []
    spec = JobSpec(name="job", cmd="true", pre_launch=lambda: called.append("pre"), post_finish=called.append)
    async with stage.open() as scene:
        scene.system.submit_answers.extend([lambda _array: QueueFull("full")] * 2)
        assert [await scene.submit(spec), await scene.submit(spec), await scene.submit(spec)] == [[], [], ["job"]]
        await scene.completion("job")
    assert called == ["pre", JobStatus.PASSED]


async def test_a_second_submission_of_a_job_that_ended_is_a_new_one(stage: Stage, autojump_clock: MockClock) -> None:
    called: list[str] = []
    spec = JobSpec(name="job", cmd="true", pre_launch=lambda: called.append("pre"))
    async with stage.open() as scene:
        await scene.submit(spec)
        await scene.completion("job")
        token = scene.system.of("job").token
        (stage.directory / ".batch" / "ends" / token[:2] / f"{token}.run").touch()  # a claim
        handle = await scene.backend.submit(spec)
        assert handle is not None
        scene.session.history.accept([handle])
        assert not (stage.directory / ".batch" / "ends" / token[:2] / f"{token}.run").exists()
        await scene.session.history.wait_until(lambda: len(scene.session.history.completions) == 2)
    assert called == ["pre", "pre"]


async def test_a_hook_that_raises_costs_its_own_job(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:
        await scene.submit(
            JobSpec(name="bad", cmd="true", pre_launch=lambda: 1 / 0),
            JobSpec(name="late", cmd="true", post_finish=lambda _status: 1 / 0),
            JobSpec(name="good", cmd="true"),
        )
        assert scene.why(await scene.completion("bad")) == ("KILLED", "launch_error")
        assert scene.why(await scene.completion("late")) == ("FAILED", "hook")
        assert scene.why(await scene.completion("good")) == ("PASSED", None)


async def test_an_old_log_is_gone_before_the_job_is_submitted(stage: Stage, autojump_clock: MockClock) -> None:
    log = stage.directory / "job" / "job.log"
    log.parent.mkdir()
    log.write_text("TEST PASSED\n")
    async with stage.open() as scene:
        await scene.submit(JobSpec(name="job", cmd="true", pass_patterns=["PASSED"]))
        assert not log.exists()
        await trio.sleep(3)
        log.write_text("hello\n")
        assert scene.why(await scene.completion("job")) == ("FAILED", "pass_pattern_missing")


async def test_what_is_no_log_is_not_touched(stage: Stage, autojump_clock: MockClock) -> None:
    (stage.directory / "job").mkdir()
    (stage.directory / "job" / "job.log").symlink_to("/etc/passwd")
    async with stage.open() as scene:
        await scene.submit(JobSpec(name="job", cmd="true"))
        assert scene.why(await scene.completion("job")) == ("KILLED", "launch_error")
    assert scene.system.arrays == []


# ---------------------------------------------------------------------- ending


async def test_what_was_called_off_before_its_array_was_written_is_not_submitted(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.open() as scene:
        scene.system.duration = 5
        async with trio.open_nursery() as nursery:
            first = JobSpec(name="first", cmd="true", job_type="a")
            second = JobSpec(name="second", cmd="true", job_type="b")
            nursery.start_soon(scene.submit, first, second)
            await trio.sleep(1)
            await scene.backend.kill("second")  # the first is being submitted, this one waits
        assert scene.why(await scene.completion("second")) == ("KILLED", "cancelled")
    assert [array.request for array in scene.system.arrays] == ["a"]


async def test_what_is_killed_while_it_is_submitted_is_cancelled_then(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays) as scene:
        scene.system.duration = 5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.submit, *jobs(3))
            await trio.sleep(1)
            await scene.backend.kill_many(["job0", "job2"])
            await scene.backend.kill("job1")
        assert {element.word for element in scene.system.elements} == {"CANCELLED"}


async def test_what_was_cancelled_before_it_began_never_does(stage: Stage, autojump_clock: MockClock) -> None:
    """A system may start a job that it has cancelled, if the two messages cross on their way to a node."""
    async with stage.open(idle) as scene:
        await scene.submit(JobSpec(name="job", cmd="touch ran", cwd=str(stage.directory)))
        await scene.backend.kill("job")
        assert scene.why(await scene.completion("job")) == ("KILLED", "cancelled")
        (array,) = scene.system.arrays
    late = subprocess.run([array.script, *array.arguments], check=False, timeout=30)
    assert late.returncode == TAKEN
    assert not (stage.directory / "ran").exists()


async def test_a_submit_that_is_cancelled_half_way_leaves_nothing_in_the_queue(
    stage: Stage, autojump_clock: MockClock
) -> None:
    for moment in (0.5, 2.5, 4.5):
        async with stage.open(stays, token=f"run {moment}") as scene:
            scene.system.duration = 5
            with trio.move_on_after(moment):
                await scene.submit(*jobs(3))
            assert len(scene.system.elements) == 0  # it is on its way
            await scene.backend.drain()
        assert {element.word for element in scene.system.elements} == {"CANCELLED"}


async def test_a_soft_step_comes_first_and_once(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays, soft_stop="SIGINT", soft_timeout=7) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        began = trio.current_time()
        await scene.backend.kill_many(["job0", "job1"])
        assert 7 <= trio.current_time() - began <= 10
    assert scene.system.cancels == [({"100": [0, 1]}, 2), ({"100": [0, 1]}, None)]


async def test_a_job_with_a_long_soft_step_of_its_own_is_not_given_up_early(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.open(stays, soft_stop="SIGINT", soft_timeout=7, kill_timeout=20) as scene:
        await scene.submit(JobSpec(name="long", cmd="true", soft_timeout=100), JobSpec(name="none", cmd="true"))
        await trio.sleep(3)
        began = trio.current_time()
        await scene.backend.kill_many(["long", "none"])
        assert 100 <= trio.current_time() - began <= 110
        assert {scene.why(await scene.completion(name)) for name in ("long", "none")} == {("KILLED", "cancelled")}


async def test_a_soft_step_that_is_over_waits_for_a_system_that_does_not_answer(
    stage: Stage, autojump_clock: MockClock
) -> None:
    """And does not keep the loop awake meanwhile: the clock of this test would stand still."""
    async with stage.open(stays, soft_stop="SIGINT", soft_timeout=7, kill_timeout=1000) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        scene.system.down_until = trio.current_time() + 300
        with trio.fail_after(1000):
            await scene.backend.kill("job0")
        assert trio.current_time() >= scene.system.down_until
        assert scene.why(await scene.completion("job0")) == ("KILLED", "cancelled")


async def test_force_leaves_the_soft_step_out(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays, soft_stop="SIGINT", soft_timeout=100) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.backend.kill_many, ["job0"])
            await trio.sleep(2)
            began = trio.current_time()
            await scene.backend.kill_many(["job0", "job1"], force=True)
            assert trio.current_time() - began < 5


async def test_a_stop_file_is_made_for_who_looks_for_one(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays, soft_stop="stop", soft_timeout=3) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        await scene.backend.kill("job0")
    assert (stage.directory / "job0" / "stop").exists()


async def test_what_waits_in_the_queue_has_no_soft_step(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(idle, soft_stop="SIGINT", soft_timeout=50) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        await scene.backend.kill("job0")
    assert scene.system.cancels == [({"100": [0]}, None)]


async def test_time_limits_of_the_queue_and_of_the_run_are_two_things(stage: Stage, autojump_clock: MockClock) -> None:
    def behave(system: ScriptedSystem, element: Element) -> None:
        if element.job == "runs":
            system.after(20, lambda: system.run(element))

    async with stage.open(behave) as scene:
        await scene.submit(
            JobSpec(name="waits", cmd="true", queue_timeout=10, timeout=1000),
            JobSpec(name="runs", cmd="true", queue_timeout=30, timeout=15),
        )
        waits, runs = await scene.completion("waits"), await scene.completion("runs")
    assert scene.why(waits) == ("KILLED", "queue_timeout")
    assert waits.ended - waits.submitted < 20
    assert scene.why(runs) == ("KILLED", "timeout")
    assert runs.started is not None
    assert 15 <= runs.ended - runs.started < 25


async def test_a_job_that_was_given_up_is_cancelled_when_it_is_seen_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.open(stays, kill_timeout=5) as scene:
        await scene.submit(*jobs(2))
        await trio.sleep(3)
        scene.system.deaf = 1
        await scene.backend.kill("job0")
        assert scene.why(await scene.completion("job0")) == ("KILLED", "lost")
        await trio.sleep(30)
        assert scene.system.of("job0").word == "CANCELLED"
        await scene.backend.kill("job1")


async def test_nothing_stays_in_the_queue_when_the_block_has_ended(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open(stays, kill_timeout=2) as scene:
        await scene.submit(*jobs(1))
        await trio.sleep(3)
        scene.system.deaf = 1
        await scene.backend.kill("job0")
    assert scene.system.of("job0").word == "CANCELLED"


async def test_the_queue_is_left_alone_while_there_is_nothing_to_ask(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:
        await scene.submit(*jobs(1))
        await scene.completion("job0")
        await trio.sleep(10)
        asked = len(scene.system.asked)
        await trio.sleep(10_000)
        assert len(scene.system.asked) == asked


# ---------------------------------------------------------------------- a run directory that is not shared


async def test_a_directory_that_the_nodes_do_not_see_is_one_clear_error(
    stage: Stage, autojump_clock: MockClock
) -> None:
    def unseen(system: ScriptedSystem, element: Element) -> None:
        def end() -> None:
            element.word, element.code = "COMPLETED", UNSEEN

        system.after(2, end)

    broken = pytest.RaisesExc(BackendBrokenError, match="does not see.*Choose one that this machine and all nodes have")
    with pytest.RaisesGroup(broken):
        async with stage.open(unseen) as scene:
            await scene.submit(*jobs(500))
            await trio.sleep_forever()
    kinds = {scene.why(event) for event in scene.session.history.completions}
    assert kinds == {("KILLED", "backend_error")}


async def test_one_node_that_does_not_see_it_costs_its_own_jobs(stage: Stage, autojump_clock: MockClock) -> None:
    def behave(system: ScriptedSystem, element: Element) -> None:
        if element.job == "job1":

            def end() -> None:
                element.word, element.code, element.note = "COMPLETED", UNSEEN, "n7"

            system.after(5, end)
        else:
            passes(system, element)

    async with stage.open(behave) as scene:
        await scene.submit(*jobs(3))
        event = await scene.completion("job1")
        assert scene.why(event) == ("KILLED", "node_failure")
        assert event.reason is not None
        assert "on n7" in event.reason.message
        assert scene.why(await scene.completion("job2")) == ("PASSED", None)


# ---------------------------------------------------------------------- a previous incarnation


@pytest.fixture
def nursery_of(stage: Stage) -> Stage:
    return stage


async def test_jobs_of_a_previous_incarnation_are_adopted_and_submitted_again_only_if_absent(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system) as scene:
            assert await scene.submit(*jobs(5)) == [f"job{number}" for number in range(5)]
            assert [array.size for array in system.arrays] == [1]  # of the one that is gone
            assert scene.why(await scene.completion("job2")) == ("PASSED", None)
            assert scene.why(await scene.completion("job3")) == ("FAILED", "exit_code")
            assert scene.why(await scene.completion("job4")) == ("PASSED", None)
            waits, runs = system.elements[:2]
            system.end(runs)
            system.run(waits)
            assert scene.why(await scene.completion("job1")) == ("PASSED", None)
            await scene.backend.kill("job0")
        assert waits.word == "CANCELLED"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("what", "ending"), [("read", "jobs"), ("read", ".end"), ("status", ".run")])
async def test_earlier_jobs_are_found_once_there_are_descriptors_to_look_for_them(
    stage: Stage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, what: str, ending: str
) -> None:
    """Descriptors for the lists of their arrays, for their records, and for their claims."""
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        real = getattr(RootedPath, what)

        def none_free(path: RootedPath, *args: Any) -> Any:
            if trio.current_time() < 100 and path.name.endswith(ending):
                raise OSError(errno.EMFILE, "none free")
            return real(path, *args)

        monkeypatch.setattr(RootedPath, what, none_free)
        async with stage.open(system=system) as scene:
            assert trio.current_time() >= 100
            assert await scene.submit(*jobs(4)) == [f"job{number}" for number in range(4)]
            assert system.arrays == []  # all four are there
            assert scene.why(await scene.completion("job2")) == ("PASSED", None)
            await scene.backend.kill_many(["job0", "job1"])
        nursery.cancel_scope.cancel()


async def test_what_is_being_adopted_is_no_stray(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system) as scene:
            stage.lag = 3  # several ticks
            await scene.submit(*jobs(2))
            await trio.sleep(20)
            assert [element.word for element in system.elements[:2]] == ["PENDING", "RUNNING"]
            await scene.backend.kill_many(["job0", "job1"])
        nursery.cancel_scope.cancel()


async def test_what_is_adopted_and_waits_is_kept_away_from_bad_nodes_as_well(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system) as scene:
            await scene.submit(*jobs(2))
            await scene.submit(JobSpec(name="good", cmd="true"))
            await scene.completion("good")  # on n1
            system.behaviour = stays
            await scene.submit(*(JobSpec(name=name, cmd="true") for name in ("a", "b")))
            for name in ("a", "b"):
                system.of(name).word, system.of(name).note = "NODE_FAIL", "n2"
                await scene.completion(name)
            waits = system.elements[0]
            assert waits.word == "PENDING"
            assert system.exclusions == [({waits.array: jobs(1)[0].job_type}, ["n2"])]
            await scene.backend.kill_many(["job0", "job1"])
        nursery.cancel_scope.cancel()


async def test_another_attempt_begins_when_the_earlier_one_has_been_ended(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system) as scene:
            await scene.submit(jobs(2)[1], attempts={"job1": 2})
            assert system.elements[1].word == "CANCELLED"
            assert system.of("job1") is not system.elements[1]
            await scene.backend.drain()
        nursery.cancel_scope.cancel()


async def test_what_nobody_asks_for_is_ended_with_the_block(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system):
            await trio.sleep(10)
            assert [element.word for element in system.elements[:2]] == ["PENDING", "RUNNING"]
        assert [element.word for element in system.elements[:2]] == ["CANCELLED", "CANCELLED"]
        nursery.cancel_scope.cancel()


async def test_whether_an_earlier_job_lives_is_waited_for(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        system.down_until = trio.current_time() + 500
        async with stage.open(system=system) as scene:
            assert trio.current_time() >= 500
            assert await scene.submit(jobs(1)[0]) == ["job0"]
            assert system.arrays == []
            await scene.backend.kill("job0")
        nursery.cancel_scope.cancel()


async def test_another_run_in_the_same_directory_is_a_stranger(stage: Stage, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        system = await previous_incarnation(stage, nursery)
        async with stage.open(system=system, token="another") as scene:
            await scene.submit(jobs(1)[0])
            assert scene.why(await scene.completion("job0")) == ("PASSED", None)
        assert [element.word for element in system.elements[:2]] == ["PENDING", "RUNNING"]
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poll_interval": 0}, "poll_interval is 0; expected a positive number of seconds"),
        ({"poll_interval": -1}, "poll_interval is -1"),
        ({"visibility_timeout": "60"}, "visibility_timeout is '60'"),
        ({"kill_timeout": math.nan}, "kill_timeout is nan"),
        ({"soft_stop": "SIGNOTHING"}, "which is no signal"),
        ({"max_output_dirs": 1.5}, "max_output_dirs is 1.5"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    system: Any = None
    with pytest.raises(ValueError, match="BatchBackend: .*" + message):
        BatchBackend(system, **options)


async def test_a_doubt_that_is_cleared_up_is_no_second_submission(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.open() as scene:

        def lose(array: Array) -> Doubtful:
            scene.system.accept(array)
            return Doubtful("no answer")

        scene.system.submit_answers.append(lose)
        assert await scene.submit(*jobs(3)) == ["job0", "job1", "job2"]
    assert len(scene.system.arrays) == 1


async def test_post_finish_hears_of_every_end_that_is_known(stage: Stage, autojump_clock: MockClock) -> None:
    reported: dict[str, JobStatus] = {}

    def behave(system: ScriptedSystem, element: Element) -> None:
        if element.job == "passes":
            passes(system, element)
        elif element.job == "node":

            def fail() -> None:
                element.word = "NODE_FAIL"

            system.after(3, fail)
        elif element.job == "preempted":

            def preempt() -> None:
                system.write(element, status="143", stopped="TERM")
                element.word = "PREEMPTED"

            system.after(3, preempt)
        else:
            stays(system, element)

    def hook(name: str) -> Callable[[JobStatus], object]:
        return lambda status: reported.update({name: status})

    names = ("passes", "node", "preempted", "killed")
    async with stage.open(behave) as scene:
        await scene.submit(*(JobSpec(name=name, cmd="true", post_finish=hook(name)) for name in names))
        await trio.sleep(5)
        await scene.backend.kill("killed")
        assert scene.why(await scene.completion("preempted")) == ("KILLED", "preempted")
        assert scene.why(await scene.completion("node")) == ("KILLED", "node_failure")
    killed = dict.fromkeys(names[1:], JobStatus.KILLED)
    assert reported == {"passes": JobStatus.PASSED, **killed}
    (usage,) = (event.usage for event in scene.session.history.completions if event.job_id == "preempted")
    assert usage is not None
    assert usage.signal == 15


async def test_wherever_a_cancel_meets_a_submission_nothing_of_it_is_left(
    stage: Stage, autojump_clock: MockClock
) -> None:
    submitted = 0
    for steps in range(30):
        async with stage.open(stays, token=f"run {steps}") as scene:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(scene.submit, *jobs(3))
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            await scene.backend.kill_many([each.id for each in jobs(3)])
        assert {element.word for element in scene.system.elements} <= {"CANCELLED"}
        submitted += bool(scene.system.elements)
    assert 0 < submitted < 30


async def test_a_backend_can_be_opened_again(stage: Stage, autojump_clock: MockClock) -> None:
    """Also with a job that an earlier block killed, and in the directory of that block."""
    async with trio.open_nursery() as nursery:
        backend = BatchBackend(ScriptedSystem(nursery, stays), stage.directory, poll_interval=1)
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        for _ in range(2):
            async with backend.open(send):
                await backend.submit(JobSpec(name="job", cmd="true"))
                await trio.sleep(3)
                await backend.kill("job")
        assert [event.status for event in _completions(receive)] == [JobStatus.KILLED] * 2
        nursery.cancel_scope.cancel()


def _completions(receive: trio.MemoryReceiveChannel[EventBatch]) -> list[JobCompletionEvent]:
    events: list[JobCompletionEvent] = []
    with pytest.raises(trio.WouldBlock):
        while True:
            events += [event for event in receive.receive_nowait() if isinstance(event, JobCompletionEvent)]
    return events
