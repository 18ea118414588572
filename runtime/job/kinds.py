"""`Kinds`: kinds of failure that lines of a log show, with names of one's own besides those of `FailureKind`. Pure.

All of them are failures of the infrastructure: what a tool says when it has no licence, when it crashes, when a file
system goes away. Only the log of a job that did not pass is searched for them, so a tool that had to try twice and got
its licence has passed, and a log that passes costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final, TypeAlias

import attrs

from runtime.errors import SpecError
from runtime.job.numbers import brief
from runtime.job.patterns import compile_pattern
from runtime.job.status import FAILED, FailureClass, FailureKind, JobStatus

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Names of one's own. The length is arbitrary: with ten times as much, a name fills a line of a report."""
NAME: Final = "a name of small letters, digits and _, which begins with a letter and has at most 40 of them"
"""What a name of one's own looks like, in words."""

_BUILT_IN: Final = frozenset(kind.value for kind in FailureKind)
SHOWN_BY_LOGS: Final = (FailureKind.LICENCE, FailureKind.OUT_OF_MEMORY)
"""The kinds of `FailureKind` that patterns may find. The runtime observes all others itself."""


class CustomKind(str):
    """A kind of failure with a name of one's own, such as ``network``. It is text, as each `FailureKind` is.

    Raises:
        SpecError: if the name is none, or that of a `FailureKind`.
    """

    __slots__ = ()

    status: ClassVar[JobStatus] = FAILED
    """As of a `FailureKind`."""
    failure_class: ClassVar[FailureClass] = FailureClass.INFRASTRUCTURE
    """As of a `FailureKind`."""
    is_infrastructure: ClassVar[bool] = True
    """As of a `FailureKind`."""

    def __new__(cls, name: str) -> CustomKind:
        """Check the name."""
        if name in _BUILT_IN:
            raise SpecError(f"{brief(name)} is a kind of failure that there is; expected a name of your own")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SpecError(f"{brief(name)} cannot be a kind of failure; expected {NAME}")
        return str.__new__(cls, name)

    def __repr__(self) -> str:
        return f"CustomKind({str(self)!r})"

    @property
    def value(self) -> str:
        """Its name."""
        return str(self)


Kind: TypeAlias = FailureKind | CustomKind
"""The kind of a failure."""


def kind_by_log(name: str) -> Kind:
    """Return the kind of this name, for which there may be patterns.

    Raises:
        SpecError: if the name is none, or that of a kind that the runtime observes itself.
    """
    if name in SHOWN_BY_LOGS:
        return FailureKind(name)
    if name in _BUILT_IN:
        allowed = " or ".join(repr(kind.value) for kind in SHOWN_BY_LOGS)
        raise SpecError(f"{brief(name)} is a kind that the runtime finds itself; expected {allowed}, or another name")
    return CustomKind(name)


@attrs.frozen(init=False)
class Kinds:
    """Which lines of a log show which kind of failure.

    Raises:
        SpecError: when it is made, if a name cannot be a kind, or a pattern is wrong.
    """

    patterns: Mapping[Kind, Sequence[str]]
    """By kind, regular expressions as in `JobSpec.fail_patterns`."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        if not isinstance(patterns, Mapping):
            raise SpecError(f"kinds is {brief(patterns)}; expected a mapping of names to patterns")
        checked: dict[Kind, Sequence[str]] = {}
        for name, texts in patterns.items():
            if isinstance(texts, str) or not isinstance(texts, list | tuple):
                raise SpecError(f"kinds: {name} is {brief(texts)}; expected a sequence of patterns")
            try:
                kind = kind_by_log(name)
                for text in texts:
                    compile_pattern(text)
            except SpecError as exc:
                raise SpecError(f"kinds: {exc}") from exc
            if texts:
                checked[kind] = tuple(texts)
        object.__setattr__(self, "patterns", MappingProxyType(checked))

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self.patterns)

    def all(self) -> tuple[str, ...]:
        """Return all patterns, in their order."""
        return tuple(text for texts in self.patterns.values() for text in texts)

    def custom(self) -> list[str]:
        """Return the names of the kinds that are one's own."""
        return [kind for kind in self.patterns if isinstance(kind, CustomKind)]

    def of(self, pattern: str) -> Kind:
        """Return the kind of a pattern; of several that have it, the first."""
        return next(kind for kind, texts in self.patterns.items() if pattern in texts)

    def joined(self, other: Kinds) -> Kinds:
        """Return these and those of `other`."""
        both = dict.fromkeys((*self.patterns, *other.patterns))
        return Kinds({kind: [*self.patterns.get(kind, ()), *other.patterns.get(kind, ())] for kind in both})
