from __future__ import annotations

import ast
import errno
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import rooted
from runtime.process import supervisor_program as far

LONGEST_ERROR = max(map(os.strerror, errno.errorcode), key=len)


@pytest.mark.parametrize("path", [far.__file__, rooted.__file__])
def test_it_imports_the_standard_library_alone(path: str) -> None:
    """And a file that does, too."""
    tree = ast.parse(Path(path).read_text())
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.name in {*sys.stdlib_module_names, "rooted"} for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert str(node.module).partition(".")[0] in {*sys.stdlib_module_names, "__future__"}


def test_a_frame_may_come_in_pieces_and_several_in_one() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = far.Frames(theirs)
        data = far.frame("a", 1) + far.frame("b", b"x" * 100) + far.frame("c")
        ours.sendall(data[:3])
        assert frames.receive() == []
        ours.sendall(data[3:-1])
        assert frames.receive() == [("a", 1), ("b", b"x" * 100)]
        ours.sendall(data[-1:])
        assert frames.receive() == [("c",)]
        ours.close()
        with pytest.raises(far.Gone):
            frames.receive()


@pytest.mark.parametrize(
    "answer",
    [
        (far.ENDED, 1 << 31, 1 << 62, 0xFFFF, 1e9, 1 << 62, True, "its shim was ended", True, b"x" * far.SHORT_LOG),
        (far.NOT_STARTED, 1 << 31, 1 << 62, errno.ENOENT, b"x" * far._ROOM, LONGEST_ERROR),
        (far.NOT_STARTED, 1 << 31, 1 << 62, None, b"", "\U0001f600" * far._LONG),
        (far.STUCK, 1 << 31, 1 << 62, [1 << 22] * far._MANY_PIDS),
        (far.DEAD, 1 << 31, 0xFFFF, [1 << 22] * far._MANY_PIDS),
    ],
    ids=lambda answer: answer[0],
)
def test_the_longest_answers_get_into_the_pipe_as_a_whole(answer: tuple[object, ...]) -> None:
    assert far.SHORT_LOG // 2 < len(far.frame(*answer)) <= far.PIPE_BUF <= select.PIPE_BUF


def test_a_descriptor_that_comes_with_a_frame_is_not_for_programs(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "file", "w") as file:
        frames = far.Frames(theirs)
        socket.send_fds(ours, [far.frame("a")], [file.fileno()])
        assert frames.receive() == [("a",)]
        (fd,) = frames.fds
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_children_are_found_in_both_ways() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in far.children()
        assert sorted(far.children()) == sorted(far._children_by_parent("self"))
        assert far.children(child.pid) == far._children_by_parent(child.pid) == []
        assert far.parent_of(child.pid) == os.getpid()
    assert child.pid not in far.children()
    assert far.children(child.pid) == []
    assert far.parent_of(child.pid) == 0


def test_who_has_got_the_number_of_a_descendant_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        subprocess.Popen(["true"]) as gone,
        subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as other,
    ):
        assert other.stdout is not None
        os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # a zombie: its number is nobody else's
        stranger = int(other.stdout.readline())
        # As if `gone` had had a child of this number when it was looked at.
        tree: dict[int | str, list[int]] = {"self": [gone.pid], gone.pid: [stranger]}
        with monkeypatch.context() as patch:
            patch.setattr(far, "children", lambda pid="self", threads=0: tree.get(pid, []))
            far.signal_tree(far.children(), signal.SIGKILL)
        held = os.pidfd_open(stranger)  # it is there
        assert far.parent_of(stranger) in (other.pid, 1)
        os.close(held)
        os.kill(stranger, signal.SIGTERM)
        other.terminate()


def test_what_a_process_ignores_is_known_and_a_zombie_ignores_all() -> None:
    script = "trap '' USR1; echo ready; read line"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert far.ignores(shell.pid, signal.SIGUSR1)
        assert not far.ignores(shell.pid, signal.SIGUSR2)
        assert not far.ignores(shell.pid, signal.SIGRTMAX)
        shell.kill()
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert far.ignores(shell.pid, signal.SIGUSR2)
    assert far.ignores(shell.pid, signal.SIGUSR2)


def test_who_forwards_what_it_gets_is_known_by_name_and_child() -> None:
    with subprocess.Popen(["timeout", "1000", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as timeout:
        assert timeout.stdin is not None
        assert timeout.stdout is not None
        timeout.stdin.write(b"runs\n")
        timeout.stdin.flush()
        timeout.stdout.readline()
        found = list(far.tree(far.processes([timeout.pid])))
        assert [process.name for process in found] == [b"timeout", b"cat"]
        assert far.forwarders(found) == {timeout.pid}
        assert far.forwarders(found[:1]) == far.forwarders(found[1:]) == set()


def test_a_program_is_looked_up_in_the_path_of_its_environment(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("no program")
    output = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        path = {b"PATH": b"/no/such/place:" + os.fsencode(tmp_path) + b":/bin:/usr/bin"}
        pid = far.start([b"sh", b"-c", b"echo $0 $#"], path, output)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(FileNotFoundError) as missing:
            far.start([b"no-such-program"], path, output)
        assert missing.value.filename == b"no-such-program"
        with pytest.raises(PermissionError) as refused:
            far.start([b"refused"], path, output)
        assert refused.value.filename == b"refused"
    finally:
        os.close(output)
    assert (tmp_path / "out").read_text() == "sh 0\n"
