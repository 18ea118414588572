"""How are foreign things known? By shape, never by import.

A status is known by its `name`, an exception by the name of a class in its MRO, a failure message and a run time by
their attributes, a launcher's limits by the attributes of its class. Everything here runs foreign code (properties,
`__str__`, descriptors), so it is called in the thread that called the launcher, and it may raise.

Whatever text it gives is cut where it enters (`LONGEST_TEXT`, `LONGEST_NAME`, `MOST_LINES`): it ends up in events, in
``results.json`` and on the screen, and a launcher may take a log for its reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from runtime.backend.backend import check_limit
from runtime.backend.legacy.launcher import LauncherError
from runtime.job import JobStatus, JobStatusInfo, JobUsage
from runtime.job.numbers import is_number
from runtime.job.shorten import shorten

STATUS_BY_NAME: Final[dict[str, JobStatus]] = {
    "SCHEDULED": JobStatus.QUEUED,
    "QUEUED": JobStatus.QUEUED,
    "PENDING": JobStatus.QUEUED,
    "DISPATCHED": JobStatus.RUNNING,  # what DVSim called RUNNING before it told the two apart
    "RUNNING": JobStatus.RUNNING,
    "PASSED": JobStatus.PASSED,
    "FAILED": JobStatus.FAILED,
    "KILLED": JobStatus.KILLED,
}
"""What a poll may say, and what it means here."""

SECONDS_PER_UNIT: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
    "ps": 1e-12,
    "fs": 1e-15,
}

LONGEST_TEXT: Final = 4000
"""Characters of a foreign message that are kept. Enough for any message, too few for a log in disguise."""

LONGEST_NAME: Final = 200
"""Characters of a foreign name that are kept: of a class, a variant. Arbitrary: many times what a name has."""

MOST_LINES: Final = 100
"""Lines of context that are kept, of `LONGEST_TEXT` characters together. Arbitrary: five screens of a failure."""

_LARGEST_LINE: Final = 1 << 63
"""More than any log has lines."""

_QUALNAME: Final[Any] = vars(type)["__qualname__"]

INTERACTIVE: Final = frozenset({"local", "nc"})
"""The launchers of DVSim that run interactive jobs; theirs cannot say so themselves."""


@contextmanager
def reading_class(launcher_cls: Any) -> Iterator[None]:
    """Read attributes of `launcher_cls`, which may be properties of its metaclass, and raise anything.

    Raises:
        ValueError: for anything but an error that says what is wrong already, `SystemExit` included.
    """
    try:
        yield
    except (TypeError, ValueError, KeyboardInterrupt):
        raise
    except BaseException as exc:
        # Whatever its metaclass makes of its name.
        name = (
            bounded(_QUALNAME.__get__(launcher_cls), LONGEST_NAME) if isinstance(launcher_cls, type) else "launcher_cls"
        )
        msg = f"reading the attributes of {name} raised {describe(exc)}; expected: plain values"
        raise ValueError(msg) from exc


def name_of(launcher_cls: type) -> str:
    """Return what the class calls itself: its `variant`, or its name in lower case without ``launcher``."""
    variant = getattr(launcher_cls, "variant", None)
    if isinstance(variant, str) and variant:
        return bounded(variant, LONGEST_NAME)
    return bounded(launcher_cls.__name__, LONGEST_NAME).lower().removesuffix("launcher").rstrip("_") or "legacy"


def bounded(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return a foreign text, or its beginning and an ellipsis, as a plain `str`, whatever its class makes of itself."""
    return shorten(str.__getitem__(text, slice(limit + 1)), limit)


def class_name(thing: object) -> str:
    """Return what the class of a foreign thing calls itself; `thing` itself may be the class."""
    cls = thing if isinstance(thing, type) else type(thing)
    return bounded(cls.__qualname__, LONGEST_NAME)


