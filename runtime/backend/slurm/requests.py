"""What does a job request from Slurm? From its resources, from options for all jobs, and from rules for some. Pure.

A rule is a mapping. Some of its keys select jobs, and all of them must match; the others are options. If two rules
match, the later one overrides the earlier one, but their `extra` options add up.
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
"""Keys of a rule that select jobs. `job` is a shell pattern that the id must match."""

_TEXTS: Final = ("partition", "account", "qos", "time")
OPTIONS: Final = (*_TEXTS, "requeue", "extra")
"""Options for all jobs, or for the jobs of a rule."""

VARIABLES: Final = MappingProxyType(
    {"SBATCH_PARTITION": "partition", "SBATCH_ACCOUNT": "account", "SBATCH_QOS": "qos", "SBATCH_TIMELIMIT": "time"}
)
"""Environment variables of Slurm's that are the defaults of options."""

_OURS: Final = ("--array", "--job-name", "--output", "--error", "--export", "--chdir", "--parsable", "--wrap", "--wait")
"""Options of sbatch that `extra` must not have: the backend sets them, and would not work with other values."""
_OURS_SHORT: Final = ("-a", "-J", "-o", "-e", "-D", "-W")

_TIME_MARGIN: Final = 300.0
"""Seconds by which Slurm's time limit exceeds the job's own, which we enforce. Slurm's ends only jobs whose runtime was
killed. Arbitrary: with a tenth, Slurm may end a job that we are stopping; with ten times as many, orphaned jobs hold
licences for an hour, and fewer partitions admit the job."""


_MIB: Final = 1 << 20
"""Bytes of Slurm's unit, to which it rounds up."""


@attrs.frozen
class Options:
    """What is requested besides resources. `None` where nothing is said."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    """Slurm's time limit, in its notation; ``"none"`` for the partition's; `None` for one beyond the job's own."""
    requeue: bool | None = None
    """Whether Slurm may start a job again, as after the failure of its node."""
    extra: tuple[str, ...] = ()
    """Further options of sbatch."""

    @classmethod
    def checked(cls, given: Mapping[str, Any], where: str) -> Options:
        """Return options.

        Args:
            given: the options, by name; `None` where nothing is said.
            where: how messages begin.

        Raises:
            ValueError: if a value is not of the expected kind, or `extra` has an option that the backend sets.
        """
        for name, value in given.items():
            if value is None:
                continue
            if name in _TEXTS:
                expected, good = "text that is not empty", isinstance(value, str) and value and "\0" not in value
            elif name == "requeue":
                expected, good = "True or False", isinstance(value, bool)
            else:
                expected = "a list of options of sbatch, each with its value: ['--constraint=gpu', '--nice=100']"
                good = not isinstance(value, str) and isinstance(value, Sequence) and all(map(_is_option, value))
            if not good:
                raise ValueError(f"{where}{name} is {value!r}; expected {expected}")
        extra = given.get("extra") or ()
        for word in extra:
            if word.partition("=")[0] in _OURS or word[:2] in _OURS_SHORT:
                msg = f"{where}extra has {word!r}; expected only options that the backend does not set itself"
                raise ValueError(msg)
        return cls(**{**given, "extra": tuple(extra)})

    def overridden_by(self, other: Options) -> Options:
        """Return these options with those that `other` has in their places; options in `extra` add up."""
        said = {name: value for name, value in attrs.asdict(other).items() if value is not None}
        return attrs.evolve(self, **{**said, "extra": self.extra + other.extra})


def _is_option(word: object) -> bool:
    return isinstance(word, str) and word.startswith("-") and len(word) > 1 and "\0" not in word


@attrs.frozen
class Rule:
    """Options for some jobs."""

    matches: Mapping[str, str]
    options: Options

    @classmethod
    def checked(cls, given: object, where: str) -> Rule:
        """Return the rule that a mapping describes.

        Raises:
            ValueError: if the mapping is not a rule.
        """
        if not isinstance(given, Mapping):
            msg = f"{where} is {given!r}; expected a mapping, such as {{'target': 'build', 'partition': 'fast'}}"
            raise ValueError(msg)
        unknown = [key for key in given if key not in MATCHES and key not in OPTIONS]
        if unknown:
            raise ValueError(
                f"{where} has {unknown[0]!r}; expected a key that selects jobs ({', '.join(MATCHES)}) "
                f"or an option ({', '.join(OPTIONS)})"
            )
        matches = {key: value for key, value in given.items() if key in MATCHES}
        for key, value in matches.items():
            if not isinstance(value, str):
                raise ValueError(f"{where}: {key} is {value!r}; expected text")
        if not matches:
            raise ValueError(f"{where} selects no jobs; expected at least one of {', '.join(MATCHES)}")
        return cls(matches, Options.checked({k: v for k, v in given.items() if k in OPTIONS}, f"{where}: "))

    def fits(self, spec: JobSpec) -> bool:
        """Whether the rule is for this job."""
        return all(self._fits(spec, key, expected) for key, expected in self.matches.items())

    @staticmethod
    def _fits(spec: JobSpec, key: str, expected: str) -> bool:
        if key == "tag":
            return expected in spec.tags
        return fnmatchcase(spec.id, expected) if key == "job" else getattr(spec, key) == expected


@attrs.frozen
class Requests:
    """Turns jobs into options of sbatch."""

    options: Options
    """Options for all jobs."""
    rules: Sequence[Rule] = ()
    """Options for some jobs."""
    licences: Mapping[str, str] = attrs.field(factory=dict)
    """From a resource to the name of the licence in Slurm."""

    @property
    def resources(self) -> frozenset[str]:
        """The resources that are requested from Slurm."""
        return frozenset({*RESOURCES, *self.licences})

    def of(self, spec: JobSpec) -> tuple[str, ...]:
        """Return the options of sbatch for a job; jobs with equal options can share an array.

        Raises:
            ValueError: if the job asks for all of a resource whose amount Slurm must be given.
        """
        options = self.options
        for rule in self.rules:
            if rule.fits(spec):
                options = options.overridden_by(rule.options)
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
        limit = spec.timeout + _TIME_MARGIN
        if spec.timeout_from is not None:  # its process runs for longer: it waits for a line of its log before that
            if spec.queue_timeout is None:
                return None
            limit += spec.queue_timeout
        return str(math.ceil(limit / 60))  # a plain number is minutes to sbatch

    def _resources(self, spec: JobSpec) -> list[str]:
        words: list[str] = []
        licences: list[str] = []
        for name, amount in (spec.resources or {}).items():
            if amount is None and (name in self.licences or name == "gpus"):
                raise ValueError(f"it requests all of {name!r}; expected a number, as Slurm has no word for all")
            if name in self.licences:
                if amount:
                    licences.append(f"{self.licences[name]}:{amount}")
            elif name == "cpus":
                words.append("--exclusive" if amount is None else f"--cpus-per-task={max(1, amount)}")
            elif name == "memory_mb" and spec.memory is None:
                words.append(f"--mem={amount or 0}" if amount is None else f"--mem={max(1, amount)}M")
            elif name == "gpus" and amount:
                words.append(f"--gres=gpu:{amount}")
        if spec.memory is not None:  # Slurm has one number for what a job needs and what it may use
            words.append(f"--mem={math.ceil(spec.memory / _MIB)}M")
        if licences:
            words.append(f"--licenses={','.join(sorted(licences))}")
        return sorted(words)  # so that the order of a job's resources does not split an array
