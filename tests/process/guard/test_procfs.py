from __future__ import annotations

import os
import signal
import subprocess

from runtime.process.guard import procfs


def test_children_are_found_in_both_ways() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in procfs.children()
        assert sorted(procfs.children()) == sorted(procfs._children_by_parent("self"))
        assert procfs.children(child.pid) == procfs._children_by_parent(child.pid) == []
        assert procfs.parent_of(child.pid) == os.getpid()
    assert child.pid not in procfs.children()
    assert procfs.children(child.pid) == []
    assert procfs.parent_of(child.pid) == 0


def test_what_a_process_ignores_is_known_and_a_zombie_ignores_all() -> None:
    script = "trap '' USR1; echo ready; read line"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert procfs.ignores(shell.pid, signal.SIGUSR1)
        assert not procfs.ignores(shell.pid, signal.SIGUSR2)
        assert not procfs.ignores(shell.pid, signal.SIGRTMAX)
        shell.kill()
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.ignores(shell.pid, signal.SIGUSR2)
    assert procfs.ignores(shell.pid, signal.SIGUSR2)