def limit_of(launcher_cls: type, attribute: str, what: str, given: float | None, *, whole: bool = True) -> float | None:
    """Return a limit: `given`, or if that is `None` the class's `attribute`; `None` for no limit.

    Args:
        launcher_cls: the class of the launchers.
        attribute: what the limit is called there; `sys.maxsize`, 0, `None` and no such attribute mean no limit.
        what: what the limit is called in the adapter's constructor.
        given: what the constructor was given.
        whole: whether only whole numbers make sense.

    Raises:
        ValueError: if it is no number, negative or not finite; it says where the number came from.
    """
    if given is None:
        what, given = f"{launcher_cls.__name__}.{attribute}", getattr(launcher_cls, attribute, None)
    else:
        what = f"LegacyLauncherAdapter: {what}"
    limit = check_limit(what, given, None, whole=whole)
    return None if limit is None or limit >= sys.maxsize else limit


def limits_of_job(spec: object) -> tuple[float | None, float | None]:
    """Return the `timeout` (of DVSim's jobs, `timeout_secs`) and the `queue_timeout` of a foreign job, in seconds.

    What is no number above 0 is no limit.
    """
    timeout = _limit_or_none(getattr(spec, "timeout", None)) or _limit_or_none(getattr(spec, "timeout_secs", None))
    return timeout, _limit_or_none(getattr(spec, "queue_timeout", None))


def status_of(said: object, launcher: object) -> JobStatus:
    """Return what the answer of a poll means.

    Raises:
        LauncherError: if it means nothing; it names the launcher's class.
    """
    if said.__class__ is JobStatus:
        name: object = said._name_  # the same as `name`, and many times faster
    else:
        name = getattr(said, "name", None)
    status = STATUS_BY_NAME.get(name) if isinstance(name, str) else None
    if status is None:
        known = ", ".join(STATUS_BY_NAME)
        msg = (
            f"{class_name(launcher)}.poll() returned {_shown(said)}, of type {class_name(said)}; "
            f"wanted: a status whose `name` is one of {known}"
        )
        raise LauncherError(msg)
    return status


def is_busy(error: BaseException) -> bool:
    """Whether an exception says that the launcher is busy: it has that class name anywhere in its MRO."""
    return any(cls.__name__ == "LauncherBusyError" for cls in type(error).__mro__)


def describe(error: BaseException) -> str:
    """Return the type and the text of a foreign exception, whatever its `__str__` does.

    One without a text may hide what happened, as an `assert` in a `finally` does: then what it hides is told, too.
    """
    told, text = _told(error)
    if not text:
        hidden = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        told += "" if hidden is None else f", after {_told(hidden)[0]}"
    return bounded(told)


def _told(error: BaseException) -> tuple[str, str]:
    try:
        text = bounded(str(error))
    except BaseException as exc:  # noqa: BLE001 - foreign code; that it raised is all there is to say
        text = f"<its text cannot be had: {class_name(exc)}>"
    name = class_name(error)
    return (f"{name}: {text}" if text else name), text


def reason_of(launcher: Any) -> JobStatusInfo:
    """Return the `fail_msg` of a launcher whose job ended badly.

    What stands in the class is a default, and no reason; a property is the instance's own word.
    """
    cls = type(launcher)
    try:
        said = launcher.fail_msg
        if said is not getattr(cls, "fail_msg", None) and said is not None:
            message = said if isinstance(said, str) else getattr(said, "message", None)
            if message:
                line = getattr(said, "line_number", None)
                if not isinstance(line, int) or isinstance(line, bool) or not 0 <= line < _LARGEST_LINE:
                    line = None
                return JobStatusInfo(
                    bounded(str(message)),
                    lines=None if line is None else [int(line)],
                    context=_texts(getattr(said, "context", None)),
                )
    except AttributeError:
        pass
    except BaseException as exc:  # noqa: BLE001 - foreign code; the verdict stands without its reason
        return JobStatusInfo(f"{class_name(cls)} gave no reason: its fail_msg raised {describe(exc)}")
    return JobStatusInfo(f"{class_name(cls)} gave no reason")


def usage_of(launcher: Any) -> JobUsage | None:
    """Return the times that a launcher whose job has ended reports, if any. One that cannot be read is unknown."""
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
    """Return a duration in seconds, or `None` where it is unknown: none, zero, or nothing that looks like one.

    It may be a number of seconds, or have ``get() -> (time, unit)``, or `time` and `unit`, or ``total_seconds()``.
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
        if left <= 0 or number >= MOST_LINES - 1 < len(lines) - 1:
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
