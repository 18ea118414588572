"""The faults of a Slurm, S1 to S20, in virtual time."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from runtime.backend.slurm import command_text as text
from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobStatus, Kind
from tests.slurm.fakes import Answer, Edit, Hang, Only, Say
from tests.slurm.fakes.controller import Controller, Settings
from tests.slurm.fakes.jobs import COMPACT
from tests.slurm.virtual import CONTACT_TIMEOUT, Run, Scene, open_scene

PASSED = JobStatus.PASSED


Stage = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Opens a scene; a test has to request `autojump_clock` itself, by name."""
    return functools.partial(open_scene, tmp_path, monkeypatch)


def kind(event: JobCompletionEvent) -> Kind | None:
    return None if event.reason is None else event.reason.kind


def names(number: int) -> list[str]:
    return [f"job-{index}" for index in range(number)]


def statuses(events: list[JobCompletionEvent]) -> list[JobStatus]:
    return [event.status for event in events]


def started_once(scene: Scene) -> bool:
    return all(count == 1 for count in scene.slurm.begun.values())


# ---------------------------------------------------------------------- S1, S2, S3: a controller that is gone


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
async def test_s1_s2_a_controller_that_is_gone_is_no_failure_of_a_job(
    stage: Stage, silent: bool, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        (running,) = await scene.submit("a", cmd="true")
        if silent:
            for program in ("sbatch", "squeue", "scancel", "scontrol"):
                scene.slurm.orders.always(program, Hang())
        scene.slurm.down = True
        late = scene.spec("b")
        with trio.move_on_after(400) as scope:
            assert await scene.session.submit([late]) == {}  # busy: come again
        assert scope.cancelled_caught is silent  # its submission stays doubtful while nothing answers
        scene.slurm.down = False
        for program in ("sbatch", "squeue", "scancel", "scontrol"):
            scene.slurm.orders.always(program, None)
        assert (await scene.end(running)).status is PASSED
        (again,) = await scene.submit_at_last("c")
        assert (await scene.end(again)).status is PASSED
        assert started_once(scene)


async def test_s3_an_hour_without_a_controller_loses_nothing(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda name, _restarts: Run(1800 if int(name[4:]) % 2 else 7200)
        began = trio.current_time()
        handles = await scene.submit(*names(20))
        await trio.sleep(10)
        before = scene.slurm.count("squeue")
        scene.slurm.down = True
        await trio.sleep(3600)
        asked = scene.slurm.count("squeue") - before
        assert asked <= 3600 / 60 + 5  # a few quick tries, then one a minute
        completed = {event.job_id: event for event in scene.session.history.completions}
        assert set(completed) == {f"job-{index}" for index in range(1, 20, 2)}  # by their records
        assert {event.status for event in completed.values()} == {PASSED}
        scene.slurm.down = False
        back = trio.current_time()
        await trio.sleep(60 + CONTACT_TIMEOUT)
        assert [at for at in scene.slurm.times("squeue") if at > back][:1] != []
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 20
        assert trio.current_time() - began < 7200 + 60
        assert started_once(scene)
        assert scene.slurm.count("sbatch") == 1


# ---------------------------------------------------------------------- S4, S5, S17, S20: doubtful submissions


TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"


@pytest.mark.parametrize(
    "act",
    [
        Hang(done=True),
        Say(
            err="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
            code=1,
            done=True,
        ),
        Say(done=True),
        Edit(lambda answer: Answer(f"sbatch: Warning: something is odd\n{answer.out!s}")),
        Edit(lambda answer: Answer(str(answer.out)[:-1])),
        Edit(lambda answer: Answer("12345678901234567890123\n17\n")),
        Say(b"\xff\x00\n", done=True),
        Say(code=-15, done=True),
    ],
    ids=["hangs", "times out", "says nothing", "warns first", "is cut off", "says two ids", "says bytes", "is killed"],
)
async def test_s4_s17_what_was_submitted_in_spite_of_what_sbatch_says_is_found(
    stage: Stage, act: Hang | Say | Edit, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.orders.next("sbatch", act)
        assert statuses(await scene.run(*names(5))) == [PASSED] * 5
        assert scene.slurm.count("sbatch") == 1
        assert started_once(scene)


async def test_s17_warnings_beside_the_id_are_no_doubt(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        scene.slurm.orders.next("sbatch", Edit(lambda answer: Answer(answer.out, "sbatch: a warning\n")))
        scene.slurm.orders.next("squeue", Hang())
        before = trio.current_time()
        handles = await scene.submit("a")
        assert trio.current_time() == before  # a doubt would wait for an answer of the queue
        assert (await scene.end(handles[0])).status is PASSED


@pytest.mark.parametrize("act", [Hang(), Say(), Say(code=1)], ids=["hangs", "says nothing", "fails without a word"])
async def test_s5_what_was_not_submitted_is_submitted_once_more(
    stage: Stage, act: Hang | Say, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.orders.next("sbatch", act)
        assert statuses(await scene.run(*names(5))) == [PASSED] * 5
        first, second = scene.slurm.times("sbatch")
        assert len([at for at in scene.slurm.times("squeue") if first <= at <= second]) == 2  # it was certainly absent
        assert started_once(scene)


async def test_s5_two_doubtful_submissions_that_came_to_nothing_are_a_busy_queue(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.orders.next("sbatch", Hang(), Hang())
        jobs = [scene.spec(name) for name in names(3)]
        assert await scene.session.submit(jobs) == {}
        assert scene.slurm.count("sbatch") == 2
        assert statuses(await scene.run(*names(3))) == [PASSED] * 3


@pytest.mark.parametrize("after", [1, 15, 100])
async def test_s5_a_submission_that_turns_up_after_all_runs_nothing_twice(
    stage: Stage, tmp_path: Path, after: float, autojump_clock: MockClock
) -> None:
    """The controller was slow: it accepts the first array after the second."""
    async with stage(visibility_timeout=20) as scene:
        lines = tmp_path / "lines"
        scene.slurm.orders.next("sbatch", Hang())
        handles = await scene.submit(*names(5), cmd=f'echo "$NAME" >>{lines}')
        first, second = [arguments for program, _, arguments in scene.slurm.calls if program == "sbatch"]
        assert first == second
        await trio.sleep(after)
        environment = scene.slurm.controller.jobs[0].request.environment
        await scene.slurm.run(["sbatch", *first], environment, math.inf)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 5
        await trio.sleep(1000)
        assert sorted(lines.read_text().split()) == names(5)
        assert all(job.is_done for job in scene.slurm.controller.jobs)


async def test_s20_of_an_array_that_was_accepted_in_part_the_rest_is_told(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.orders.next("sbatch", Only([0, 2, 3]))
        events = await scene.run(*names(5))
        assert statuses(events) == [PASSED, JobStatus.KILLED, PASSED, PASSED, JobStatus.KILLED]
        assert [kind(event) for event in events if event.status is not PASSED] == [FailureKind.LOST] * 2


# ---------------------------------------------------------------------- S6: limits of the queue


@pytest.mark.slow
async def test_s6_an_array_that_is_too_large_is_split(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(settings=Settings(max_array_size=10)) as scene:
        assert statuses(await scene.run(*names(25))) == [PASSED] * 25
        assert scene.slurm.count("sbatch") == 3
        assert started_once(scene)


QOS = Say(
    err=(
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
        " (job submit limit, user's size and/or time limits)\n"
    ),
    code=1,
)


@pytest.mark.slow
async def test_s6_a_limit_of_the_queue_is_waited_for(stage: Stage, autojump_clock: MockClock) -> None:
    """First nothing fits, then half of it, then all."""
    async with stage(settings=Settings(max_job_count=8, min_job_age=5)) as scene:
        scene.slurm.orders.next("sbatch", *[QOS] * 6)
        assert await scene.session.submit([scene.spec(name) for name in names(20)]) == {}
        scene.slurm.orders = type(scene.slurm.orders)()
        handles = await scene.submit_at_last(*names(20))
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 20
        assert started_once(scene)


async def test_s6_sbatch_that_waits_for_room_by_itself_is_a_busy_queue(stage: Stage, autojump_clock: MockClock) -> None:
    full = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
    async with stage() as scene:
        scene.slurm.orders.next("sbatch", Hang(err=full))
        handles = await scene.submit_at_last("a")
        assert (await scene.end(handles[0])).status is PASSED
        assert started_once(scene)


# ---------------------------------------------------------------------- S7, S8, S14: who knows how it ended


@pytest.mark.parametrize("age", [0, 1, 5])
async def test_s7_the_record_decides_when_the_queue_has_forgotten(
    stage: Stage, age: float, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=age), visibility_timeout=60) as scene:
        good, bad = await scene.run("a"), await scene.run("b", cmd="exit 3")
        assert statuses(good) == [PASSED]
        assert kind(bad[0]) is FailureKind.EXIT_CODE


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("NODE_FAIL", FailureKind.NODE_FAILURE),
        ("OUT_OF_MEMORY", FailureKind.OUT_OF_MEMORY),
        ("COMPLETED", FailureKind.LOST),
    ],
)
async def test_s7_accounting_is_asked_for_what_neither_record_nor_queue_tells(
    stage: Stage, word: str, expected: FailureKind, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=1000), visibility_timeout=60, accounting=0.0) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record=False)
        (handle,) = await scene.submit("a")
        await trio.sleep(10.5)
        scene.slurm.controller.jobs[0].shown = word
        scene.slurm.orders.always("squeue", Say())  # it has forgotten
        event = await scene.end(handle)
        assert kind(event) is expected
        assert scene.slurm.count("sacct") >= 1


LIMIT = 200 << 20
OVER = "used more than the 200 MiB of memory that it may use (memory); "


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("memory", [None, LIMIT])
async def test_a_job_that_goes_on_when_a_process_of_it_was_out_of_memory_is_over_its_ceiling(
    stage: Stage, code: int, memory: int | None, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=1000)) as scene:
        (handle,) = await scene.submit("a", cmd=f"exit {code}", memory=memory)
        await trio.sleep(10.5)
        element = scene.slurm.controller.jobs[0]
        element.shown, element.reason = "OUT_OF_MEMORY", "OutOfMemory"
        event = await scene.end(handle)
    if memory is None and code == 0:
        assert event.status is PASSED
        return
    assert kind(event) is FailureKind.OUT_OF_MEMORY
    assert event.reason is not None
    assert event.reason.message.startswith(OVER if memory else "Slurm job ")
    assert event.reason.message.endswith(" on n1 ended: OUT_OF_MEMORY (OutOfMemory)")


@pytest.mark.parametrize(("word", "reason"), [("FAILED", "JobLaunchFailure"), ("OUT_OF_MEMORY", "OutOfMemory")])
@pytest.mark.parametrize("memory", [None, LIMIT])
async def test_a_job_that_slurm_has_killed_for_its_memory_has_left_no_record(
    stage: Stage, word: str, reason: str, memory: int | None, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=1000), visibility_timeout=5) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record=False)
        (handle,) = await scene.submit("a", memory=memory)
        await trio.sleep(10.5)
        element = scene.slurm.controller.jobs[0]
        element.shown, element.reason = word, reason
        event = await scene.end(handle)
    assert event.reason is not None
    if memory is None and word == "FAILED":
        assert event.reason.kind is FailureKind.LOST
        return
    assert event.reason.kind is FailureKind.OUT_OF_MEMORY
    message = f"Slurm job {element.array_id}_0 on n1 ended: {word} ({reason})"
    assert event.reason.message == (f"{OVER}{message}" if memory else message)


