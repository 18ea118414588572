"""`BatchJob`: a live job of a batch backend, with its element and its files."""

from __future__ import annotations

import math
from collections.abc import Hashable

import attrs
import trio

from runtime.backend.batch.element import Element
from runtime.backend.batch.job_files import Member
from runtime.backend.contract.live import LiveJob
from runtime.backend.job_paths import RootedJobPaths
from runtime.backend.launch_progress import LaunchProgress
from runtime.process import SoftStep


@attrs.define(eq=False)
class BatchJob:
    """A live job whose files are ready. The `data` of its `LiveJob`, from its submission on."""

    live: LiveJob
    element: Element
    paths: RootedJobPaths
    soft: SoftStep | None
    request: Hashable
    """What it requests from the system; jobs with equal requests may share an array. `None` if an earlier process of
    the run has submitted it, and the system would not accept that today."""
    progress: LaunchProgress
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """The scope of its verdict and its `post_finish`; a kill gives it a deadline."""

    @property
    def soft_seconds(self) -> float:
        """The most seconds of its soft step; 0: it has none."""
        if self.soft is None:
            return 0.0
        return math.inf if self.soft.seconds is None else self.soft.seconds

    @property
    def member(self) -> Member:
        """What the store writes down about it."""
        return Member(self.live.spec, self.live.attempt, self.element.token, self.paths)
