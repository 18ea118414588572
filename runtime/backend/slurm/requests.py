"""What a job asks Slurm for: from its resources, and from options for all jobs, or for some by rules. Pure.

A rule is a mapping: some keys say which jobs it is for, and all must fit; the others are options. Of two rules that fit
the later one counts; words of `extra` add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

import attrs

from runtime.job import JobSpec

RESOURCES: Final = ("cpus", "memory_mb", "gpus")
"""Names of resources that become options of sbatch."""

MATCHES: Final = ("job", "target", "job_type", "tag")
"""Keys of a rule that say which jobs it is for. `job` is a pattern as of a shell, for the id."""

_TEXTS: Final = ("partition", "account", "qos", "time")
OPTIONS: Final = (*_TEXTS, "requeue", "extra")
"""Options for all jobs, or for those of a rule."""

VARIABLES: Final = MappingProxyType(
    {
        "SBATCH_PARTITION": "partition",
        "SBATCH_ACCOUNT": "account",
        "SBATCH_QOS": "qos",
        "SBATCH_TIMELIMIT": "time",
    }
)
"""Environment variables, Slurm's own, that say what an option is that nobody gave."""

_OURS: Final = ("--array", "--job-name", "--output", "--error", "--export", "--chdir", "--parsable", "--wrap", "--wait")
"""Options of sbatch that `extra` must not have: all of this would not work."""
_OURS_SHORT: Final = ("-a", "-J", "-o", "-e", "-D", "-W")

_TIME_MARGIN: Final = 300.0
"""Seconds that Slurm's time limit is beyond the job's own, which we enforce: it is for jobs that nobody watches any
more. Arbitrary."""


@attrs.frozen
class Options:
    """What is asked for besides resources."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    """Slurm's time limit, in its own words; ``"none"`` for the partition's; `None`: beyond the job's own."""
    requeue: bool = False
    """Whether Slurm may start a job again, as after the failure of its node."""
    extra: tuple[str, ...] = ()
    """Further options of sbatch."""


def check_options(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return options that were given, by name, those that are `None` left out.

    Raises:
        ValueError: if one of them cannot be what it is; it says what was expected.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _TEXTS:
            expected, good = "text that is not empty", isinstance(value, str) and bool(value) and "\0" not in value
        elif name == "requeue":
            expected, good = "True or False", isinstance(value, bool)
        else:
            expected = "a list of options of sbatch, each with its value: ['--constraint=gpu', '--nice=100']"
            good = not isinstance(value, str) and isinstance(value, Sequence) and all(map(_is_option, value))
            value = tuple(value) if good else value  # noqa: PLW2901 - the same, frozen
        if not good:
            msg = f"{where}{name} is {value!r}; expected {expected}"
            raise ValueError(msg)
        for word in value if name == "extra" else ():
            if word.partition("=")[0] in _OURS or word[:2] in _OURS_SHORT:
                msg = f"{where}extra has {word!r}, which the backend itself decides"
                raise ValueError(msg)
        found[name] = value
    return found


def _is_option(word: object) -> bool:
    return isinstance(word, str) and word.startswith("-") and len(word) > 1 and "\0" not in word


@attrs.frozen
class Rule:
    """Options for some jobs."""

    matches: Mapping[str, str]
    options: Mapping[str, Any]

    @classmethod
    def checked(cls, given: object, where: str) -> Rule:
        """Return the rule that a mapping stands for.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(given, Mapping):
            msg = f"{where} is {given!r}; expected a mapping, such as {{'target': 'build', 'partition': 'fast'}}"
            raise ValueError(msg)
        unknown = [key for key in given if key not in MATCHES and key not in OPTIONS]
        if unknown:
            msg = (
                f"{where} has {unknown[0]!r}; expected which jobs ({', '.join(MATCHES)}) or what ({', '.join(OPTIONS)})"
            )
            raise ValueError(msg)
        matches = {key: value for key, value in given.items() if key in MATCHES}
        for key, value in matches.items():
            if not isinstance(value, str):
                msg = f"{where}: {key} is {value!r}; expected text"
                raise ValueError(msg)
        if not matches:
            msg = f"{where} says not which jobs it is for; expected at least one of {', '.join(MATCHES)}"
            raise ValueError(msg)
        return cls(matches, check_options({k: v for k, v in given.items() if k in OPTIONS}, f"{where}: "))

    def fits(self, spec: JobSpec) -> bool:
        """Whether it is for this job."""
        return all(self._fits(spec, key, expected) for key, expected in self.matches.items())

    @staticmethod
    def _fits(spec: JobSpec, key: str, expected: str) -> bool:
        if key == "tag":
            return expected in spec.tags
        return fnmatchcase(spec.id, expected) if key == "job" else getattr(spec, key) == expected


@attrs.frozen
class Requests:
    """From a job to options of sbatch."""

    options: Options
    rules: Sequence[Rule] = ()
    licences: Mapping[str, str] = attrs.field(factory=dict)
    """From a resource to the licence that Slurm counts."""

    @property
    def resources(self) -> frozenset[str]:
        """The resources that Slurm is asked for."""
        return frozenset({*RESOURCES, *self.licences})

    def of(self, spec: JobSpec) -> tuple[str, ...]:
        """Return the options of sbatch for a job; jobs with the same can share an array.

        Raises:
            ValueError: if it asks for what cannot be asked for.
        """
        options = self.options
        for rule in self.rules:
            if rule.fits(spec):
                extra = (*options.extra, *rule.options.get("extra", ()))
                options = attrs.evolve(options, **{**rule.options, "extra": extra})
        words = ["--requeue" if options.requeue else "--no-requeue"]
        words += [
            f"--{name}={value}"
            for name, value in (("partition", options.partition), ("account", options.account), ("qos", options.qos))
            if value is not None
        ]
        limit = self._time(spec, options.time)
        if limit is not None:
            words.append(f"--time={limit}")
        words += self._resources(spec)
        return (*words, *options.extra)

    @staticmethod
    def _time(spec: JobSpec, given: str | None) -> str | None:
        if given == "none":
            return None
        if given is not None or spec.timeout is None:
            return given
        return str(math.ceil((spec.timeout + _TIME_MARGIN) / 60))

    def _resources(self, spec: JobSpec) -> list[str]:
        words: list[str] = []
        licences: list[str] = []
        for name, amount in (spec.resources or {}).items():
            if name in self.licences:
                if amount is None:
                    msg = f"it asks for all of licence {name!r}, and Slurm has to be told how many that are"
                    raise ValueError(msg)
                if amount:
                    licences.append(f"{self.licences[name]}:{amount}")
            elif name == "cpus":
                words.append("--exclusive" if amount is None else f"--cpus-per-task={max(1, amount)}")
            elif name == "memory_mb":
                words.append(f"--mem={amount or 0}" if amount is None else f"--mem={max(1, amount)}M")
            elif name == "gpus":
                if amount is None:
                    msg = "it asks for all gpus, and Slurm has to be told how many that are"
                    raise ValueError(msg)
                if amount:
                    words.append(f"--gres=gpu:{amount}")
        if licences:
            words.append(f"--licenses={','.join(sorted(licences))}")
        return sorted(words)
