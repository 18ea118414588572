"""Values of options that several commands have, as types for argparse."""

from __future__ import annotations

import argparse

from runtime.jobfile.values import MAX_SEED


def whole(text: str, lowest: int) -> int:
    """Return the whole number that a text is, from `lowest` up to the largest seed."""
    # Not `int(text)` alone: it takes "1_000" and " 1 ", and digits of all scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SEED)) and lowest <= int(text) <= MAX_SEED):
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a whole number from {lowest} to {MAX_SEED}")
    return int(text)


def resource_limit(text: str) -> tuple[str, int | None]:
    """Return the resource and the limit, `None` for unlimited, that ``NAME=N`` means."""
    name, equals, amount = text.rpartition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected NAME=N or NAME=unlimited")
    return name, None if amount == "unlimited" else whole(amount, 0)
