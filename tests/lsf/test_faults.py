"""The faults of an LSF, in virtual time: what `tests/slurm/test_faults.py` has of Slurm, where LSF differs.

The fake is made from LSF's documentation: these tests show that the backend agrees with that, not with a real LSF.
"""

from __future__ import annotations

import functools
import math
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.job import FailureKind, JobProgressEvent
from tests.gridengine.test_faults import PASSED, Stage, kind, names, started_once, statuses
from tests.lsf.fakes import LSF
from tests.slurm.fakes import Answer, Edit, Hang, Say
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.jobs import PENDING
from tests.slurm.virtual import Run, open_scene


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Opens a scene; a test has to request `autojump_clock` itself, by name."""
    return functools.partial(open_scene, tmp_path, monkeypatch, dialect=LSF)


async def test_one_line_says_that_no_real_lsf_has_run_it(
    stage: Stage, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with stage():
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert warnings[0].startswith("the backend for LSF has not been run on a real LSF yet")


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
async def test_an_lsf_that_is_down_is_no_failure_of_a_job(
    stage: Stage, silent: bool, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        (running,) = await scene.submit("a")
        scene.slurm.down = True
        for program in LSF.programs if silent else ():
            scene.slurm.orders.always(program, Hang())
        with trio.move_on_after(1000):
            assert await scene.session.submit([scene.spec("b")]) == {}  # busy: come again
        for program in LSF.programs:
            scene.slurm.orders.always(program, None)
        scene.slurm.down = False
        (again,) = await scene.submit_at_last("c")
        assert statuses([await scene.end(running), await scene.end(again)]) == [PASSED] * 2
        assert started_once(scene)


LOST = Say(err="Communication time out. Job not submitted.\n", code=255)


@pytest.mark.parametrize(
    "act",
    [
        Hang(done=True),
        Say(err=LOST.err, code=255, done=True),
        Say(done=True),
        Edit(lambda answer: Answer(str(answer.out)[:-20])),
        Say(b"\xff\x00\n", done=True),
        Say(code=-15, done=True),
    ],
    ids=["hangs", "answer is lost", "says nothing", "is cut off", "says bytes", "is killed"],
)
async def test_what_was_submitted_in_spite_of_what_bsub_says_is_found(
    stage: Stage, act: Hang | Say | Edit, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(100)
        scene.slurm.orders.next("bsub", act)
        assert statuses(await scene.run(*names(5))) == [PASSED] * 5
        assert scene.slurm.count("bsub") == 1
        assert started_once(scene)


async def test_a_bsub_that_waits_for_a_place_is_killed_and_the_jobs_come_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    """It would wait for ever; and the array may have been accepted while it was killed, so the queue is asked."""
    async with stage(settings=Settings(max_array_size=11)) as scene:
        wait = Hang(err="User <u>: Pending job threshold reached. Retrying in 60 seconds...\n")
        scene.slurm.orders.next("bsub", wait, wait)
        assert await scene.session.submit([scene.spec("a")]) == {}
        handles = await scene.submit_at_last(*names(25))
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 25
        assert started_once(scene)


async def test_what_can_never_run_is_refused_with_the_reason(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(rules=[{"tag": "no", "queue": "nowhere"}]) as scene:
        (bad,) = await scene.submit("c", tags=["no"])
        event = await scene.end(bad)
        assert kind(event) is FailureKind.LAUNCH_ERROR
        assert event.reason is not None
        assert event.reason.message == "LSF refused it: nowhere: No such queue. Job not submitted."


# ---------------------------------------------------------------------- who knows how it ended


@pytest.mark.parametrize("code", [1, 3, 7, 99, 113])
async def test_the_record_decides_and_no_exit_code_runs_a_job_again(
    stage: Stage, code: int, autojump_clock: MockClock
) -> None:
    """The queue requeues on 1, 3 and 7, the array on 99; 113 would be a node that does not see the files."""
    async with stage() as scene:
        with trio.fail_after(200):
            good, (bad,) = await scene.run("a"), await scene.run("b", cmd=f"exit {code}")
        assert statuses(good) == [PASSED]
        assert (kind(bad), bad.usage and bad.usage.exit_code) == (FailureKind.EXIT_CODE, code)
        assert started_once(scene)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("TIMEOUT", FailureKind.TIMEOUT),
        ("OUT_OF_MEMORY", FailureKind.OUT_OF_MEMORY),
        ("PREEMPTED", FailureKind.PREEMPTED),
        ("CANCELLED", FailureKind.CANCELLED),
        ("NODE_FAIL", FailureKind.NODE_FAILURE),
    ],
)
async def test_lsf_s_reason_is_told_of_a_job_that_left_no_record(
    stage: Stage, state: str, expected: FailureKind, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=30) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.take_away(list(controller.jobs), state=state))
        event = await scene.end(handle)
        assert kind(event) is expected
        assert event.reason is not None
        assert "EXIT (TERM_" in event.reason.message


async def test_lsf_s_reason_does_not_replace_the_end_of_a_job_that_ended_by_itself(
    stage: Stage, autojump_clock: MockClock
) -> None:
    def claim(answer: Answer) -> Answer:
        out = str(answer.out).replace('"EXIT_REASON": ""', '"EXIT_REASON": "TERM_OWNER: job killed by owner"')
        return Answer(out.replace('"DONE"', '"EXIT"').replace('"EXIT_CODE": ""', '"EXIT_CODE": "130"'))

    async with stage() as scene:
        scene.slurm.orders.always("bjobs", Edit(claim))
        assert statuses(await scene.run("a")) == [PASSED]


async def test_a_job_that_is_started_again_is_not_at_its_end(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(rerun=True, settings=Settings(requeue_delay=120)) as scene:
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        moved = [job for job in scene.slurm.controller.jobs if job.node == "n1"]
        scene.slurm.change(lambda controller: controller.take_away(moved, state="NODE_FAIL"))
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 4
        for job in moved:
            name = scene.slurm.name_of(job)
            reported = [e for e in scene.session.history.events if isinstance(e, JobProgressEvent) and e.job_id == name]
            assert [e.status.name for e in reported] == ["RUNNING", "QUEUED", "RUNNING"]
            assert scene.slurm.begun[job.label] == 2


# ---------------------------------------------------------------------- what the queue says


@pytest.mark.parametrize("word", ["PEND", "PSUSP", "PROV", "WAIT", "RUN", "USUSP", "SSUSP", "UNKWN", "NEW"])
async def test_no_state_of_a_job_that_lives_is_an_end(stage: Stage, word: str, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(600)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.controller.jobs[0].shown = word
        await trio.sleep(300)
        assert scene.session.history.completions == []
        scene.slurm.controller.jobs[0].shown = None
        assert (await scene.end(handle)).status is PASSED


STRANGE: dict[str, Callable[[str], str | bytes]] = {
    "nothing": lambda out: "",
    "cut": lambda out: out[: len(out) * 2 // 3],
    "bytes": lambda out: out.encode() + b"\xff\xfe\x00<",
    "a table": lambda out: "JOBID USER STAT\n1 root RUN\n",
    "fewer than it says": lambda out: out.replace('"JOBS": 4', '"JOBS": 5'),
    "no state": lambda out: out.replace('"STAT"', '"STATE"'),
    "no index": lambda out: out.replace('"JOBINDEX"', '"INDEX"'),
}


@pytest.mark.parametrize("what", STRANGE)
async def test_an_answer_that_is_not_whole_ends_nothing(stage: Stage, what: str, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(300)
        handles = await scene.submit(*names(4))
        await trio.sleep(20)
        change = STRANGE[what]
        scene.slurm.orders.always("bjobs", Edit(lambda answer: Answer(change(str(answer.out)))))
        await trio.sleep(250)
        assert scene.session.history.completions == []
        scene.slurm.orders.always("bjobs", None)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 4


async def test_one_bjobs_is_asked_for_all_arrays_of_a_tick(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(rules=[{"tag": "big", "extra": ["-sp", "10"]}]) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(100)
        handles = [*await scene.submit("a"), *await scene.submit("b", tags=["big"])]
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 2
        assert scene.slurm.count("bsub") == 2
        times = scene.slurm.times("bjobs")
        assert len(times) == len(set(times))


@pytest.mark.parametrize("seconds", [200, 600])
async def test_a_node_that_does_not_answer_for_a_while_has_not_ended_its_jobs(
    stage: Stage, seconds: float, autojump_clock: MockClock
) -> None:
    """After a long while it has: they are cancelled, and end if it comes back."""
    async with stage(visibility_timeout=10) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(1000)
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        await trio.sleep(seconds)
        lost = {event.job_id for event in scene.session.history.completions}
        here = {scene.slurm.name_of(job) for job in scene.slurm.controller.jobs if job.node == "n1"}
        assert len(here) == 2
        assert lost == (here if seconds > 500 else set())
        assert scene.slurm.count("bkill") == (1 if seconds > 500 else 0)
        scene.slurm.change(lambda controller: controller.hear_node("n1"))
        events = [await scene.end(handle) for handle in handles]
        expected = [FailureKind.NODE_FAILURE if event.job_id in lost else None for event in events]
        assert [kind(event) for event in events] == expected
        assert started_once(scene)


# ---------------------------------------------------------------------- ending jobs


@pytest.mark.parametrize(
    "act", [Say(err="LSF is down\n", code=255), Say(), Hang()], ids=["fails", "does nothing", "hangs"]
)
async def test_a_bkill_is_asked_for_again_until_the_job_is_gone(
    stage: Stage, act: Say | Hang, autojump_clock: MockClock
) -> None:
    async with stage(kill_timeout=2000) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(3))
        await trio.sleep(5)
        scene.slurm.orders.next("bkill", act, act, act)
        await scene.backend.kill_many(handles)
        events = [await scene.end(handle) for handle in handles]
        assert [kind(event) for event in events] == [FailureKind.CANCELLED] * 3
        assert all(job.is_done for job in scene.slurm.controller.jobs)
        assert scene.slurm.count("bkill") in (4, 5)  # LSF shows a job as RUN until it has ended, so perhaps once more


async def test_a_thousand_elements_are_ended_by_one_command_also_those_that_wait(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(settings=Settings(cpus=250)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(1000))
        await trio.sleep(5)
        assert sum(job.state == PENDING for job in scene.slurm.controller.jobs) == 500
        await scene.backend.kill_many(handles)
        events = [await scene.end(handle) for handle in handles]
        assert {kind(event) for event in events} == {FailureKind.CANCELLED}
        assert [arguments for program, _, arguments in scene.slurm.calls if program == "bkill"] == [("1[1-1000]",)]


async def test_a_soft_step_is_a_signal_by_bkill(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(soft_stop="SIGUSR1", soft_timeout=50) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        await scene.backend.kill(handle)
        assert kind(await scene.end(handle)) is FailureKind.CANCELLED
        first, last = [arguments for program, _, arguments in scene.slurm.calls if program == "bkill"]
        assert (first, last) == (("-s", str(int(signal.SIGUSR1)), "1[1]"), ("1[1]",))
        begun, ended = scene.slurm.times("bkill")
        assert 49 <= ended - begun <= 60


# ---------------------------------------------------------------------- nodes


async def test_nodes_that_fail_are_excluded_from_what_is_submitted_and_what_waits(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=10, extra=["-R", "select[type==any]"]) as scene:
        assert statuses(await scene.run("a", "b")) == [PASSED] * 2
        scene.slurm.runs = lambda _name, _restarts: Run(2000)
        handles = await scene.submit(*names(34))  # two of them wait
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        await trio.sleep(500)
        (altered,) = [arguments for program, _, arguments in scene.slurm.calls if program == "bmod"]
        array = {str(job.array_id) for job in scene.slurm.controller.jobs if job.state == PENDING}
        assert altered == ("-R", "select[type==any]", "-R", "select[hname!='n1']", *array)
        await scene.submit("c")
        (last,) = [arguments for program, _, arguments in scene.slurm.calls if program == "bsub"][2:]
        assert " -R select[type==any] -R select[hname!='n1'] " in " ".join(last)
        await scene.backend.kill_many(handles)
        scene.backend.close()
