"""Options of a batch backend: those for all jobs, and rules with options for some. Pure.

A rule is a mapping. Some of its keys select jobs, and all of them must match; the others are options. If two rules
match, the later one overrides the earlier one, but their `extra` options add up.

Each batch system has a class of its own for its options: an attrs class whose fields are `None` where nothing is said,
with one field `extra`, a tuple of words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from runtime.job import JobSpec

MATCHES: Final = ("job", "target", "job_type", "tag")
"""Keys of a rule that select jobs. `job` is a shell pattern that the id must match."""

_TIME_MARGIN: Final = 300.0
"""Seconds by which the system's time limit exceeds the job's own, which we enforce. The system's ends only jobs whose
runtime was killed. Arbitrary: with a tenth, the system may end a job that we are stopping; with ten times as many,
orphaned jobs hold licences for an hour, and fewer queues admit the job."""


class SubmitOptions(attrs.AttrsInstance, Protocol):
    """The options of one batch system."""

    @property
    def extra(self) -> tuple[str, ...]:
        """Further options of the command that submits."""
        ...


Opts = TypeVar("Opts", bound=SubmitOptions)


def check_texts(given: Mapping[str, Any], texts: Iterable[str], flag: str, where: str) -> None:
    """Check the options that are text, and the one that is true or false; `None` is always allowed.

    Raises:
        ValueError: if a value is not of the expected kind.
    """
    for name in (*texts, flag):
        value = given.get(name)
        if name == flag:
            expected, good = "True or False", isinstance(value, bool)
        else:
            expected, good = "text that is not empty", isinstance(value, str) and value != "" and "\0" not in value
        if value is not None and not good:
            raise ValueError(f"{where}{name} is {value!r}; expected {expected}")


def check_names(given: object, what: str, names: str) -> dict[str, str]:
    """Return a mapping of resources to names that a batch system has for them; `None` is an empty one.

    Raises:
        ValueError: if it is no mapping of text to text.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(
        isinstance(text, str) and text for pair in given.items() for text in pair
    ):
        raise ValueError(f"{what} is {given!r}; expected a mapping of resources to names of {names}, all text")
    return dict(given)


def check_words(given: object, where: str, ours: Collection[str], expected: str) -> tuple[str, ...]:
    """Return the further words for a command that submits, whose options are words of their own; `None` is for none.

    Args:
        given: the words.
        where: how messages begin.
        ours: options that they must not have.
        expected: what a message says of them.

    Raises:
        ValueError: if they are no list of words that begins with an option, or have one of `ours`.
    """
    words = given or ()
    if isinstance(words, str) or not isinstance(words, Sequence) or not _are_words(words):
        raise ValueError(f"{where}extra is {words!r}; expected {expected}")
    for word in words:
        if word in ours:
            raise ValueError(f"{where}extra has {word!r}; expected only options that the backend does not set itself")
    return tuple(words)


def _are_words(words: Sequence[object]) -> bool:
    good = all(isinstance(word, str) and word and "\0" not in word for word in words)
    return good and (not words or str(words[0]).startswith("-"))


def check_amount(name: str, amount: int | None, system: str) -> int:
    """Return how much of a resource to request from a system that has no word for all of it; of ``cpus`` at least 1.

    Raises:
        ValueError: if it is all.
    """
    if amount is None:
        raise ValueError(f"it requests all of {name!r}; expected a number, as {system} has no word for all")
    return max(1, amount) if name == "cpus" else amount


def override(options: Opts, other: Opts) -> Opts:
    """Return `options` with those that `other` has in their places; words in `extra` add up."""
    said = {name: value for name, value in attrs.asdict(other).items() if value is not None}
    return attrs.evolve(options, **{**said, "extra": options.extra + other.extra})  # type: ignore[misc]  # attrs made it


@attrs.frozen
class Rule(Generic[Opts]):
    """Options for some jobs."""

    matches: Mapping[str, str]
    options: Opts

    @classmethod
    def checked(
        cls, given: object, where: str, names: Sequence[str], make: Callable[[Mapping[str, Any], str], Opts]
    ) -> Rule[Opts]:
        """Return the rule that a mapping describes.

        Args:
            given: the mapping.
            where: how messages begin.
            names: of the options.
            make: returns options; its arguments are those that are given, and how messages begin.

        Raises:
            ValueError: if the mapping is not a rule.
        """
        if not isinstance(given, Mapping):
            msg = f"{where} is {given!r}; expected a mapping, such as {{'target': 'build', {names[0]!r}: 'fast'}}"
            raise ValueError(msg)
        unknown = [key for key in given if key not in MATCHES and key not in names]
        if unknown:
            raise ValueError(
                f"{where} has {unknown[0]!r}; expected a key that selects jobs ({', '.join(MATCHES)}) "
                f"or an option ({', '.join(names)})"
            )
        matches = {key: value for key, value in given.items() if key in MATCHES}
        for key, value in matches.items():
            if not isinstance(value, str):
                raise ValueError(f"{where}: {key} is {value!r}; expected text")
        if not matches:
            raise ValueError(f"{where} selects no jobs; expected at least one of {', '.join(MATCHES)}")
        return cls(matches, make({k: v for k, v in given.items() if k in names}, f"{where}: "))

    @classmethod
    def all_checked(
        cls, rules: object, who: str, names: Sequence[str], make: Callable[[Mapping[str, Any], str], Opts]
    ) -> list[Rule[Opts]]:
        """Return the rules of the backend `who`; `None` stands for none.

        Raises:
            ValueError: if they are no list of rules.
        """
        if rules is None:
            return []
        if isinstance(rules, str | Mapping) or not isinstance(rules, Sequence):
            raise ValueError(f"{who}: rules is {rules!r}; expected a list of mappings")
        return [cls.checked(rule, f"{who}: rules[{number}]", names, make) for number, rule in enumerate(rules)]

    def fits(self, spec: JobSpec) -> bool:
        """Whether the rule is for this job."""
        return all(self._fits(spec, key, expected) for key, expected in self.matches.items())

    @staticmethod
    def _fits(spec: JobSpec, key: str, expected: str) -> bool:
        if key == "tag":
            return expected in spec.tags
        return fnmatchcase(spec.id, expected) if key == "job" else getattr(spec, key) == expected


def options_of(spec: JobSpec, options: Opts, rules: Iterable[Rule[Opts]]) -> Opts:
    """Return the options for a job: those for all jobs, overridden by those of the rules that fit it."""
    for rule in rules:
        if rule.fits(spec):
            options = override(options, rule.options)
    return options


def time_limit(spec: JobSpec, given: str | None, unit: int = 1) -> str | None:
    """Return the time limit to ask the system for; `None` for that of the queue.

    Args:
        spec: the job.
        given: the option of it, which is used as it is; ``"none"`` for the limit of the queue; `None` for one beyond
            the job's own.
        unit: seconds of the system's unit, to which it is rounded up.
    """
    if given is not None:
        return None if given == "none" else given
    limit = _limit(spec)
    return None if limit is None else str(math.ceil(limit / unit))


def _limit(spec: JobSpec) -> float | None:
    """Return a limit beyond the job's own, in seconds."""
    if spec.timeout is None:
        return None
    limit = spec.timeout + _TIME_MARGIN
    if spec.timeout_from is None:
        return limit
    # Its process runs for longer: it waits for a line of its log before that.
    return None if spec.queue_timeout is None else limit + spec.queue_timeout
