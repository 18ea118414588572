"""Assertions that say what was found and what was expected. They also work under `python -O`, unlike `assert`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.job import FailureKind, JobCompletionEvent, JobStatus


def expect(condition: object, message: str) -> None:
    """Raise `AssertionError` with `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


def expect_equal(found: object, expected: object, what: str) -> None:
    """Raise `AssertionError` unless `found` equals `expected`."""
    expect(found == expected, f"{what}: found {found!r}, expected {expected!r}")


def expect_status(event: JobCompletionEvent, status: JobStatus, *kinds: FailureKind) -> None:
    """Raise `AssertionError` unless `event` has this status, and one of these kinds if there are any."""
    expect(event.status is status, f"{event.job_id!r} should end {status.name}: {event!r}")
    if kinds:
        names = " or ".join(kind.value for kind in kinds)
        expect(event.reason is not None and event.reason.kind in kinds, f"the kind should be {names}: {event!r}")


@contextmanager
def expect_raises(error: type[BaseException], why: str) -> Iterator[None]:
    """Raise `AssertionError` unless the block raises `error`; anything else that it raises passes through."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"expected {error.__name__}: {why}")
