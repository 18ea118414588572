"""Launchers for `test_isolated`, imported by another process. The job's command tells them what to do."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from runtime.backend.legacy import ErrorMessage, LauncherBusyError
from runtime.job import JobStatus


class CommandLauncher:
    """Does what the command ``<step>:<what>`` says in that step; with any other command the second poll says PASSED."""

    poll_freq = 0

    def __init__(self, job: Any) -> None:
        self.job = job
        self.polls = 0
        self.launches = 0
        self.killed = False
        self.child = 0
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

    def do_survive(self) -> Any:
        """Survive signals that are sent to every process; the reason is how a fork and a program ended by SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGXCPU):
            os.kill(os.getpid(), number)
        forked = multiprocessing.get_context("fork").Process(target=signal.pause)
        forked.start()
        forked.terminate()
        forked.join()
        program = subprocess.Popen(["sleep", "1000"])
        program.terminate()
        self.fail_msg = f"{forked.exitcode} {program.wait()}"
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
        """Hold the interpreter's lock for ever, and create the file `odir` before, if it is set."""
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

    def do_fork(self) -> Any:
        """Fork, and return in both processes; the job fails, with the exit code of the child as reason."""
        if self.child:
            self.fail_msg = f"the child ended with exit code {os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])}"
            return JobStatus.FAILED
        self.child = os.fork()
        return JobStatus.PASSED if self.child == 0 else JobStatus.RUNNING

    def do_forked_exit(self) -> Any:
        """The same, and the child raises `SystemExit`."""
        answer = self.do_fork()
        if self.child == 0:
            raise SystemExit(9)
        return answer

    def do_die_and_leave_a_fork(self) -> None:
        """Die, while a child has copies of all descriptors."""
        child = os.fork()
        if child == 0:
            while True:
                signal.pause()
        Path(self.job.odir).write_text(str(child))
        os._exit(5)

    def do_leave_a_child(self) -> None:
        Path(self.job.odir).write_text(str(subprocess.Popen(["sleep", "1000"]).pid))

    def do_alarm(self) -> Any:
        """Set an alarm, as launchers do that give a command five seconds; only the main thread may."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(5)
        signal.alarm(0)
        return JobStatus.PASSED

    def do_asyncio(self) -> Any:
        asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
        return JobStatus.PASSED

    def do_late_alarm(self) -> None:
        """Make a signal handler raise at some time after the call."""
        signal.signal(signal.SIGALRM, _raise)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    def do_inject(self) -> None:
        """Raise `SystemExit` in all threads of the process."""
        for thread in threading.enumerate():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))

    def do_hang(self) -> None:
        while True:
            time.sleep(100)

    def do_chdir(self) -> None:
        os.chdir("/")

    def do_quietly(self) -> None:
        Path(self.job.odir).write_text("killed")


def _raise(*_: object) -> None:
    msg = "too late"
    raise TimeoutError(msg)


class DroppedLauncher(CommandLauncher):
    """Writes the name of the thread that drops it to the file `odir`."""

    def __del__(self) -> None:
        with Path(self.job.odir).open("a") as file:
            file.write(threading.current_thread().name + "\n")


class UnimportableLauncher(CommandLauncher):
    """Cannot be imported by its name."""


UnimportableLauncher.__qualname__ = "Elsewhere"
