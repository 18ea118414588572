"""The faults of a Grid Engine, in virtual time: what `tests/slurm/test_faults.py` has of Slurm.

What follows from an answer is the batch core's, and is tested there in all its cases; here, that each fault of this
system is the answer that it should be.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.job import FailureKind, JobCompletionEvent, JobProgressEvent, JobStatus, Kind
from tests.gridengine.fakes import GRID_ENGINE
from tests.slurm.fakes import Answer, Edit, Hang, Only, Say
from tests.slurm.fakes.controller import Controller, Settings
from tests.slurm.fakes.jobs import PENDING
from tests.slurm.virtual import Run, Scene, open_scene

PASSED = JobStatus.PASSED

Stage = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Opens a scene; a test has to request `autojump_clock` itself, by name."""
    return functools.partial(open_scene, tmp_path, monkeypatch, dialect=GRID_ENGINE)


def kind(event: JobCompletionEvent) -> Kind | None:
    return None if event.reason is None else event.reason.kind


def names(number: int) -> list[str]:
    return [f"job-{index}" for index in range(number)]


def statuses(events: list[JobCompletionEvent]) -> list[JobStatus]:
    return [event.status for event in events]


def started_once(scene: Scene) -> bool:
    return all(count == 1 for count in scene.slurm.begun.values())


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
async def test_a_master_that_is_gone_is_no_failure_of_a_job(
    stage: Stage, silent: bool, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        (running,) = await scene.submit("a")
        if silent:
            for program in GRID_ENGINE.programs:
                scene.slurm.orders.always(program, Hang())
        scene.slurm.down = True
        with trio.move_on_after(400) as scope:
            assert await scene.session.submit([scene.spec("b")]) == {}  # busy: come again
        assert scope.cancelled_caught is silent  # its submission stays doubtful while nothing answers
        scene.slurm.down = False
        for program in GRID_ENGINE.programs:
            scene.slurm.orders.always(program, None)
        assert (await scene.end(running)).status is PASSED
        (again,) = await scene.submit_at_last("c")
        assert (await scene.end(again)).status is PASSED
        assert started_once(scene)


READ_ERROR = Say(err="Unable to run job: failed receiving gdi request response (got read error)\nExiting.\n", code=1)


@pytest.mark.parametrize(
    "act",
    [
        Hang(done=True),
        Say(err=READ_ERROR.err, code=1, done=True),
        Say(done=True),
        Edit(lambda answer: Answer(str(answer.out)[:-1])),
        Edit(lambda answer: Answer("Unable to run job: warning: no queue\nExiting.\n", code=1)),
        Say(b"\xff\x00\n", done=True),
        Say(code=-15, done=True),
    ],
    ids=["hangs", "answer is lost", "says nothing", "is cut off", "warns", "says bytes", "is killed"],
)
async def test_what_was_submitted_in_spite_of_what_qsub_says_is_found(
    stage: Stage, act: Hang | Say | Edit, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(100)
        scene.slurm.orders.next("qsub", act)
        assert statuses(await scene.run(*names(5))) == [PASSED] * 5
        assert scene.slurm.count("qsub") == 1
        assert started_once(scene)


async def test_what_has_ended_before_it_was_looked_for_runs_nothing_twice(
    stage: Stage, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The queue forgets at once, so the array is submitted again; its elements find the claims."""
    async with stage() as scene:
        lines = tmp_path / "lines"
        scene.slurm.orders.next("qsub", Hang(done=True))
        assert statuses(await scene.run(*names(5), cmd=f'echo "$NAME" >>{lines}')) == [PASSED] * 5
        assert scene.slurm.count("qsub") == 2
        assert sorted(lines.read_text().split()) == names(5)


@pytest.mark.parametrize("act", [Hang(), READ_ERROR, Say()], ids=["hangs", "answer is lost", "says nothing"])
async def test_what_was_not_submitted_is_submitted_once_more(
    stage: Stage, act: Hang | Say, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.orders.next("qsub", act)
        assert statuses(await scene.run(*names(5))) == [PASSED] * 5
        first, second = scene.slurm.times("qsub")
        assert len([at for at in scene.slurm.times("qstat") if first <= at <= second]) == 2  # it was certainly absent
        assert started_once(scene)


async def test_a_submission_that_turns_up_after_all_runs_nothing_twice(
    stage: Stage, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=20) as scene:
        lines = tmp_path / "lines"
        scene.slurm.orders.next("qsub", Hang())
        handles = await scene.submit(*names(5), cmd=f'echo "$NAME" >>{lines}')
        first, second = [arguments for program, _, arguments in scene.slurm.calls if program == "qsub"]
        assert first == second
        await trio.sleep(15)
        await scene.slurm.run(["qsub", *first], {}, math.inf)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 5
        await trio.sleep(1000)
        assert sorted(lines.read_text().split()) == names(5)


async def test_of_an_array_that_was_accepted_in_part_the_rest_is_told(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.orders.next("qsub", Only([0, 2]))
        events = await scene.run(*names(3))
        assert [kind(event) for event in events] == [None, FailureKind.LOST, None]


async def test_limits_split_an_array_and_are_waited_for(stage: Stage, autojump_clock: MockClock) -> None:
    full = Say(err="Unable to run job: job rejected: only 2 jobs are allowed per user\nExiting.\n", code=25)
    async with stage(settings=Settings(max_array_size=11)) as scene:
        scene.slurm.orders.next("qsub", *[full] * 4)
        assert await scene.session.submit([scene.spec(name) for name in names(10)]) == {}
        handles = await scene.submit_at_last(*names(25))
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 25
        assert scene.slurm.count("qsub") == 4 + 3
        assert started_once(scene)


async def test_what_can_never_run_is_refused_with_the_reason(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(rules=[{"tag": "no", "queue": "nowhere.q"}]) as scene:
        good, bad = await scene.submit("a", "b"), await scene.submit("c", tags=["no"])
        event = await scene.end(bad[0])
        assert kind(event) is FailureKind.LAUNCH_ERROR
        assert event.reason is not None
        said = 'Grid Engine refused it: Job was rejected because job requests unknown queue "nowhere.q"'
        assert event.reason.message == said
        assert statuses([await scene.end(handle) for handle in good]) == [PASSED] * 2


# ---------------------------------------------------------------------- who knows how it ended


@pytest.mark.parametrize("delay", [0, 40])
async def test_the_record_decides_as_the_queue_forgets_at_once(
    stage: Stage, delay: float, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(record_delay=delay)
        good, bad = await scene.run("a"), await scene.run("b", cmd="exit 100")
        assert statuses(good) == [PASSED]
        assert kind(bad[0]) is FailureKind.EXIT_CODE
        assert bad[0].usage is not None
        assert bad[0].usage.exit_code == 100


@pytest.mark.parametrize(
    ("limit", "accounting", "expected"),
    [("0:0:10", 0.0, FailureKind.TIMEOUT), ("0:0:10", None, FailureKind.LOST), (None, 0.0, FailureKind.LOST)],
)
async def test_accounting_is_asked_for_what_has_left_no_record(
    stage: Stage, limit: str | None, accounting: float | None, expected: FailureKind, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=30, time=limit, accounting=accounting) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(100 if limit else 10, record=False)
        (event,) = await scene.run("a")
        assert kind(event) is expected
        assert (scene.slurm.count("qacct") > 0) is (accounting is not None)


async def test_a_job_that_somebody_else_deletes_is_lost_with_what_accounting_says(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=30, accounting=0.0) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.cancel(list(controller.jobs)))
        event = await scene.end(handle)
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LOST
        assert event.reason.message.startswith(
            "Grid Engine job 1.1 on n1 is failed 100 : assumedly after job, and left"
        )


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


@pytest.mark.parametrize("letters", ["qw", "hqw", "Eqw", "Rq", "t", "Rt", "r", "Rr", "s", "S", "T", "dr", "dt"])
async def test_every_state_has_a_meaning_and_none_is_an_end(
    stage: Stage, letters: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(600)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.controller.jobs[0].shown = letters
        await trio.sleep(300)
        assert scene.session.history.completions == []
        assert "which is not known" not in caplog.text
        scene.slurm.controller.jobs[0].shown = None
        assert (await scene.end(handle)).status is PASSED


async def test_a_state_that_nobody_knows_is_shown_and_waited_for(
    stage: Stage, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(600)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.controller.jobs[0].shown = "Z"
        await trio.sleep(300)
        assert scene.session.history.completions == []
        assert "is in state Z, which is not known; it is waited for" in caplog.text
        scene.slurm.controller.jobs[0].shown = None
        assert (await scene.end(handle)).status is PASSED


STRANGE: dict[str, Callable[[str], str | bytes]] = {
    "nothing": lambda out: "",
    "cut": lambda out: out[: len(out) * 2 // 3],
    "bytes": lambda out: out.encode() + b"\xff\xfe\x00<",
    "another document": lambda out: "<?xml version='1.0'?><x/>",
    "no state": lambda out: out.replace("<state>r</state>", ""),
    "no tasks": lambda out: out.replace("<tasks>", "<task>").replace("</tasks>", "</task>"),
    "words": lambda out: f"error: commlib error\n{out}",
}


@pytest.mark.parametrize("what", STRANGE)
async def test_an_answer_that_is_not_whole_ends_nothing(stage: Stage, what: str, autojump_clock: MockClock) -> None:
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(300)
        handles = await scene.submit(*names(4))
        await trio.sleep(20)
        change = STRANGE[what]
        scene.slurm.orders.always("qstat", Edit(lambda answer: Answer(change(str(answer.out)))))
        await trio.sleep(250)
        assert scene.session.history.completions == []
        scene.slurm.orders.always("qstat", None)
        assert statuses([await scene.end(handle) for handle in handles]) == [PASSED] * 4


# ---------------------------------------------------------------------- a node that does not answer


@pytest.mark.parametrize("seconds", [60, 400])
async def test_a_node_that_does_not_answer_for_a_while_has_not_ended_its_jobs(
    stage: Stage, seconds: float, autojump_clock: MockClock
) -> None:
    """As after each restart of the master. After a long while it has: they are cancelled, and end if it comes back."""
    async with stage(visibility_timeout=10) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(1000)
        handles = await scene.submit(*names(4))
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        await trio.sleep(seconds)
        lost = {event.job_id for event in scene.session.history.completions}
        here = {scene.slurm.name_of(job) for job in scene.slurm.controller.jobs if job.node == "n1"}
        assert len(here) == 2
        assert lost == (here if seconds > 100 else set())
        assert scene.slurm.count("qdel") == (1 if seconds > 100 else 0)
        scene.slurm.change(lambda controller: controller.hear_node("n1"))
        events = [await scene.end(handle) for handle in handles]
        expected = [FailureKind.NODE_FAILURE if event.job_id in lost else None for event in events]
        assert [kind(event) for event in events] == expected
        await trio.sleep(10)
        assert all(job.is_done for job in scene.slurm.controller.jobs)
        assert started_once(scene)


async def test_a_job_that_left_its_record_on_a_node_that_does_not_answer_has_passed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=60) as scene:
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        event = await scene.end(handle)
        assert event.status is PASSED
        assert event.ended - event.submitted < 30


async def test_what_was_killed_on_a_node_that_does_not_answer_is_told_so_at_a_deadline(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=10) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        (handle,) = await scene.submit("a")
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        await scene.backend.kill(handle)
        assert kind(await scene.end(handle)) is FailureKind.NODE_FAILURE


# ---------------------------------------------------------------------- ending jobs


@pytest.mark.parametrize(
    "act",
    [Say(err="error: commlib error: got select error\n", code=1), Say(), Hang()],
    ids=["fails", "does nothing", "hangs"],
)
async def test_a_qdel_is_asked_for_again_until_the_job_is_gone(
    stage: Stage, act: Say | Hang, autojump_clock: MockClock
) -> None:
    async with stage() as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(3))
        await trio.sleep(5)
        scene.slurm.orders.next("qdel", act, act, act)
        await scene.backend.kill_many(handles)
        events = [await scene.end(handle) for handle in handles]
        assert [kind(event) for event in events] == [FailureKind.CANCELLED] * 3
        assert all(job.is_done for job in scene.slurm.controller.jobs)
        assert scene.slurm.count("qdel") == 4


async def test_what_is_deleted_while_its_node_starts_it_never_begins(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(settings=Settings(launching=1)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(0)
        killed, other = await scene.submit("killed", "other", cmd="touch began")
        await trio.sleep(0.5)
        await scene.backend.kill(killed)
        assert kind(await scene.end(killed)) is FailureKind.CANCELLED
        assert (await scene.end(other)).status is PASSED
        assert [path.parent.name for path in scene.slurm.directory.glob("*/began")] == ["other"]


@pytest.mark.parametrize("poll_interval", [0.5, 2, 5])
async def test_what_was_stopped_needs_no_accounting_and_no_record(
    stage: Stage, poll_interval: float, autojump_clock: MockClock
) -> None:
    """Accounting says that a signal has ended it, and of whom it does not know."""
    async with stage(accounting=0.0, poll_interval=poll_interval) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf, record=False)
        slow, killed = await scene.submit("slow", timeout=5), await scene.submit("killed")
        assert kind(late := await scene.end(slow[0])) is FailureKind.TIMEOUT
        await scene.backend.kill_many(killed)
        asked = trio.current_time()
        assert kind(await scene.end(killed[0])) is FailureKind.CANCELLED
        assert late.started is not None
        assert late.ended - late.started < 5 + 6 * poll_interval
        assert trio.current_time() - asked < 6 * poll_interval


async def test_a_thousand_elements_are_ended_by_one_command(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage(settings=Settings(cpus=1000)) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        handles = await scene.submit(*names(1000))
        await trio.sleep(5)
        await scene.backend.kill_many(handles)
        assert [arguments for program, _, arguments in scene.slurm.calls if program == "qdel"] == [("1.1-1000",)]
        assert all(job.is_done for job in scene.slurm.controller.jobs)


async def test_ids_that_start_again_are_nobody_s_end_and_nobody_s_qdel(stage: Stage, autojump_clock: MockClock) -> None:
    """A master that was killed gives the last ids once more: measured with 8.1.9."""
    async with stage(visibility_timeout=60) as scene:
        scene.slurm.runs = lambda _name, _restarts: Run(math.inf)
        (handle,) = await scene.submit("a")
        await trio.sleep(10)

        def forget(controller: Controller) -> None:
            for job in controller.jobs:
                job.process = 0
            controller.jobs = []
            controller.next_id = 1

        scene.slurm.change(forget)
        scene.slurm.name_of = lambda job: job.request.name  # type: ignore[method-assign]  # it has no file of ours
        scene.slurm.play = lambda job, run: 0  # type: ignore[method-assign]  # nor our wrapper
        script = scene.slurm.directory / "stranger"
        script.write_text("true\n")
        answer = await scene.slurm.run(["qsub", "-terse", "-N", "stranger", "-t", "1-1", str(script)], {}, math.inf)
        assert answer.output == "1.1-1:1\n"
        assert kind(await scene.end(handle)) is FailureKind.LOST
        assert scene.slurm.count("qdel") == 0


# ---------------------------------------------------------------------- nodes


async def test_nodes_that_fail_are_excluded_from_what_is_submitted_and_what_waits(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage(visibility_timeout=10, time="none", extra=["-l", "arch=lx-amd64"]) as scene:
        assert statuses(await scene.run("a", "b")) == [PASSED] * 2
        scene.slurm.runs = lambda _name, _restarts: Run(1000)
        handles = await scene.submit(*names(34))  # two of them wait
        await trio.sleep(5)
        scene.slurm.change(lambda controller: controller.silence_node("n1"))
        await trio.sleep(200)
        (altered,) = [arguments for program, _, arguments in scene.slurm.calls if program == "qalter"]
        array = {str(job.array_id) for job in scene.slurm.controller.jobs if job.state == PENDING}
        assert altered == ("-l", "arch=lx-amd64,hostname=!n1", *array)
        await scene.submit("c")
        (last,) = [arguments for program, _, arguments in scene.slurm.calls if program == "qsub"][2:]
        assert " -l arch=lx-amd64 -l hostname=!n1 " in " ".join(last)
        await scene.backend.kill_many(handles)
        scene.backend.close()
