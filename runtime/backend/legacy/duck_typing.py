"""Recognises foreign objects by duck typing, never by import: statuses, exceptions, failure messages, limits.

A status is recognised by its `name`, an exception by the name of a class in its MRO, a failure message and a run time
by their attributes, a launcher's limits by the attributes of its class. All functions here run foreign code
(properties, `__str__`, descriptors), so they are called in the thread that called the launcher, and may raise.

Every foreign text is shortened where it enters (`LONGEST_TEXT`, `LONGEST_NAME`, `MAX_LINES`): it is copied into events,
into ``results.json`` and to the screen, and a launcher may use a whole log as its reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import GetSetDescriptorType
from typing import Any, Final

from runtime.backend.contract.backend import check_limit
from runtime.backend.legacy.launcher import LauncherError
from runtime.job import JobStatus, JobStatusInfo, JobUsage
from runtime.job.numbers import SECONDS_PER_UNIT, is_number
from runtime.job.protocol import timeout_of
from runtime.job.shorten import shorten

STATUS_BY_NAME: Final[dict[str, JobStatus]] = {
    "SCHEDULED": JobStatus.QUEUED,
    "QUEUED": JobStatus.QUEUED,
    "PENDING": JobStatus.QUEUED,
    "DISPATCHED": JobStatus.RUNNING,  # older versions of DVSim call this state RUNNING
    "RUNNING": JobStatus.RUNNING,
    "PASSED": JobStatus.PASSED,
    "FAILED": JobStatus.FAILED,
    "KILLED": JobStatus.KILLED,
}
"""From the name of a status that a poll may return to ours."""

LONGEST_TEXT: Final = 4000
"""Characters of a foreign message that are kept. Arbitrary: ten times as many would let a log pass as a message, a
tenth would cut assertion messages."""

LONGEST_NAME: Final = 200
"""Characters of a foreign name that are kept: of a class, a variant. Arbitrary: many times the usual length; a tenth
would cut real names."""

MAX_LINES: Final = 100
"""Lines of context that are kept, of `LONGEST_TEXT` characters together. Arbitrary: ten times as many would fill a
report, a tenth would cut stack traces."""

_LARGEST_LINE: Final = 1 << 63
"""More lines than any log has: such a number is not a line."""

_QUALNAME: Final[GetSetDescriptorType] = vars(type)["__qualname__"]

INTERACTIVE: Final = frozenset({"local", "nc"})
"""Variants of DVSim's launchers that run interactive jobs; their classes have no attribute for it."""


@contextmanager
def reading_class(launcher_cls: object) -> Iterator[None]:
    """A context in which attributes of `launcher_cls` are read: properties of its metaclass may raise anything.

    Raises:
        ValueError: for everything that is raised in it, `SystemExit` included, except `TypeError`, `ValueError` and
            `KeyboardInterrupt`, which pass.
    """
    try:
        yield
    except (TypeError, ValueError, KeyboardInterrupt):
        raise
    except BaseException as exc:
        # Through the descriptor of `type`: the metaclass may override `__qualname__` with a property that raises.
        name = (
            bounded(_QUALNAME.__get__(launcher_cls), LONGEST_NAME) if isinstance(launcher_cls, type) else "launcher_cls"
        )
        raise ValueError(f"reading the attributes of {name} raised {describe(exc)}; expected plain values") from exc


def name_of(launcher_cls: type) -> str:
    """Return the name of the backend: the class's `variant`, or its name in lower case without ``launcher``."""
    variant = getattr(launcher_cls, "variant", None)
    if isinstance(variant, str) and variant:
        return bounded(variant, LONGEST_NAME)
    return bounded(launcher_cls.__name__, LONGEST_NAME).lower().removesuffix("launcher").rstrip("_") or "legacy"


