"""`Failure`: what a call of foreign code raised, as plain values.

The exception itself stays in the thread that caught it, and goes there: its traceback holds the launcher, and whoever
drops the last reference to a launcher runs its `__del__`.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from runtime.backend.legacy.duck_typing import describe, is_busy

_CAUSE: Final[Any] = vars(BaseException)["__cause__"]  # whatever a subclass has in its place
_CONTEXT: Final[Any] = vars(BaseException)["__context__"]
_MEMBERS: Final[Any] = vars(BaseExceptionGroup)["exceptions"]


@attrs.frozen
class Failure:
    """Why a call failed."""

    why: str
    """The type and the text of what was raised; bounded."""
    is_busy: bool = False
    """Whether it says that the launcher is busy."""
    exit_code: int | None = None
    """Of a `SystemExit`: the exit code that it asks for."""
    gone: Any = None
    """The process of isolated launchers, if that has ended and the launcher with it."""


class FailedCallError(Exception):
    """Raised by what stands for a launcher: the call failed in its process, for this reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """Describe what foreign code raised; never raises. Runs foreign code, so its place is in the launcher's thread."""
    if isinstance(error, FailedCallError):
        return error.failure
    try:
        return Failure(describe(error), is_busy(error), _exit_code(error) if isinstance(error, SystemExit) else None)
    except BaseException:  # noqa: BLE001 - a class of exceptions whose own attributes raise
        return Failure("an exception that cannot be described")
    finally:
        _cut_tracebacks(error)


def _cut_tracebacks(error: BaseException) -> None:
    """Take the tracebacks from an exception and from those behind it.

    A function that keeps its exception in a variable makes a circle of it, the traceback and its own frame. Python's
    collector would find that in any thread, the event loop's included, and drop the launcher there.
    """
    left, seen = [error], set[int]()
    while left:
        error = left.pop()
        if id(error) not in seen:
            seen.add(id(error))
            BaseException.with_traceback(error, None)
            behind = _CAUSE.__get__(error), _CONTEXT.__get__(error)
            left += [other for other in behind if other is not None]
            if isinstance(error, BaseExceptionGroup):
                left += _MEMBERS.__get__(error)


def _exit_code(error: SystemExit) -> int:
    """Return the exit code that the interpreter would end with."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1
