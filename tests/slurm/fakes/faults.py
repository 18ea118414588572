"""What a test can order for the next call of a program, or for all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection

import attrs


@attrs.frozen
class Answer:
    """What a program prints, and its exit code."""

    out: str | bytes = ""
    err: str = ""
    code: int = 0


@attrs.frozen
class Hang:
    """Never answer."""

    done: bool = False
    """Whether what was asked for is done all the same."""


@attrs.frozen
class Stop:
    """Freeze the program itself, by SIGSTOP."""

    done: bool = False


@attrs.frozen
class Say:
    """Answer this, whatever is true."""

    out: str | bytes = ""
    err: str = ""
    code: int = 0
    done: bool = False
    after: float = 0.0
    """Seconds to wait before."""


@attrs.frozen
class Edit:
    """Do what was asked for, and change the answer."""

    change: Callable[[Answer], Answer]


@attrs.frozen
class Only:
    """Of an array that is submitted, accept these indices, and say that all is well."""

    indices: Collection[int]


Act = Hang | Stop | Say | Edit | Only
