"""What a test can order for the next call of a program, or for all of them."""

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
    """Whether what was asked for is done all the same."""
    err: str = ""
    """What it says before."""


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


class Orders:
    """What was ordered, by program."""

    def __init__(self) -> None:
        self._once: defaultdict[str, deque[Act]] = defaultdict(deque)
        self._always: dict[str, Act] = {}

    def next(self, program: str, *acts: Act) -> None:
        """Let these happen at the next calls of `program`, one each."""
        self._once[program].extend(acts)

    def always(self, program: str, act: Act | None) -> None:
        """Let this happen at all calls of `program` that nothing else was ordered for; `None` ends that."""
        self._always.pop(program, None)
        if act is not None:
            self._always[program] = act

    def take(self, program: str) -> Act | None:
        """Return what happens at this call."""
        return self._once[program].popleft() if self._once[program] else self._always.get(program)
