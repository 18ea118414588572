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
from runtime.process import supervisor_program as program

LONGEST_ERROR = max(map(os.strerror, errno.errorcode), key=len)


@pytest.mark.parametrize("path", [program.__file__, rooted.__file__])
def test_it_imports_the_standard_library_alone(path: str) -> None:
    """And `rooted`, which does so, too."""
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
        frames = program.Frames(theirs)
        data = program.frame("a", 1) + program.frame("b", b"x" * 100) + program.frame("c")
        ours.sendall(data[:3])
        assert frames.receive() == []
        ours.sendall(data[3:-1])
        assert frames.receive() == [("a", 1), ("b", b"x" * 100)]
        ours.sendall(data[-1:])
        assert frames.receive() == [("c",)]
        ours.close()
        with pytest.raises(program.EndOfStream):
            frames.receive()


@pytest.mark.parametrize(
    "answer",
    [
        (
            program.ENDED,
            *(1 << 31, 1 << 62, 0xFFFF, 1e9, 1 << 62, True, "its shim was ended", True),
            b"x" * program.SHORT_LOG,
        ),
        (program.NOT_STARTED, 1 << 31, 1 << 62, errno.ENOENT, b"x" * program._MAX_PART, LONGEST_ERROR),
        (program.NOT_STARTED, 1 << 31, 1 << 62, None, b"", "\U0001f600" * program._MAX_TEXT),
        (program.STUCK, 1 << 31, 1 << 62, [1 << 22] * program._MAX_PIDS),
        (program.DEAD, 1 << 31, 0xFFFF, [1 << 22] * program._MAX_PIDS),
    ],
    ids=lambda answer: answer[0],
)
def test_the_longest_answers_get_into_the_pipe_as_a_whole(answer: tuple[object, ...]) -> None:
    assert program.SHORT_LOG // 2 < len(program.frame(*answer)) <= program.PIPE_BUF <= select.PIPE_BUF


def test_a_descriptor_that_comes_with_a_frame_is_not_for_programs(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "file", "w") as file:
        frames = program.Frames(theirs)
        socket.send_fds(ours, [program.frame("a")], [file.fileno()])
        assert frames.receive() == [("a",)]
        (fd,) = frames.fds
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_children_are_found_in_both_ways() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in program.children()
        assert sorted(program.children()) == sorted(program._children_by_parent("self"))
        assert program.children(child.pid) == program._children_by_parent(child.pid) == []
        assert program.parent_of(child.pid) == os.getpid()
    assert child.pid not in program.children()
    assert program.children(child.pid) == []
    assert program.parent_of(child.pid) == 0


def test_a_process_with_the_reused_pid_of_a_descendant_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        subprocess.Popen(["true"]) as gone,
        subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as other,
    ):
        assert other.stdout is not None
        os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # a zombie: its pid is not reused
        other_pid = int(other.stdout.readline())
        # As if a child of `gone` had had this pid when the children were listed.
        tree: dict[int | str, list[int]] = {"self": [gone.pid], gone.pid: [other_pid]}
        with monkeypatch.context() as patch:
            patch.setattr(program, "children", lambda pid="self", threads=0: tree.get(pid, []))
            program.signal_tree(program.children(), signal.SIGKILL)
        held = os.pidfd_open(other_pid)  # it is alive
        assert program.parent_of(other_pid) in (other.pid, 1)
        os.close(held)
        os.kill(other_pid, signal.SIGTERM)
        other.terminate()


def test_what_a_process_ignores_is_known_and_a_zombie_ignores_all() -> None:
    script = "trap '' USR1; echo ready; read line"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert program.ignores(shell.pid, signal.SIGUSR1)
        assert not program.ignores(shell.pid, signal.SIGUSR2)
        assert not program.ignores(shell.pid, signal.SIGRTMAX)
        shell.kill()
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert program.ignores(shell.pid, signal.SIGUSR2)
    assert program.ignores(shell.pid, signal.SIGUSR2)


def test_programs_that_forward_signals_are_known_by_name_and_child() -> None:
    with subprocess.Popen(["timeout", "1000", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as timeout:
        assert timeout.stdin is not None
        assert timeout.stdout is not None
        timeout.stdin.write(b"runs\n")
        timeout.stdin.flush()
        timeout.stdout.readline()
        found = list(program.with_descendants(program.read_entries([timeout.pid])))
        assert [process.name for process in found] == [b"timeout", b"cat"]
        assert program.forwarders(found) == {timeout.pid}
        assert program.forwarders(found[:1]) == program.forwarders(found[1:]) == set()


def test_a_program_is_looked_up_in_the_path_of_its_environment(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("no program")
    output = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        path = {b"PATH": b"/no/such/place:" + os.fsencode(tmp_path) + b":/bin:/usr/bin"}
        pid = program.start([b"sh", b"-c", b"echo $0 $#"], path, output)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(FileNotFoundError) as missing:
            program.start([b"no-such-program"], path, output)
        assert missing.value.filename == b"no-such-program"
        with pytest.raises(PermissionError) as refused:
            program.start([b"refused"], path, output)
        assert refused.value.filename == b"refused"
    finally:
        os.close(output)
    assert (tmp_path / "out").read_text() == "sh 0\n"
