"""What does a job request from Slurm? From its resources, from options for all jobs, and from rules for some. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from runtime.backend.batch.rules import Rule, check_texts, options_of, time_limit
from runtime.job import JobSpec

RESOURCES: Final = ("cpus", "memory_mb", "gpus")
"""Names of resources that become options of sbatch."""

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
        check_texts(given, _TEXTS, "requeue", where)
        extra = given.get("extra") or ()
        if isinstance(extra, str) or not isinstance(extra, Sequence) or not all(map(_is_option, extra)):
            expected = "a list of options of sbatch, each with its value: ['--constraint=gpu', '--nice=100']"
            raise ValueError(f"{where}extra is {extra!r}; expected {expected}")
        for word in extra:
            if word.partition("=")[0] in _OURS or word[:2] in _OURS_SHORT:
                msg = f"{where}extra has {word!r}; expected only options that the backend does not set itself"
                raise ValueError(msg)
        return cls(**{**given, "extra": tuple(extra)})


def _is_option(word: object) -> bool:
    return isinstance(word, str) and word.startswith("-") and len(word) > 1 and "\0" not in word


@attrs.frozen
class Requests:
    """Turns jobs into options of sbatch."""

    options: Options
    """Options for all jobs."""
    rules: Sequence[Rule[Options]] = ()
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
        options = options_of(spec, self.options, self.rules)
        words = ["--requeue" if options.requeue else "--no-requeue"]
        words += [
            f"--{name}={value}"
            for name, value in (("partition", options.partition), ("account", options.account), ("qos", options.qos))
            if value is not None
        ]
        limit = time_limit(spec, options.time, 60)
        if limit is not None:
            words.append(f"--time={limit}")
        words += self._resources(spec)
        return (*words, *options.extra)

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
