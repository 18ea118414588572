"""Faults that a test can order for the next call of a program, or for all calls."""

from __future__ import annotations

from collections import defaultdict, deque
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
    """Whether the request is carried out all the same."""
    err: str = ""
    """What it prints to its standard error first."""


@attrs.frozen
class Stop:
    """Freeze the program itself, by SIGSTOP."""

    done: bool = False


@attrs.frozen
class Say:
    """Answer this instead of the truth."""

    out: str | bytes = ""
    err: str = ""
    code: int = 0
    done: bool = False
    after: float = 0.0
    """Seconds to wait before the answer."""


@attrs.frozen
class Edit:
    """Carry out the request, and change the answer."""

    change: Callable[[Answer], Answer]


@attrs.frozen
class Only:
    """Accept only these indices of an array, and report success."""

    indices: Collection[int]


Act = Hang | Stop | Say | Edit | Only


class Orders:
    """The faults that were ordered, by program."""

    def __init__(self) -> None:
        self._once: defaultdict[str, deque[Act]] = defaultdict(deque)
        self._always: dict[str, Act] = {}

    def next(self, program: str, *acts: Act) -> None:
        """Use these for the next calls of `program`, one each."""
        self._once[program].extend(acts)

    def always(self, program: str, act: Act | None) -> None:
        """Use this for all calls of `program` without an order of their own; `None` ends that."""
        self._always.pop(program, None)
        if act is not None:
            self._always[program] = act

    def take(self, program: str) -> Act | None:
        """Return the fault for this call, or `None`."""
        return self._once[program].popleft() if self._once[program] else self._always.get(program)
