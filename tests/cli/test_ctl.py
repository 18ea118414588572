"""``job-runtime ctl``: what it asks a run for, what the run does and says, and who is refused."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.cli import ctl_requests
from runtime.cli.ctl_requests import CtlRequests
from runtime.ctl import sender
from runtime.ctl.inbox import DIRECTORY_NAME, Inbox
from runtime.ctl.messages import Answer, RunRequest
from runtime.ctl.sender import Request
from runtime.job import JobSpec
from runtime.journal import Recorder, replay
from runtime.roots import Roots
from runtime.scheduler.run import Scheduler
from tests.cli.conftest import Here
from tests.cli.past_run import NAME, held, write_run
from tests.cli.program import Fifo, command, end_of, job_file, results, start, started, wait_for
from tests.journal.sink import Sink
from tests.report.results import result
from tests.scheduler.planning import job
from tests.unmeasured import UNMEASURED

# ---------------------------------------------------------------------- the run


class Controlled:
    """A run of jobs that never end by themselves, and what it says."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.roots = Roots(str(directory))
        self.roots.open()
        self.sink = Sink()
        backend = FakeBackend(lambda _spec, _attempt: FakeRun(duration=10**9))
        jobs = [job(name, resources={"licence": 1}) for name in names]
        self.scheduler: Scheduler[JobSpec] = Scheduler(
            jobs, backend, resources={"licence": 1}, journal=Recorder(self.sink, "/run")
        )
        self.said: list[str] = []
        self.stops: list[str] = []
        self.inbox = Inbox(self.roots.run)
        self.requests = CtlRequests(self.inbox, self.scheduler, say=self.said.append, show_stop=self.stops.append)

    async def ask(self, **fields: object) -> Answer:
        request = Request(self.roots.run, RunRequest(host="node7", **fields))  # type: ignore[arg-type]  # by their names
        await trio.to_thread.run_sync(request.send)
        return await trio.to_thread.run_sync(request.wait)


@pytest.fixture
def controlled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Controlled]:
    monkeypatch.setattr(ctl_requests, "POLL_INTERVAL", 0.01)
    run = Controlled(tmp_path / "run", "a", "b", "c")
    yield run
    run.roots.close()


async def test_each_request_is_carried_out_answered_said_and_in_the_journal(controlled: Controlled) -> None:
    scheduler = controlled.scheduler
    controlled.inbox.take()  # so that the directory is there
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        nursery.start_soon(controlled.requests.run)
        assert await controlled.ask(action="pause") == Answer(True, "launching is paused; 1 job goes on")
        assert (scheduler.paused_by or "").endswith(" on node7")
        answer = await controlled.ask(action="limit", resource="licence", limit=2)
        assert answer == Answer(True, "the limit of licence is 2; 1 held")
        assert scheduler.statistics().in_flight == 1
        assert await controlled.ask(action="resume") == Answer(True, "launching goes on")
        assert scheduler.paused_by is None
        await trio.testing.wait_all_tasks_blocked()
        assert scheduler.statistics().in_flight == 2
        assert (await controlled.ask(action="kill", jobs=("a", "nobody"))).is_done is False
        assert (await controlled.ask(action="limit", resource="vcs", limit=1)).is_done is False
        assert (await controlled.ask(action="kill", jobs=("a",), force=True)).is_done
        assert (await controlled.ask(action="drain")).text == "nothing new starts, running jobs may finish"
        assert (await controlled.ask(action="stop")).text == "nothing new starts, running jobs are being ended"
        nursery.cancel_scope.cancel()
    (segment,) = replay(controlled.sink.records).segments
    assert [record.action for record in segment.requests] == ["pause", "limit", "resume", "kill", "drain", "stop"]
    assert all(record.by.endswith(" on node7") for record in segment.requests)
    assert [line.partition(": ")[2] for line in controlled.said] == [
        "launching is paused; 1 job goes on",
        "the limit of licence is 2; 1 held",
        "launching goes on",
        "1 job is being killed, if not ended yet",
    ]
    assert len(controlled.stops) == 2
    await controlled.requests.close()
    assert not (Path(str(controlled.roots)) / DIRECTORY_NAME).exists()


