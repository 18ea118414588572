"""Values of options that several commands have, as types for argparse."""

from __future__ import annotations

import argparse
import math
import re
from typing import Final

PRINT_INTERVAL: Final = 10.0
"""Seconds between two lines of progress where output is not a terminal. As in DVSim."""

MAX_WHOLE: Final = 2**64 - 1
"""The largest whole number that an option takes. Arbitrary: seeds of most simulators have 32 bits."""

_NUMBER: Final = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def add_print_interval(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--print-interval`` to a command that shows progress."""
    parser.add_argument(
        "--print-interval",
        metavar="S",
        type=_seconds,
        default=PRINT_INTERVAL,
        help="seconds between two lines of progress where there is no live display; 0 for none (default: 10)",
    )


def whole(text: str, lowest: int) -> int:
    """Return the whole number that a text is, from `lowest` up to `MAX_WHOLE`."""
    # Not `int(text)` alone: it takes "1_000" and " 1 ", and digits of all scripts.
    if not (
        text.isascii() and text.isdigit() and len(text) <= len(str(MAX_WHOLE)) and lowest <= int(text) <= MAX_WHOLE
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a whole number from {lowest} to {MAX_WHOLE}")
    return int(text)


def size(text: str) -> int:
    """Return the bytes that a text such as ``2GiB`` means."""
    from runtime.job.sizes import parse_size  # loads more than ``--help`` waits for

    try:
        return parse_size(text if not text.isdigit() else int(text))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def resource_limit(text: str) -> tuple[str, int | None]:
    """Return the resource and the limit, `None` for unlimited, that ``NAME=N`` means."""
    name, equals, amount = text.rpartition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected NAME=N or NAME=unlimited")
    return name, None if amount == "unlimited" else whole(amount, 0)


def number(text: str) -> float:
    """Return the decimal number that a text is; NaN if it is none."""
    # Not `float(text)` alone: it takes "1_000", " 1 ", "nan", and digits of all scripts.
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _seconds(text: str) -> float:
    seconds = number(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected seconds, from 0")
    return seconds
