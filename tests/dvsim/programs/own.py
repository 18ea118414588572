"""A small launcher on DVSim's base class, with DVSim's jobs and, through the view, with ours."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from dvsim.job.status import JobStatus as TheirStatus
from dvsim.launcher.base import ErrorMessage, Launcher, LauncherBusyError, LauncherError

from runtime import JobSpec
from runtime.backend.legacy import DVSimView
from tests.dvsim.programs.common import main, run_jobs, their_job

VERILATOR = "- Verilator: $finish at 12us; walltime 3.500 s; speed 1 us/s"


class ShellLauncher(Launcher):  # type: ignore[misc]  # DVSim is not installed where types are checked
    """Runs each job as a process, like the local launcher of older versions of DVSim."""

    prepared: ClassVar[list[Any]] = []
    given: ClassVar[dict[str, Any]] = {}
    busy: ClassVar[set[str]] = set()

    @staticmethod
    def prepare_workspace(cfg: Any) -> None:
        ShellLauncher.prepared.append(cfg)

    @staticmethod
    def prepare_workspace_for_cfg(cfg: Any) -> None:
        ShellLauncher.prepared.append(cfg)

    def __init__(self, job_spec: Any) -> None:
        super().__init__(job_spec)
        self.given[job_spec.full_name] = job_spec

    def _do_launch(self) -> None:
        if self.job_spec.full_name.endswith("refused"):
            raise LauncherError("no such queue")
        if self.job_spec.name in self.busy:
            raise LauncherBusyError("come again")
        self._dump_env_vars(self.job_spec.exports)
        with self.job_spec.log_path.open("w") as log:
            self.process = subprocess.Popen(
                self.job_spec.cmd,
                shell=True,
                cwd=self.job_spec.odir,
                stdout=log,
                stderr=log,
                env=dict(self.job_spec.exports) or None,
                start_new_session=True,
            )

    def poll(self) -> TheirStatus:
        self.exit_code = self.process.poll()
        if self.exit_code is None:
            return TheirStatus.RUNNING
        status, message = self._check_status()
        self._post_finish(status, message)
        return self.status

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # a poll has reaped it
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._post_finish(TheirStatus.KILLED, ErrorMessage(line_number=None, message="Job killed!", context=[]))


def broken(*_: object) -> None:
    raise RuntimeError("the hook is broken")


def theirs(directory: Path) -> dict[str, Any]:
    """Run jobs of DVSim's."""
    seen: list[str] = []
    started = directory / "started"
    jobs = [
        their_job(
            directory,
            "passes",
            "echo TEST PASSED",
            pass_patterns=["^TEST PASSED"],
            post_finish=lambda status: seen.append(status.name),
        ),
        their_job(directory, "says_no", "echo one; echo UVM_ERROR two; echo three", fail_patterns=["^UVM_ERROR"]),
        their_job(directory, "says_nothing", "true", pass_patterns=["^TEST PASSED"]),
        their_job(directory, "exits_3", "echo why; exit 3"),
        their_job(directory, "build_timed", f"echo '{VERILATOR}'"),
        their_job(directory, "bad_hook", "true", post_finish=broken),
        their_job(directory, "bad_start", "true", pre_launch=broken),
        their_job(directory, "refused", "true"),
        their_job(directory, "unknown_tool_build", "true", tool="abacus"),
        their_job(directory, "too_long", "sleep 1000", timeout_mins=0.005),
        their_job(directory, "killed", f"touch {started}; sleep 1000"),
    ]
    run = run_jobs(ShellLauncher, jobs, kill={"aes:killed": started})
    untouched = {job.name: ShellLauncher.given[job.full_name] is job for job in jobs}
    return {**run, "untouched": untouched, "hook": seen, "prepared": len(ShellLauncher.prepared)}


def ours(directory: Path) -> dict[str, Any]:
    """Run the same jobs as ours, converted by the view."""
    seen: list[str] = []
    started = directory / "started"
    jobs = [
        JobSpec(
            name="passes",
            cmd=["echo", "it's  TEST PASSED"],
            pass_patterns=["TEST PASSED$"],
            exports={"WORD": "a b"},
            timeout=90,
            pre_launch=lambda: seen.append("before"),
            post_finish=lambda status: seen.append(repr(status)),
        ),
        JobSpec(name="says_no", cmd="echo UVM_ERROR two", fail_patterns=["^UVM_ERROR"]),
        JobSpec(name="exits_3", cmd="exit 3"),
        JobSpec(name="simulates", cmd="true", job_type="RunTest"),
        JobSpec(name="exports", cmd='test "$WORD" = "a b"', exports={"WORD": "a b"}),
        JobSpec(name="bad_hook", cmd="true", post_finish=broken),
        JobSpec(name="too_long", cmd="sleep 1000", timeout=0.3),
        JobSpec(name="killed", cmd=f"touch {started}; sleep 1000"),
    ]
    run = run_jobs(ShellLauncher, jobs, kill={"killed": started}, view=DVSimView(directory, project="uart"))
    shown = ShellLauncher.given["passes"]
    return {
        **run,
        "hook": seen,
        "shown": {
            "cmd": shown.cmd,
            "block": shown.block.name,
            "tool": shown.tool.name,
            "timeout_mins": shown.timeout_mins,
            "odir": str(shown.odir),
            "scratch": str(shown.workspace_cfg.scratch_path),
            "variables": (shown.odir / "env_vars").read_text(),
        },
        "prepared": len(ShellLauncher.prepared),
    }


def times(directory: Path) -> dict[str, Any]:
    """Run a job of ours with a view that names a simulator, so that DVSim's plug-in reads the times in the log."""
    job = JobSpec(name="timed", cmd=f"echo '{VERILATOR}'", job_type="RunTest")
    return run_jobs(ShellLauncher, [job], view=DVSimView(directory, tool="verilator"))


def facts(directory: Path) -> dict[str, Any]:
    (directory / "theirs").mkdir()
    return {"theirs": theirs(directory / "theirs"), "ours": ours(directory), "times": times(directory)}


if __name__ == "__main__":
    main(facts)
