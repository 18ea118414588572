"""Launchers for `test_isolated`, which another process imports. What they do is in the job's command."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from runtime.backends.legacy import ErrorMessage, LauncherBusyError
from runtime.job import JobStatus


class FarLauncher:
    """``<step>:<what>`` does that in that step; anything else passes at the second poll."""

    poll_freq = 0

    def __init__(self, job: Any) -> None:
        self.job = job
        self.polls = 0
        self.launches = 0
        self.killed = False
        self.job_runtime: Any = None
        self.fail_msg: Any = None
        self._act("build")

    def launch(self) -> None:
        self.launches += 1
        self._act("launch")

    def poll(self) -> Any:
        self.polls += 1
        answer = self._act("poll")
        if answer is not None:
            return answer
        return JobStatus.PASSED if self.polls > 1 else JobStatus.RUNNING

    def kill(self) -> None:
        self._act("kill")

    def _act(self, now: str) -> Any:
        step, _, what = self.job.cmd.partition(":")
        if step != now:
            return JobStatus.RUNNING if step == "kill" else None
        return getattr(self, "do_" + what.replace(" ", "_"))()

    def do_where(self) -> Any:
        self.fail_msg = ErrorMessage(f"{os.getpid()} {os.getsid(0)}", 7, ("one", "two"))
        self.job_runtime = 2.5
        return JobStatus.FAILED

    def do_raise(self) -> None:
        raise PermissionError(13, "not yours")

    def do_system_exit(self) -> None:
        raise SystemExit(3)

    def do_busy(self) -> None:
        if self.launches == 1:
            msg = "full"
            raise LauncherBusyError(msg)

    def do_die(self) -> None:
        os._exit(3)

    def do_crash(self) -> None:
        ctypes.string_at(0)

    def do_hold(self) -> None:
        """Keep the interpreter's lock for ever; and say so, if there is a place for it."""
        if self.job.odir:
            Path(self.job.odir).touch()
        ctypes.PyDLL(None).pause()

    def do_run(self) -> Any:
        return JobStatus.RUNNING

    def do_child(self) -> Any:
        """Start a child, and die."""
        child = subprocess.Popen(["sleep", "1000"])
        Path(self.job.odir).write_text(str(child.pid))
        os._exit(4)

    def do_hang(self) -> None:
        while True:
            time.sleep(100)

    def do_chdir(self) -> None:
        os.chdir("/")

    def do_quietly(self) -> None:
        Path(self.job.odir).write_text("killed")


class UnimportableLauncher(FarLauncher):
    """Cannot be found by its name."""


UnimportableLauncher.__qualname__ = "Elsewhere"
