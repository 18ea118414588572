"""`Failure`: what a call of foreign code raised, as plain values.

The exception itself stays in the thread that caught it, and is released there: its traceback refers to the launcher,
and dropping the last reference to a launcher runs its `__del__`.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Final

import attrs

from runtime.backend.legacy.duck_typing import describe, is_busy

if TYPE_CHECKING:
    from runtime.backend.legacy.isolated import LauncherProcess

# The descriptors of the base classes: a subclass may override these attributes with properties that raise.
_CAUSE: Final[GetSetDescriptorType] = vars(BaseException)["__cause__"]
_CONTEXT: Final[GetSetDescriptorType] = vars(BaseException)["__context__"]
_MEMBERS: Final[MemberDescriptorType] = vars(BaseExceptionGroup)["exceptions"]


@attrs.frozen
class Failure:
    """Why a call failed."""

    why: str
    """The type and the text of the exception, in bounded length."""
    is_busy: bool = False
    """Whether the exception says that the launcher is busy."""
    exit_code: int | None = None
    """The exit code of a `SystemExit`."""
    dead_process: LauncherProcess | None = None
    """The process of isolated launchers, if the call failed because that has ended."""


class FailedCallError(Exception):
    """Raised by a proxy of a launcher: the call failed in the launcher's process, for this reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """Describe what foreign code raised; never raises. Runs foreign code, so call it in the launcher's thread."""
    if isinstance(error, FailedCallError):
        return error.failure
    try:
        return Failure(describe(error), is_busy(error), _exit_code(error) if isinstance(error, SystemExit) else None)
    except BaseException:  # noqa: BLE001 - a class of exceptions whose own attributes raise
        return Failure("an exception that cannot be described")
    finally:
        _cut_tracebacks(error)


def _cut_tracebacks(error: BaseException) -> None:
    """Remove the tracebacks from an exception, its causes and its contexts.

    A function that keeps its exception in a variable makes a cycle of exception, traceback and frame. Python's cyclic
    collector could free that in any thread, the event loop's included, and run the launcher's `__del__` there.
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