async def test_s7_what_nobody_knows_of_is_lost_at_a_deadline_and_never_passed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=0), visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record=False)
        (event,) = await scene.run("a")
        assert kind(event) is FailureKind.LOST
        assert 60 <= event.ended - event.submitted - 10 <= 60 + 2 * 10


@pytest.mark.parametrize("lag", [60.0, 1e9])
async def test_s8_with_accounting_that_is_late_or_fails_the_record_decides(
    stage: Stage, lag: float, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=0), visibility_timeout=60, accounting=lag) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record_delay=30)
        scene.slurm.orders.next("sacct", Say(err="sacct: error: slurm_persist_conn_open: failed\n", code=1), Hang())
        assert statuses(await scene.run("a")) == [PASSED]
        assert scene.slurm.count("sacct") >= 1


@pytest.mark.parametrize("age", [0, 300])
@pytest.mark.parametrize("command", ["true", "exit 3", "exit 113", "exit 114"])
async def test_s14_a_record_that_is_late_is_waited_for(
    stage: Stage, age: float, command: str, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(min_job_age=age), visibility_timeout=90) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record_delay=60)
        (event,) = await scene.run("a", cmd=command)
        assert kind(event) is (None if command == "true" else FailureKind.EXIT_CODE)
        assert event.status is (PASSED if command == "true" else JobStatus.FAILED)
        await trio.sleep(100)


