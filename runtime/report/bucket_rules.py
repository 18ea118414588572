"""`BucketRules`: named rules of a job file, each of which puts failures in a bucket of its name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from runtime.errors import SpecError
from runtime.job import compile_pattern
from runtime.verdict.engine import Engine, PythonEngine
from runtime.verdict.linear import LinearEngine, is_linear
from runtime.verdict.lines import Block
from runtime.verdict.search_limits import harmless_length

MAX_LINE: Final = 300
"""Bytes of a line in which a rule is looked for. Arbitrary: with ten times as many, patterns that are fast enough
would be refused; with ten times fewer, a long path hides what follows it."""

BUCKETS: Final = "buckets"
"""The key of the rules in the details of a journal."""


def is_rule(pattern: str) -> bool:
    """Whether a line of `MAX_LINE` bytes is certainly searched fast for a pattern, whichever engine is installed.

    Raises:
        SpecError: if it is no pattern.
    """
    return harmless_length(compile_pattern(pattern)) >= MAX_LINE


class BucketRules:
    """Named rules, in their order.

    Args:
        patterns: by name, patterns as in `JobSpec.fail_patterns`. What is no `is_rule` is left out: a job can write a
            journal.
    """

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        self.patterns: Final = {name: tuple(filter(_is_safe, texts)) for name, texts in patterns.items()}
        """By name."""
        self._names = [name for name, texts in self.patterns.items() for _ in texts]
        compiled = [compile_pattern(text) for texts in self.patterns.values() for text in texts]
        self._engine: Engine = LinearEngine(compiled) if all(map(is_linear, compiled)) else PythonEngine(compiled)

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._names)

    def name_of(self, lines: Sequence[str]) -> str | None:
        """Return the name of the first rule of which a pattern matches one of the lines; `None` if there is none."""
        block = b"\n".join(line.encode("utf-8", "surrogatepass")[:MAX_LINE].replace(b"\n", b" ") for line in lines)
        hits = self._engine.scan(Block.of(block), range(len(self._names)), ())
        first = min((hit.pattern for hit in hits), default=None)
        return None if first is None else self._names[first]


NO_RULES: Final = BucketRules({})
"""No rules."""


def rules_of(details: Mapping[str, object]) -> BucketRules:
    """Return the rules that the details of a journal have; whatever is no rule is left out."""
    given = details.get(BUCKETS)
    if not isinstance(given, Mapping):
        return NO_RULES
    return BucketRules(
        {
            name: [text for text in texts if isinstance(text, str)]
            for name, texts in given.items()
            if isinstance(name, str) and isinstance(texts, list | tuple)
        }
    )


def _is_safe(pattern: str) -> bool:
    try:
        return is_rule(pattern)
    except SpecError:
        return False
