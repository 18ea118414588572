"""Assertions that say what was found and what was wanted, also when Python runs without its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.job import FailureKind, JobCompletionEvent, JobStatus


def want(condition: object, message: str) -> None:
    """Raise `AssertionError` with `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


def want_equal(found: object, wanted: object, what: str) -> None:
    """Raise `AssertionError` unless `found` equals `wanted`."""
    want(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def want_status(event: JobCompletionEvent, status: JobStatus, *kinds: FailureKind) -> None:
    """Raise `AssertionError` unless `event` has this status, and one of these kinds if there are any."""
    want(event.status is status, f"{event.job_id!r} should end {status.name}: {event!r}")
    if kinds:
        names = " or ".join(kind.value for kind in kinds)
        want(event.reason is not None and event.reason.kind in kinds, f"the kind should be {names}: {event!r}")


@contextmanager
def wanted(error: type[BaseException], why: str) -> Iterator[None]:
    """Raise `AssertionError` unless the block raises `error`; anything else that it raises passes through."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"wanted {error.__name__}: {why}")
