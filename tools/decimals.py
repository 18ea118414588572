"""Regular expressions for decimal numbers of a range, for schemas: JSON Schema has ranges of numbers, and not of texts.

The expressions are those of JavaScript, Python and Rust's fancy-regex alike. They match a number without its leading
zeros, which the caller allows in front.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

DIGITS: Final = 9
"""Digits of a bound behind its point. More are cut off, and numbers that begin like the rest match. Arbitrary: exact
but for fractions of a byte, and the expressions stay short enough for a person to read past them."""

_REST: Final = r"(?:\.[0-9]+)?"


def at_least(bound: Decimal) -> str:
    """Return an expression for numbers from `bound` on."""
    whole, fraction = _split(bound)
    cases = [f"[1-9][0-9]{{{len(whole)},}}{_REST}"]
    cases += [f"{head}[{above}-9][0-9]{{{behind}}}{_REST}" for head, above, behind in _greater(whole)]
    tails = [f"{head}[{above}-9][0-9]*" for head, above, _ in _greater(fraction)]
    cases.append(rf"{whole}\.(?:{'|'.join([*tails, f'{fraction}[0-9]*'])})" if fraction else f"{whole}{_REST}")
    return f"(?:{'|'.join(cases)})"


def at_most(bound: Decimal) -> str:
    """Return an expression for numbers up to `bound`."""
    whole, fraction = _split(bound)
    cases = [f"[0-9]{{0,{len(whole) - 1}}}{_REST}"] if whole else []
    cases += [f"{head}[0-{below}][0-9]{{{behind}}}{_REST}" for head, below, behind in _less(whole)]
    tails = [f"{head}[0-{below}][0-9]*" for head, below, _ in _less(fraction)]
    tails += [fraction[: place + 1] for place in range(len(fraction))]
    more = "0" if Decimal(f"0{whole}.{fraction}0") == bound else "[0-9]"
    cases.append(rf"{whole}(?:\.(?:{'|'.join([*tails, f'{fraction}{more}*'])}))?")
    return f"(?:{'|'.join(cases)})"


def _split(bound: Decimal) -> tuple[str, str]:
    """Return the digits before and behind the point, without zeros at their outer ends."""
    whole, _, fraction = f"{bound:.40f}".partition(".")
    return whole.lstrip("0"), fraction[:DIGITS].rstrip("0")


def _greater(text: str) -> list[tuple[str, int, int]]:
    """Return for each digit below 9 those in front of it, the next higher one, and the number of those behind it."""
    return [(text[:place], int(digit) + 1, len(text) - place - 1) for place, digit in enumerate(text) if digit != "9"]


def _less(text: str) -> list[tuple[str, int, int]]:
    """Return for each digit above 0 those in front of it, the next lower one, and the number of those behind it."""
    return [(text[:place], int(digit) - 1, len(text) - place - 1) for place, digit in enumerate(text) if digit != "0"]