async def test_s14_a_record_that_is_later_than_that_changes_nothing(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record_delay=300)
        (event,) = await scene.run("a")
        assert kind(event) is FailureKind.LOST
        await trio.sleep(1000)


async def test_s14_a_log_that_is_late_is_waited_for(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=90) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(log_delay=60)
        events = await scene.run("a", cmd="echo TEST PASSED", pass_patterns=["TEST PASSED"])
        assert statuses(events) == [PASSED]


# ---------------------------------------------------------------------- S9, S10, S11: what the queue says


@pytest.mark.parametrize("how", ["node", "preempted", "requeued"])
async def test_s9_a_job_that_is_started_again_is_not_at_its_end(
    stage: Stage, how: str, autojump_clock: MockClock
) -> None:
    async with stage(requeue=True, settings=Settings(requeue_delay=120)) as scene:
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        controller = scene.slurm.controller
        moved = [job for job in controller.jobs if how != "node" or job.node == "n1"]
        if how == "node":
            scene.slurm.change(lambda controller: controller.fail_node("n1"))
        else:
            scene.slurm.change(lambda controller: controller.take_away(moved, state="PREEMPTED"))
        assert moved
        events = [await scene.end(handle) for handle in handles]
        assert statuses(events) == [PASSED] * 4
        for job in moved:
            name = scene.slurm.name_of(job)
            reported = [e for e in scene.session.history.events if isinstance(e, JobProgressEvent) and e.job_id == name]
            running = [JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.RUNNING]
            assert [e.status for e in reported if "NODE" not in (e.note or "")][-3:] == running
            assert scene.slurm.begun[job.label] == 2