def bounded(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return a foreign text, or its beginning and an ellipsis, as a plain `str`, whatever its class overrides."""
    return shorten(str.__getitem__(text, slice(limit + 1)), limit)  # not `text[…]`: a subclass may override that


def class_name(thing: object) -> str:
    """Return the name of the class of a foreign object; `thing` may also be the class itself."""
    cls = thing if isinstance(thing, type) else type(thing)
    return bounded(cls.__qualname__, LONGEST_NAME)


def limit_of(launcher_cls: type, attribute: str, what: str, given: float | None, *, whole: bool = True) -> float | None:
    """Return a limit: `given`, or if that is `None` the class's `attribute`; `None` for no limit.

    Args:
        launcher_cls: the class of the launchers.
        attribute: the name of the limit in the class; `sys.maxsize`, 0, `None` and no such attribute mean no limit.
        what: the name of the limit in the adapter's constructor.
        given: the argument of the constructor.
        whole: whether the limit must be a whole number.

    Raises:
        ValueError: if it is not a number, negative or not finite; the message names its source.
    """
    if given is None:
        what, given = f"{launcher_cls.__name__}.{attribute}", getattr(launcher_cls, attribute, None)
    else:
        what = f"LegacyLauncherAdapter: {what}"
    limit = check_limit(what, given, None, whole=whole)
    return None if limit is None or limit >= sys.maxsize else limit


def limits_of_job(spec: object) -> tuple[float | None, float | None]:
    """Return the `timeout` (of DVSim's jobs, `timeout_secs`) and the `queue_timeout` of a foreign job, in seconds.

    A value that is not a number above 0 means no limit.
    """
    return _limit_or_none(timeout_of(spec)), _limit_or_none(getattr(spec, "queue_timeout", None))


def status_of(answer: object, launcher: object) -> JobStatus:
    """Return our status for the answer of a poll.

    Raises:
        LauncherError: if it is not a status; the message names the launcher's class.
    """
    if answer.__class__ is JobStatus:
        name: object = answer._name_  # `name` is a slow property
    else:
        name = getattr(answer, "name", None)
    status = STATUS_BY_NAME.get(name) if isinstance(name, str) else None
    if status is None:
        known = ", ".join(STATUS_BY_NAME)
        raise LauncherError(
            f"{class_name(launcher)}.poll() returned {_shown(answer)}, of type {class_name(answer)}; "
            f"expected a status whose `name` is one of {known}"
        )
    return status


def is_busy(error: BaseException) -> bool:
    """Return whether the launcher is busy: a class in the exception's MRO is named `LauncherBusyError`."""
    return any(cls.__name__ == "LauncherBusyError" for cls in type(error).__mro__)


def describe(error: BaseException) -> str:
    """Return the type and the text of a foreign exception, whatever its `__str__` does.

    An exception without a text may hide what happened, as an `assert` in a `finally` does: then its cause is added.
    """
    description, text = _type_and_text(error)
    if not text:
        hidden = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        description += "" if hidden is None else f", after {_type_and_text(hidden)[0]}"
    return bounded(description)


def _type_and_text(error: BaseException) -> tuple[str, str]:
    try:
        text = bounded(str(error))
    except BaseException as exc:  # noqa: BLE001 - foreign code; the message says that it raised
        text = f"<its __str__ raised {class_name(exc)}>"
    name = class_name(error)
    return (f"{name}: {text}" if text else name), text


def reason_of(launcher: Any) -> JobStatusInfo:
    """Return the `fail_msg` of a launcher whose job has failed.

    A value in the class is a default and not a reason; the value of a property belongs to the instance.
    """
    cls = type(launcher)
    try:
        answer = launcher.fail_msg
        if answer is not getattr(cls, "fail_msg", None) and answer is not None:
            message = answer if isinstance(answer, str) else getattr(answer, "message", None)
            if message:
                line = getattr(answer, "line_number", None)
                if not isinstance(line, int) or isinstance(line, bool) or not 0 <= line < _LARGEST_LINE:
                    line = None
                return JobStatusInfo(
                    bounded(str(message)),
                    lines=None if line is None else [int(line)],
                    context=_texts(getattr(answer, "context", None)),
                )
    except AttributeError:
        pass
    except BaseException as exc:  # noqa: BLE001 - foreign code; the verdict stands without its reason
        return JobStatusInfo(f"{class_name(cls)} gave no reason: its fail_msg raised {describe(exc)}")
    return JobStatusInfo(f"{class_name(cls)} gave no reason")


def usage_of(launcher: object) -> JobUsage | None:
    """Return the times that a launcher reports after the end of its job; `None` if it reports none.

    A time that cannot be read is unknown.
    """
    try:
        runtime = getattr(launcher, "job_runtime", None)
    except BaseException:  # noqa: BLE001 - foreign code
        runtime = None
    try:
        simulated = getattr(launcher, "simulated_time", None)
    except BaseException:  # noqa: BLE001 - foreign code
        simulated = None
    if runtime is None and simulated is None:
        return None
    runtime, simulated = _seconds_or_none(runtime), _seconds_or_none(simulated)
    if runtime is None and simulated is None:
        return None
    return JobUsage(job_runtime=runtime, simulated_time=simulated)


def seconds_of(value: Any) -> float | None:
    """Return a duration in seconds, or `None` if it is unknown, zero, negative or infinite.

    The value may be a number of seconds, or have ``get() -> (time, unit)``, or `time` and `unit`, or
    ``total_seconds()``.
    """
    if value is None:
        return None
    factor = 1.0
    if not isinstance(value, int | float):
        if callable(getattr(value, "total_seconds", None)):
            value = value.total_seconds()
        else:
            pair = value.get() if callable(getattr(value, "get", None)) else (value.time, value.unit)
            value, factor = pair[0], SECONDS_PER_UNIT[pair[1]]
    seconds = float(value) * factor
    return seconds if 0 < seconds < float("inf") else None


def _limit_or_none(value: object) -> float | None:
    return value if is_number(value) and value > 0 else None


def _seconds_or_none(value: object) -> float | None:
    try:
        return seconds_of(value)
    except BaseException:  # noqa: BLE001 - foreign code; a time that cannot be read is unknown
        return None


def _texts(lines: object) -> list[str] | None:
    if isinstance(lines, str):
        lines = bounded(lines).splitlines()
    if not isinstance(lines, list | tuple):
        return None
    texts: list[str] = []
    left = LONGEST_TEXT - 1  # the ellipsis
    for number, line in enumerate(lines):
        if left <= 0 or number >= MAX_LINES - 1 < len(lines) - 1:
            texts.append("…")
            break
        text = bounded(str(line), left)
        texts.append(text)
        left -= len(text)
    return texts


def _shown(value: object) -> str:
    try:
        return bounded(repr(value), LONGEST_NAME)
    except BaseException:  # noqa: BLE001 - foreign code
        return "something"
