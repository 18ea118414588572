"""Launchers for DVSim. For the other programs of this folder, and for those of ours that run in DVSim's environment."""

from __future__ import annotations

import time
from typing import Any

from dvsim.job.status import JobStatus
from dvsim.job.time import JobTime
from dvsim.launcher.base import Launcher


class Bare:
    """What DVSim's adapter and scheduler ask of a launcher, and no more."""

    variant = "bare"
    max_parallel = 0
    max_poll = 0
    poll_freq = 0.0
    fail_msg = None
    job_runtime = JobTime()
    simulated_time = JobTime()

    def __init__(self, job: Any) -> None:
        """Take the job."""

    def launch(self) -> None:
        """Do nothing."""

    def poll(self) -> Any:
        """Pass."""
        return JobStatus.PASSED

    def kill(self) -> None:
        """Be there."""


class Derived(Launcher):  # type: ignore[misc]  # a class of DVSim's, which is not there when types are checked
    """The least that can be made of DVSim's base class."""

    variant = "derived"
    poll_freq = 0

    @staticmethod
    def prepare_workspace(cfg: Any) -> None:
        """Do nothing."""

    @staticmethod
    def prepare_workspace_for_cfg(cfg: Any) -> None:
        """Do nothing."""

    def launch(self) -> None:
        """Leave out what every launch does: it makes directories, and that is not the question."""

    def _do_launch(self) -> None:
        """Be there."""

    def poll(self) -> Any:
        """Pass."""
        return JobStatus.PASSED

    def kill(self) -> None:
        """Be there."""


class Blocking(Bare):
    """Its polls take 5 ms each, and it passes at its second."""

    def __init__(self, job: Any) -> None:
        """Take the job."""
        super().__init__(job)
        self._polls = 0

    def poll(self) -> Any:
        """Block, then say how far it is."""
        time.sleep(0.005)
        self._polls += 1
        return JobStatus.PASSED if self._polls == 2 else JobStatus.RUNNING


class Slow(Bare):
    """It runs until it is killed, and its kill takes 0.1 s."""

    poll_freq = 0.1

    def poll(self) -> Any:
        """Run for ever."""
        return JobStatus.RUNNING

    def kill(self) -> None:
        """Block."""
        time.sleep(0.1)
