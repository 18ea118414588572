"""`no_job`: the `MakeJob` of sessions in which a test makes its jobs itself."""

from __future__ import annotations

from runtime.job.protocol import Specification
from runtime.testing.fixture import Behaviour


def no_job(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> Specification:  # noqa: A002 - see MakeJob
    """Raise: no check runs in such a session."""
    raise NotImplementedError
