"""`Dialect`: what a fake has of one batch system. All else is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from runtime.backend.batch import BatchBackend
from tests.slurm.fakes.controller import Controller
from tests.slurm.fakes.faults import Answer
from tests.slurm.fakes.jobs import Job


class CommandSet(Protocol):
    """The programs, on a controller."""

    wall: float
    """What to add to the controller's clock to have the wall time."""
    accounting: float | None
    """How many seconds accounting lags behind; `None` if there is none."""

    def needs_input(self, program: str, arguments: Sequence[str]) -> bool:
        """Whether a call reads a script from its standard input."""

    def no_contact(self, program: str) -> Answer | None:
        """Return what a program prints while the controller refuses connections; `None` if it needs none."""

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        directory: str,
        environment: Mapping[str, str],
        script: bytes = b"",
        *,
        only: Iterable[int] | None = None,
    ) -> Answer:
        """Do what a program does."""


@attrs.frozen
class Dialect:
    """One batch system."""

    programs: tuple[str, ...]
    submits: str
    """The program that submits."""
    commands: Callable[[Controller, float], CommandSet]
    environment: Callable[[Job], dict[str, str]]
    """Returns the variables that it sets for a job."""
    backend: Callable[..., BatchBackend]
    module: str
    """The module whose `Commands` the backend uses."""
    first_index: int = 0
    """Of an array."""
