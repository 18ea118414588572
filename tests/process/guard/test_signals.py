from __future__ import annotations

import os
import signal
import subprocess

import pytest

from runtime.process.guard import procfs, signals


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
            patch.setattr(procfs, "children", lambda pid="self", threads=0: tree.get(pid, []))
            signals.signal_tree(procfs.children(), signal.SIGKILL)
        held = os.pidfd_open(other_pid)  # it is alive
        assert procfs.parent_of(other_pid) in (other.pid, 1)
        os.close(held)
        os.kill(other_pid, signal.SIGTERM)
        other.terminate()


def test_programs_that_forward_signals_are_known_by_name_and_child() -> None:
    with subprocess.Popen(["timeout", "1000", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as timeout:
        assert timeout.stdin is not None
        assert timeout.stdout is not None
        timeout.stdin.write(b"runs\n")
        timeout.stdin.flush()
        timeout.stdout.readline()
        found = list(procfs.with_descendants(procfs.read_entries([timeout.pid])))
        assert [process.name for process in found] == [b"timeout", b"cat"]
        assert signals.forwarders(found) == {timeout.pid}
        assert signals.forwarders(found[:1]) == signals.forwarders(found[1:]) == set()