async def test_who_ends_the_run_has_an_answer_as_well(controlled: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[str] = []
    controlled.inbox.take()
    request = Request(controlled.roots.run, RunRequest(action="stop"))
    request.send()

    def end(text: str) -> None:
        answered.append(text)
        scope.cancel()

    with monkeypatch.context() as patch, trio.CancelScope() as scope:
        patch.setattr(controlled.requests, "_show_stop", end)
        await controlled.requests.run()  # as if the run ended at once
    assert len(answered) == 1
    await controlled.requests.close()
    assert request.wait(0).is_done


async def test_a_file_system_that_does_not_answer_holds_up_neither_the_run_nor_its_end(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> list[object]:
        hangs.set()
        goes_on.wait()
        return []

    monkeypatch.setattr(controlled.inbox, "take", hang)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controlled.requests.run)
            await trio.to_thread.run_sync(hangs.wait)
            nursery.start_soon(controlled.scheduler.run)
            await trio.testing.wait_all_tasks_blocked()
            assert controlled.scheduler.statistics().in_flight == 1
            nursery.cancel_scope.cancel()
        assert len(controlled.scheduler.results()) == 3
    finally:
        goes_on.set()


async def test_a_directory_that_cannot_be_used_is_told_once_and_tried_again(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []
    seen = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def fail() -> list[object]:
        tries.append(1)
        if len(tries) == 3:
            token.run_sync_soon(seen.set)
        raise OSError(errno.EROFS, "Read-only file system", "/run/ctl.requests")

    monkeypatch.setattr(controlled.inbox, "take", fail)
    with caplog.at_level(logging.WARNING):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controlled.requests.run)
            await seen.wait()
            nursery.cancel_scope.cancel()
    assert caplog.messages == ["job-runtime ctl does not reach this run: /run/ctl.requests: Read-only file system"]


# ---------------------------------------------------------------------- the command


@contextmanager
def answering(run_dir: Path, answer: Answer) -> Iterator[list[RunRequest | None]]:
    """Answer what is asked of a run for a block, in a thread, as the run would; yield the requests."""
    roots = Roots(str(run_dir))
    roots.open()
    inbox, asked = Inbox(roots.run), list[RunRequest | None]()
    inbox.take()
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.01):
            for received in inbox.take():
                asked.append(received.request)
                inbox.answer(received.id, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with held(run_dir):
            yield asked
    finally:
        over.set()
        thread.join()
        roots.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kill", "a", "b"], {"action": "kill", "jobs": ("a", "b")}),
        (["kill", "--force", "a"], {"action": "kill", "jobs": ("a",), "force": True}),
        (["stop"], {"action": "stop"}),
        (["stop", "--force"], {"action": "stop", "force": True}),
        (["drain"], {"action": "drain"}),
        (["pause"], {"action": "pause"}),
        (["resume"], {"action": "resume"}),
        (["limit", "licence=2"], {"action": "limit", "resource": "licence", "limit": 2}),
        (["limit", "a=b=unlimited"], {"action": "limit", "resource": "a=b"}),
    ],
)
def test_the_words_of_the_command_are_what_the_run_is_asked(
    here: Here, tmp_path: Path, words: list[str], expected: dict[str, object]
) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None)
    with answering(run_dir, Answer(True, "it is done\x1b[2J")) as asked:
        done = here("ctl", "latest", *words)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{NAME}: it is done\\x1b[2J\n"
    assert asked == [RunRequest(host=os.uname().nodename, **expected)]  # type: ignore[arg-type]  # by their names


def test_what_the_run_refuses_is_wrong_input(here: Here, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None)
    with answering(run_dir, Answer(False, "there is no job 'b'")):
        done = here("ctl", NAME, "kill", "b")
    assert (done.code, done.out, done.err) == (2, "", f"job-runtime: {NAME}: there is no job 'b'\n")


@pytest.mark.parametrize("ended", [5.5, None])
def test_a_run_that_nobody_runs_cannot_be_asked(here: Here, tmp_path: Path, ended: float | None) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=ended)
    done = here("ctl", "latest", "pause")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"job-runtime: {run_dir} does not run: it has ended or died")


def test_a_run_that_has_just_begun_takes_no_requests_yet(here: Here, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None)
    with held(run_dir):
        done = here("ctl", "latest", "pause")
    assert (done.code, done.err) == (1, f"job-runtime: {run_dir} takes no requests: it has just begun, or ends\n")