@pytest.mark.parametrize("again", ["passes", "dies at once"])
async def test_s9_the_record_of_an_earlier_start_is_none_of_a_later_one(
    stage: Stage, tmp_path: Path, again: str, autojump_clock: MockClock
) -> None:
    """Its node dies while it is COMPLETING, with the record written: it starts again, and the later start counts."""
    first, second = (3, 0) if again == "passes" else (0, 3)
    async with stage(requeue=True, visibility_timeout=60, settings=Settings(completing=20, requeue_delay=120)) as scene:
        flag = tmp_path / "again"
        (handle,) = await scene.submit("a", cmd=f"[ -e {flag} ] && exit {second}; touch {flag}; exit {first}")
        await trio.sleep(15)
        (job,) = scene.slurm.controller.jobs
        assert job.state == "COMPLETING"
        scene.slurm.change(lambda controller: controller.take_away([job], state="NODE_FAIL"))
        await trio.sleep(122)
        assert (job.state, job.restarts) == ("RUNNING", 1)
        if again == "dies at once":
            job.request = attrs.evolve(job.request, requeue=False)
            scene.slurm.change(lambda controller: controller.take_away([job], state="NODE_FAIL"))
        event = await scene.end(handle)
        assert kind(event) is (None if again == "passes" else FailureKind.NODE_FAILURE)
        assert scene.slurm.begun[job.label] == 2


@pytest.mark.parametrize(("state", "expected"), [("NODE_FAIL", "node_failure"), ("PREEMPTED", "preempted")])
async def test_s9_without_requeue_it_is_the_end(
    stage: Stage, state: str, expected: str, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.take_away(list(controller.jobs), state=state))
        events = [await scene.end(handle) for handle in handles]
        assert [kind(event) for event in events] == [FailureKind(expected)] * 4
        assert scene.slurm.count("sbatch") == 1


ENDS: Mapping[str, str] = {
    "BOOT_FAIL": "node_failure",
    "CANCELLED": "cancelled",
    "COMPLETED": "lost",
    "DEADLINE": "timeout",
    "FAILED": "lost",
    "NODE_FAIL": "node_failure",
    "OUT_OF_MEMORY": "out_of_memory",
    "PREEMPTED": "preempted",
    "REVOKED": "lost",
    "TIMEOUT": "timeout",
}
"""The states of Slurm 22.05 that are ends, and the kind of failure of a job without a record."""


