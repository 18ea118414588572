"""What a soft stop may be: a signal, or the name of a file."""

from __future__ import annotations

from signal import Signals
from typing import Final

from runtime.job.numbers import brief

SoftStop = Signals | str
"""A signal for all processes of a job, or its name such as ``"SIGINT"``; or the name of a file to make."""

_EXPECTED: Final = "a signal ('SIGINT', signal.SIGINT), the name of a file"


def check_soft_stop(given: object, others: str = "or None") -> int | str:
    """Return the number of a signal, or the name of a file.

    Args:
        given: a `SoftStop`; anything else is an error.
        others: what else the caller accepts, for the message.

    Raises:
        ValueError: if it is neither; the message begins with what was given, and says what was expected.
    """
    if isinstance(given, Signals):
        return int(given)
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(f"{brief(given)}; expected {_EXPECTED}, {others}")
    if not given.startswith("SIG"):
        return given
    if given not in Signals.__members__:
        raise ValueError(f"{given!r}, which is no signal; expected for a file of that name: './{given}'")
    return int(Signals[given])