def test_a_run_that_does_not_answer_is_named(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None)
    (run_dir / DIRECTORY_NAME).mkdir()
    monkeypatch.setattr(sender.Request.wait, "__defaults__", (0.0,))
    with held(run_dir):
        done = here("ctl", "latest", "pause")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"job-runtime: {run_dir}: process {os.getpid()} does not answer: it has not looked for requests for 0 s; the"
        " request is withdrawn\n"
    )
    assert os.listdir(run_dir / DIRECTORY_NAME) == []


@pytest.mark.parametrize("what", ["link", "file", "fifo"])
def test_what_a_job_puts_in_the_place_of_the_directory_is_not_followed(here: Here, tmp_path: Path, what: str) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None)
    (tmp_path / "precious").mkdir()
    make: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(tmp_path / "precious"),
        "file": Path.touch,
        "fifo": os.mkfifo,
    }
    make[what](run_dir / DIRECTORY_NAME)
    with held(run_dir):
        done = here("ctl", "latest", "stop")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("is no directory; the run cannot be asked\n")
    assert os.listdir(tmp_path / "precious") == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["latest"], "the following arguments are required: ACTION"),
        (["latest", "halt"], "invalid choice: 'halt'"),
        (["latest", "kill"], "the following arguments are required: JOB"),
        (["latest", "limit", "licence"], "'licence' is given; expected NAME=N or NAME=unlimited"),
        (["latest", "limit", "licence=-1"], "'-1' is given; expected a whole number from 0"),
        (["nobody", "stop"], 'RUN is "nobody"; expected the name of a run'),
        (["latest", "stop"], "there is no run in "),
    ],
)
def test_wrong_words_are_one_line(here: Here, words: list[str], complaint: str) -> None:
    done = here("ctl", *words)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err
    assert done.err.count("\n") == 1


def test_an_exported_run_cannot_be_asked(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    here("export")
    done = here("ctl", f"{NAME}.tar.gz", "stop")
    assert done.code == 2
    assert "which was exported; expected the directory of a run that runs" in done.err


# ---------------------------------------------------------------------- two programs


def test_a_run_is_paused_and_stopped_from_another_process(here: Here, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"first": {"cmd": f"echo > {fifo.path}; exec sleep 1000"}, "then": {"cmd": "true", "needs": ["first"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        fifo.hear()
        paused = here("ctl", "latest", "pause")
        assert (paused.code, paused.err) == (0, "")
        assert paused.out.endswith(": launching is paused; 1 job goes on\n")
        wait_for(program.stdout, "launching is paused; 1 job goes on")
        assert here("ctl", "latest", "stop").code == 0
        done = end_of(program)
    assert (done.code, done.err) == (1, "")
    document = results(tmp_path)
    assert [each["action"] for each in document["segments"][0]["requests"]] == ["pause", "stop"]
    assert document["stopped_by"] == document["segments"][0]["requests"][0]["by"]
    assert [each["status"] for each in document["jobs"]] == ["killed", "killed"]


@pytest.mark.root
def test_another_user_is_refused_and_the_run_notices_nothing(here: Here, tmp_path: Path) -> None:
    # With the permission to read everything, as it must find Python; what is refused is to write.
    caps = [f"--{each}-caps=+dac_read_search" for each in ("inh", "ambient")]
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *caps]
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": f"echo > {fifo.path}; exec sleep 1000"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        fifo.hear()
        refused = end_of(start(tmp_path, words=[*become, *command("ctl", "latest", "stop")], env=UNMEASURED))
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.endswith(": it belongs to the user 0; expected a run of one's own\n")
        box = tmp_path / "results" / "latest" / DIRECTORY_NAME
        put = end_of(start(tmp_path, words=[*become, "touch", f"{box}/{'0' * 32}.request"]))
        assert "Permission denied" in put.err
        assert os.listdir(box) == []
        assert here("ctl", "latest", "stop", "--force").code == 0
        assert end_of(program).code == 1
    (request,) = results(tmp_path)["segments"][0]["requests"]
    assert (request["action"], request["force"]) == ("stop", True)
    assert request["by"].startswith("ctl of root on ")
