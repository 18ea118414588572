"""What does a job request from LSF? From its resources, from options for all jobs, and from rules for some. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.backend.batch.rules import Rule, check_amount, check_texts, check_words, options_of, time_limit
from runtime.job import JobSpec

RESOURCES: Final = ("cpus", "memory_mb")
"""Names of resources that become words for bsub."""

_SYSTEM: Final = "LSF"
_TEXTS: Final = ("queue", "project", "time")
OPTIONS: Final = (*_TEXTS, "rerun", "extra")
"""Options for all jobs, or for the jobs of a rule."""

_OURS: Final = (
    *("-J", "-o", "-oo", "-e", "-eo", "-cwd", "-Q", "-r", "-rn", "-K", "-I", "-Ip", "-Is", "-IS", "-ISp", "-ISs"),
    *("-pack", "-i", "-is", "-h", "-V"),
)
"""Options of bsub that `extra` must not have: the backend sets them, or would not work with them."""
_EXPECTED: Final = "a list of words for bsub, which begins with an option: ['-R', 'select[type==any]', '-sp', '10']"

_MIB: Final = 1 << 20
"""Bytes of LSF's ``MB``, to which we round up."""


@attrs.frozen
class Options:
    """What is requested besides resources. `None` where nothing is said."""

    queue: str | None = None
    project: str | None = None
    time: str | None = None
    """LSF's limit of the run time, in its notation; ``"none"`` for the queue's; `None` for one beyond the job's own."""
    rerun: bool | None = None
    """Whether LSF may start a job again, as after the failure of its node."""
    extra: tuple[str, ...] = ()
    """Further words for bsub."""

    @classmethod
    def checked(cls, given: Mapping[str, Any], where: str) -> Options:
        """Return options.

        Args:
            given: the options, by name; `None` where nothing is said.
            where: how messages begin.

        Raises:
            ValueError: if a value is not of the expected kind, or `extra` has an option that the backend sets.
        """
        check_texts(given, _TEXTS, "rerun", where)
        return cls(**{**given, "extra": check_words(given.get("extra"), where, _OURS, _EXPECTED)})


@attrs.frozen
class Requests:
    """Turns jobs into words for bsub."""

    options: Options
    """Options for all jobs."""
    rules: Sequence[Rule[Options]] = ()
    """Options for some jobs."""
    rusage: Mapping[str, str] = attrs.field(factory=dict)
    """From a resource to its name in LSF."""

    @property
    def resources(self) -> frozenset[str]:
        """The resources that are requested from LSF."""
        return frozenset({*RESOURCES, *self.rusage})

    def of(self, spec: JobSpec) -> tuple[str, ...]:
        """Return the words for bsub of a job; jobs with equal words can share an array.

        Raises:
            ValueError: if the job asks for all of a resource.
        """
        options = options_of(spec, self.options, self.rules)
        words = ["-r" if options.rerun else "-rn"]
        for option, value in (
            ("-q", options.queue),
            ("-P", options.project),
            ("-W", time_limit(spec, options.time, 60)),
        ):
            if value is not None:
                words += [option, value]
        if spec.memory is not None:
            words += ["-M", f"{math.ceil(spec.memory / _MIB)}MB"]
        return (*words, *self._resources(spec), *options.extra)

    def _resources(self, spec: JobSpec) -> list[str]:
        given = {name: amount for name, amount in (spec.resources or {}).items() if name in self.resources}
        amounts = {name: check_amount(name, amount, _SYSTEM) for name, amount in given.items()}
        slots = amounts.pop("cpus", 1)
        words = ["-n", str(slots), "-R", "span[hosts=1]"] if slots > 1 else []
        # Sorted, so that the order of a job's resources does not split an array.
        used = ",".join(sorted(self._usage(name, amount, slots) for name, amount in amounts.items() if amount))
        return [*words, "-R", f"rusage[{used}]"] if used else words

    def _usage(self, name: str, amount: int, slots: int) -> str:
        known, unit, counted = (self.rusage[name], "", "/job") if name in self.rusage else ("mem", "MB", "/host")
        # For a job with one slot it is the same, and LSF before 10.1.0.9 does not know these words.
        return f"{known}={amount}{unit}{counted if slots > 1 else ''}"