@pytest.mark.parametrize("word", COMPACT)
async def test_s10_every_word_of_slurm_has_a_meaning(
    stage: Stage, word: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60, settings=Settings(completing=1)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(600)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.controller.jobs[0].shown = word
        await trio.sleep(300)
        ended = [kind(event) for event in scene.session.history.completions]
        assert ended == ([FailureKind(ENDS[word])] if word in ENDS else [])
        assert "which is not known" not in caplog.text
        scene.slurm.controller.jobs[0].shown = None
        assert ((await scene.end(handle)).status is PASSED) is (word not in ENDS)


async def test_s10_a_word_that_nobody_knows_is_shown_and_waited_for(
    stage: Stage, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(3600)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.controller.jobs[0].shown = "TELEPORTING"
        await trio.sleep(1800)
        assert scene.session.history.completions == []
        assert "TELEPORTING" in caplog.text
        notes = [event.note for event in scene.session.history.events if isinstance(event, JobProgressEvent)]
        assert any("TELEPORTING" in (note or "") for note in notes)
        scene.slurm.controller.jobs[0].shown = None
        assert (await scene.end(handle)).status is PASSED


@pytest.mark.parametrize("record", [True, False])
async def test_s10_completing_for_half_an_hour_is_no_end(
    stage: Stage, record: bool, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """With a record it completes after the visibility timeout, whatever its node does; without one it is waited for."""
    async with stage(visibility_timeout=60, settings=Settings(completing=1800)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record=record)
        (event,) = await scene.run("a")
        lasted = event.ended - event.submitted
        if record:
            assert event.status is PASSED
            assert 10 + 60 <= lasted <= 10 + 60 + 20
        else:
            assert kind(event) is FailureKind.LOST
            assert lasted >= 1800
            assert "COMPLETING" in caplog.text


STRANGE: Mapping[str, Callable[[str], str | bytes]] = {
    "nothing": lambda out: "",
    "cut in a line": lambda out: out[: len(out) * 2 // 3],
    "cut after a line": lambda out: out[: out.rfind("\n", 0, len(out) - 1) + 1],
    "bytes": lambda out: out.encode() + b"\xff\xfe\x00|\x80\n",
    "bars": lambda out: out.replace("|RUNNING|", "||RUNNING|"),
    "newlines": lambda out: out.replace("RUNNING", "RUN\nNING"),
    "strangers": lambda out: out + out.replace("|jr-", "|x-").replace("RUNNING", "COMPLETED"),
    "ids of others": lambda out: out + "1|0|a|b|COMPLETED|0|0|n1|None|\n1|0|evil\n|COMPLETED|0|0|n1|None|\n",
    "words": lambda out: out.replace("RUNNING", "error: slurm_receive_msg: Zero Bytes were transmitted"),
}


@pytest.mark.parametrize("what", STRANGE)
async def test_s11_an_answer_that_is_not_whole_ends_nothing(stage: Stage, what: str, autojump_clock: MockClock) -> None:
    """Not at once; a complete listing without a row of a job, for the visibility timeout, is an end (S7)."""
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(300)
        handles = await scene.submit(*names(4))
        await trio.sleep(20)
        change = STRANGE[what]
        scene.slurm.orders.always(
            "squeue", Edit(lambda answer: Answer(change(str(answer.out)), answer.err, answer.code))
        )
        await trio.sleep(45 if what in {"nothing", "cut after a line"} else 250)
        assert scene.session.history.completions == []
        scene.slurm.orders.always("squeue", None)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 4


# ---------------------------------------------------------------------- S12: ending jobs


async def test_s12_one_answer_that_is_empty_by_mistake_is_no_end(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(3))
        await trio.sleep(5)
        scene.slurm.orders.next("scancel", Say())
        scene.slurm.orders.next("squeue", Say())
        await scene.backend.kill_many(handles)
        assert all(job.is_done for job in scene.slurm.controller.jobs)


@pytest.mark.parametrize(
    "act",
    [Say(err="scancel: error: Kill job error on job id 1: Invalid user id\n", code=1), Say(), Hang()],
    ids=["fails", "does nothing", "hangs"],
)
async def test_s12_a_cancel_is_asked_for_again_until_the_job_is_gone(
    stage: Stage, act: Say | Hang, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(3))
        await trio.sleep(5)
        scene.slurm.orders.next("scancel", act, act, act)
        await scene.backend.kill_many(handles)
        events = [await scene.end(handle) for handle in handles]
        assert [kind(event) for event in events] == [FailureKind.CANCELLED] * 3
        assert all(job.is_done for job in scene.slurm.controller.jobs)
        assert scene.slurm.count("scancel") == 4


async def test_s12_what_cannot_be_cancelled_is_lost_at_a_deadline(stage: Stage, autojump_clock: MockClock) -> None:
    """And it is cancelled whenever that works, for as long as the backend is open."""
    async with stage(kill_timeout=100) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(3))
        await trio.sleep(5)
        scene.slurm.orders.always("scancel", Say(err="scancel: error: no\n", code=1))
        began = trio.current_time()
        await scene.backend.kill_many(handles)
        assert [kind(await scene.end(handle)) for handle in handles] == [FailureKind.LOST] * 3
        assert 100 <= trio.current_time() - began <= 101
        scene.slurm.orders.always("scancel", None)
        (other,) = await scene.submit("other")
        await trio.sleep(60)
        await scene.backend.kill(other)
        assert all(job.is_done for job in scene.slurm.controller.jobs)


async def test_s12_what_is_cancelled_while_its_node_starts_it_never_begins(
    stage: Stage, autojump_clock: MockClock
) -> None:
    """Slurm calls it CANCELLED, then its node starts the script all the same, and nobody ends that."""
    async with stage(settings=Settings(launching=1)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(0)  # it begins as soon as its script starts
        killed, other = await scene.submit("killed", "other", cmd="touch began")
        await trio.sleep(0.5)
        await scene.backend.kill(killed)
        assert kind(await scene.end(killed)) is FailureKind.CANCELLED
        assert (await scene.end(other)).status is PASSED
        assert started_once(scene)
        assert len(scene.slurm.begun) == 2
        began = [path.parent.name for path in scene.slurm.directory.glob("*/began")]
        assert began == ["other"]


@pytest.mark.slow
async def test_a_thousand_elements_are_ended_by_a_handful_of_commands(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(settings=Settings(cpus=1000)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(1000))
        await trio.sleep(5)
        await scene.backend.kill_many(handles)
        assert scene.slurm.count("scancel") <= 3
        assert all(job.is_done for job in scene.slurm.controller.jobs)


@pytest.mark.parametrize("which", ["running", "waiting", "all that wait"])
async def test_what_somebody_cancels_by_hand_was_cancelled_or_is_lost(
    stage: Stage, which: str, autojump_clock: MockClock
) -> None:
    """The queue keeps no row of a waiting element that is cancelled by its index, unless it was the last one."""
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(30)
        scene.slurm.controller.holding = which != "running"
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        jobs = scene.slurm.controller.jobs
        some = jobs[1:3] if which != "all that wait" else list(jobs)
        scene.slurm.change(lambda controller: controller.cancel(some, whole=which == "all that wait"))

        def release(controller: Controller) -> None:
            controller.holding = False

        scene.slurm.change(release)
        events = [await scene.end(handle) for handle in handles]
        expected = FailureKind.LOST if which == "waiting" else FailureKind.CANCELLED
        ended = [kind(event) for event in events]
        assert ended == ([expected] * 4 if which == "all that wait" else [None, expected, expected, None])
        assert scene.slurm.count("sbatch") == 1


async def test_a_row_that_stands_for_a_whole_array_is_about_each_element(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.controller.holding = True
        handles = await scene.submit(*names(4))
        await trio.sleep(5)

        def cancel(controller: Controller) -> None:
            controller.cancel(list(controller.jobs))

        scene.slurm.change(cancel)
        (job,) = scene.slurm.controller.jobs
        assert (job.index, job.state) == (None, "CANCELLED")
        assert [kind(await scene.end(handle)) for handle in handles] == [FailureKind.CANCELLED] * 4


# ---------------------------------------------------------------------- S13: a controller that lost its state


@pytest.mark.parametrize("filtered", [True, False], ids=["asked by name", "asked for all"])
async def test_s13_ids_that_start_again_are_nobody_s_end_and_nobody_s_cancel(
    stage: Stage, filtered: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    if not filtered:
        monkeypatch.setattr(text, "_MAX_NAMES", 0)
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        first, second = await scene.submit("a", "b")
        await trio.sleep(10)

        def forget(controller: Controller) -> None:
            for job in controller.jobs:
                job.process = 0
            controller.jobs = []
            controller.next_id = 1

        scene.slurm.change(forget)
        stranger = ["sbatch", "--parsable", "--array=0-1", "--job-name=a-stranger", "--output=/dev/null", "--wrap=true"]
        scene.slurm.runs = lambda name, _restarts: Run(60)
        scene.slurm.name_of = lambda job: job.request.name  # type: ignore[method-assign]  # it has no file of ours
        scene.slurm.play = lambda job, run: 0  # type: ignore[method-assign]  # nor our wrapper
        answer = await scene.slurm.run(stranger, {}, math.inf)
        assert answer.output == "1\n"
        await trio.sleep(10)  # a question has been answered since
        killing = trio.Event()

        async def kill() -> None:
            await scene.backend.kill(second)
            killing.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            event = await scene.end(first)
            await killing.wait()
        assert kind(event) is FailureKind.LOST
        assert scene.session.history.completion("b").status is JobStatus.KILLED
        assert [job.state for job in scene.slurm.controller.jobs] == ["COMPLETED"] * 2
        assert scene.slurm.count("scancel") == 0


# ---------------------------------------------------------------------- S15, S16, S18


@pytest.mark.parametrize("skew", [-600, 600])
async def test_s15_clocks_that_differ_change_nothing(stage: Stage, skew: float, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60, settings=Settings(min_job_age=30)) as scene:
        scene.slurm.commands.wall += skew
        scene.slurm.runs = lambda _name, _restarts: Run(skew=skew)
        (event,) = await scene.run("a", cmd="exit 3")
        assert kind(event) is FailureKind.EXIT_CODE
        assert event.started is not None
        assert event.submitted <= event.started <= event.ended <= event.submitted + 30


async def test_s16_a_question_that_is_stuck_is_given_up(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(command_timeout=30) as scene:
        scene.slurm.orders.next("squeue", Hang(), Hang())
        (handle,) = await scene.submit("a")
        event = await scene.end(handle)
        assert event.status is PASSED
        asked = scene.slurm.times("squeue")
        assert asked[1] - asked[0] >= 30
        assert event.ended - event.submitted < 120


async def test_s18_an_element_that_never_starts_keeps_no_other_waiting(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        scene.slurm.controller.holding = True
        handles = await scene.submit(*names(4), queue_timeout=3600)

        def release(controller: Controller) -> None:
            controller.jobs[2].eligible = math.inf
            controller.holding = False

        scene.slurm.change(release)
        events = [await scene.end(handle) for handle in handles]
        assert statuses(events) == [PASSED, PASSED, JobStatus.KILLED, PASSED]
        assert kind(events[2]) is FailureKind.QUEUE_TIMEOUT
        assert all(event.ended - event.submitted < 30 for event in events if event.status is PASSED)
        assert all(job.is_done for job in scene.slurm.controller.jobs)


async def test_a_log_is_fresh_at_each_attempt(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage() as scene:
        (first,) = await scene.run("a", cmd="echo TEST PASSED", pass_patterns=["TEST PASSED"])
        assert first.status is PASSED
        job = scene.spec("a", "true", pass_patterns=["TEST PASSED"])
        handles = await scene.session.submit([job], {"a": 2})
        assert kind(await scene.end(handles["a"])) is FailureKind.PASS_PATTERN_MISSING


async def test_one_row_that_cannot_be_read_is_about_that_row_alone(stage: Stage, autojump_clock: MockClock) -> None:
    """The other jobs end; the job of that row neither ends nor is lost."""
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda name, _restarts: Run(300 if name == "job-2" else 10)
        handles = await scene.submit(*names(4))

        def spoil(answer: Answer) -> Answer:
            lines = str(answer.out).splitlines(keepends=True)
            return Answer("".join(line.replace("|", "||", 1) if "|2|jr-" in line else line for line in lines))

        scene.slurm.orders.always("squeue", Edit(spoil))
        await trio.sleep(200)
        assert {event.job_id for event in scene.session.history.completions} == {"job-0", "job-1", "job-3"}
        scene.slurm.orders.always("squeue", None)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 4


@pytest.mark.slow
async def test_the_queue_is_asked_once_a_tick_whatever_the_number_of_jobs(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(poll_interval=2, settings=Settings(cpus=1000)) as scene:
        scene.slurm.runs = lambda name, _restarts: Run(20 + int(name[4:]) % 20)
        events = await scene.run(*names(60))
        assert statuses(events) == [PASSED] * 60
        assert scene.slurm.count("sbatch") == 1
        asked = scene.slurm.times("squeue")
        assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(asked))
        assert scene.slurm.count("squeue") <= 42 / 2
