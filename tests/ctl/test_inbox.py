"""The requests in the directory of a run: what is taken, and what a job may put there instead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.ctl import inbox as inbox_module
from runtime.ctl.inbox import DIRECTORY_NAME, MAX_ENTRIES, MAX_TAKEN, Inbox, Received
from runtime.ctl.messages import MAX_CONTENT, Answer, RunRequest
from runtime.ctl.sender import NoAnswerError, NotOwnerError, Request, check_owner
from runtime.roots import Roots

NOBODY = 65534
PAUSE = RunRequest(action="pause", host="node7")


class Box:
    """The directory of the requests to a run, as the run sees it, and as files."""

    def __init__(self, roots: Roots) -> None:
        self.run = roots.run
        self.inbox = Inbox(roots.run)
        self.path = Path(str(roots.run)) / DIRECTORY_NAME
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"{self.count:032x}"

    def put(self, content: bytes = PAUSE.to_content()) -> Path:
        path = self.path / f"{self.name()}.request"
        path.write_bytes(content)
        return path

    def take(self) -> list[Received]:
        return self.inbox.take()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    box = Box(roots)
    assert box.take() == []
    yield box
    roots.close()


def test_the_directory_is_for_its_owner_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        roots = Roots(str(tmp_path / "run"))
        roots.open()
        Inbox(roots.run).take()
        roots.close()
    finally:
        os.umask(before)
    assert (tmp_path / "run" / DIRECTORY_NAME).stat().st_mode & 0o7777 == 0o700


def test_a_request_is_taken_once_and_answered(box: Box) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()
    (received,) = box.take()
    assert received.request == PAUSE
    assert received.by.startswith("ctl of ")
    assert received.by.endswith(" on node7")
    assert box.take() == []
    box.inbox.answer(received.id, Answer(True, "it is"))
    assert sent.wait(0) == Answer(True, "it is")
    assert os.listdir(box.path) == []


@pytest.mark.root
def test_root_asks_the_run_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", NOBODY, NOBODY)
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    box = Box(roots)
    with user(NOBODY):
        assert box.take() == []
    sent = Request(box.run, PAUSE)
    check_owner(box.run)
    before = os.umask(0o077)
    try:
        sent.send()
    finally:
        os.umask(before)
    with user(NOBODY):
        (received,) = box.take()
        box.inbox.answer(received.id, Answer(True, "it is"))
    assert (received.request, received.by) == (PAUSE, "ctl of root on node7")
    assert sent.wait(0) == Answer(True, "it is")
    assert os.listdir(box.path) == []
    roots.close()


@contextmanager
def user(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_an_earlier_process_of_the_run_has_left_is_removed(box: Box) -> None:
    box.put()
    later = Inbox(box.run)
    assert later.take() == []
    assert os.listdir(box.path) == []


def test_the_directory_goes_with_the_run_unless_somebody_has_to_read_an_answer(box: Box) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()
    (received,) = box.take()
    box.inbox.answer(received.id, Answer(True, "it is"))
    box.inbox.close()
    assert sent.wait(0) == Answer(True, "it is")
    box.inbox.close()
    assert not box.path.exists()
    box.inbox.close()


def test_a_run_that_ends_in_between_is_told(box: Box) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()
    box.take()
    box.inbox.close()
    with pytest.raises(NoAnswerError, match="it has ended before it answered"):
        sent.wait(5)


def test_a_directory_that_a_job_has_removed_is_made_again(box: Box) -> None:
    box.path.rmdir()
    assert box.take() == []
    box.put()
    assert len(box.take()) == 1


@pytest.mark.parametrize("what", ["directory", "link", "file", "fifo"])
def test_what_a_job_puts_in_the_place_of_the_directory_is_not_read_and_stays(
    box: Box, tmp_path: Path, what: str
) -> None:
    box.put()
    box.path.rename(tmp_path / "moved")
    if what == "directory":
        box.path.mkdir()
        box.put()
    elif what == "link":
        box.path.symlink_to(tmp_path / "moved")
    elif what == "file":
        box.path.write_text("")
    else:
        os.mkfifo(box.path)
    for _ in range(2):
        with pytest.raises(OSError, match=DIRECTORY_NAME):
            box.take()
    box.inbox.close()
    assert os.path.lexists(box.path)
    assert len(os.listdir(tmp_path / "moved")) == 1


def test_neither_a_fifo_nor_a_link_nor_a_socket_is_read_or_waited_for(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_bytes(PAUSE.to_content())
    (box.path / f"{box.name()}.request").symlink_to(tmp_path / "precious")
    os.mkfifo(box.path / f"{box.name()}.request")
    (box.path / f"{box.name()}.request").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        server.bind("socket")
        os.rename("socket", box.path / f"{box.name()}.request")
        assert box.take() == []
    assert [path.is_dir() for path in box.path.iterdir()] == [True]  # the others are removed
    assert (tmp_path / "precious").exists()
    box.put()
    assert [received.request for received in box.take()] == [PAUSE]


def test_other_names_are_not_looked_at(box: Box) -> None:
    names = ["x.request", f"{'A' * 32}.request", f"{'a' * 32}.new", f"{'a' * 33}.request", "\udcff.request"]
    for name in names:
        (box.path / name).write_bytes(PAUSE.to_content())
    assert box.take() == []
    assert sorted(os.listdir(box.path)) == sorted(names)


def test_a_file_of_any_size_is_read_to_the_limit(box: Box) -> None:
    path = box.put(b"")
    os.truncate(path, 100 << 30)
    (received,) = box.take()
    assert received.request is None
    assert received.problem == f"the request cannot be read: it has more than {MAX_CONTENT} bytes"


def test_however_many_files_there_are_only_so_many_are_looked_at(box: Box) -> None:
    for _ in range(MAX_ENTRIES + 1):
        box.put()
    taken = [len(box.take()) for _ in range(MAX_ENTRIES // MAX_TAKEN + 2)]
    assert taken[:100] == [MAX_TAKEN] * 100
    assert sum(taken) == MAX_ENTRIES + 1
    for number in range(MAX_ENTRIES):  # these hide every request
        (box.path / f"junk{number}").touch()
    assert len(box.take()) == 0


def test_of_requests_there_are_only_so_many_in_all(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_TOTAL", 3 * inbox_module.MIN_COUNTED)
    inbox = Inbox(box.run)
    inbox.take()
    for _ in range(5):
        box.put()
    assert [received.request is None for received in inbox.take()] == [False] * 3 + [True] * 2
    box.put()
    assert inbox.take()[0].problem == "this process of the run has had too many requests"


def test_a_request_that_cannot_be_removed_is_not_carried_out(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr("runtime.rooted.unlink", refuse)
        assert box.take() == []
    assert len(box.take()) == 1


def test_an_answer_replaces_what_a_job_has_put_there(box: Box, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (box.path / "1.answer").symlink_to(tmp_path / "precious")
    box.inbox.answer("1", Answer(True, "yes"))
    assert (tmp_path / "precious").read_text() == "precious"
    assert (box.path / "1.answer").stat().st_mode & 0o7777 == 0o600


@pytest.mark.root
def test_a_request_of_another_user_is_refused_whatever_the_permissions_are(box: Box) -> None:
    # A job has opened the directory for all; as the owner of the run is root here, root stands for the owner.
    box.path.chmod(0o777)
    path = box.put()
    os.chown(path, 4321, 4321)
    (received,) = box.take()
    assert (received.by, received.request) == ("ctl of the user 4321", None)
    assert received.problem == "it was sent by the user 4321; expected the owner of the run"


# ---------------------------------------------------------------------- the sender


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_request_that_nobody_takes_is_withdrawn(box: Box) -> None:
    sent, clock = Request(box.run, PAUSE), Clock()
    sent.send()
    with pytest.raises(NoAnswerError, match="it has not looked for requests for 5 s; the request is withdrawn"):
        sent.wait(5, clock=clock, sleep=clock.sleep)
    assert 5 <= clock.now < 6
    assert box.take() == []


def test_a_request_that_is_taken_and_not_answered_may_have_been_carried_out(box: Box) -> None:
    sent, clock = Request(box.run, PAUSE), Clock()
    sent.send()
    box.take()
    with pytest.raises(NoAnswerError, match="it has taken the request, and has not answered within 5 s"):
        sent.wait(5, clock=clock, sleep=clock.sleep)


def test_a_request_is_withdrawn_when_the_wait_is_interrupted(box: Box) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sent.wait(5, sleep=interrupt)
    assert os.listdir(box.path) == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"done":1,"text":"x"}', b"{" * MAX_CONTENT * 2])
def test_an_answer_that_a_job_has_written_is_told(box: Box, content: bytes) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()
    (received,) = box.take()
    (box.path / f"{received.id}.answer").write_bytes(content)
    with pytest.raises(NoAnswerError, match="its answer cannot be read"):
        sent.wait(0)


def test_an_answer_that_is_no_file_is_an_error_and_is_not_waited_for(box: Box) -> None:
    sent = Request(box.run, PAUSE)
    sent.send()
    (received,) = box.take()
    os.mkfifo(box.path / f"{received.id}.answer")
    with pytest.raises(OSError, match="is no regular file"):
        sent.wait(0)


def test_a_request_that_is_too_long_is_not_sent(box: Box) -> None:
    with pytest.raises(ValueError, match="expected at most 65536"):
        Request(box.run, RunRequest(action="kill", jobs=("x" * MAX_CONTENT,))).send()
    assert os.listdir(box.path) == []


def test_a_run_of_another_user_is_not_asked(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4321)
    with pytest.raises(NotOwnerError, match=rf"it belongs to the user {os.getuid()}; expected a run of one's own"):
        check_owner(box.run)
