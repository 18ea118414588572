"""What does a job request from Grid Engine? From its resources, from options for all jobs, and from rules. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Any, Final, Literal

import attrs

from runtime.backend.batch.rules import Rule, check_amount, check_texts, check_words, options_of, time_limit
from runtime.job import JobSpec, SoftStop, check_soft_stop

_SYSTEM: Final = "Grid Engine"
_TEXTS: Final = ("queue", "project", "parallel_environment", "time")
OPTIONS: Final = (*_TEXTS, "rerun", "extra")
"""Options for all jobs, or for the jobs of a rule."""

_OURS: Final = (
    *("-@", "-C", "-N", "-S", "-V", "-b", "-clear", "-cwd", "-e", "-h", "-help", "-i", "-inherit", "-j", "-now", "-o"),
    *("-r", "-shell", "-sync", "-t", "-tc", "-terse", "-v", "-verify", "-wd"),
)
"""Options of qsub that `extra` must not have: the backend sets them, or would not work with them."""

_EXPECTED: Final = "a list of words for qsub, which begins with an option: ['-l', 'arch=lx-amd64', '-p', '-100']"


@attrs.frozen
class Options:
    """What is requested besides resources. `None` where nothing is said."""

    queue: str | None = None
    project: str | None = None
    parallel_environment: str | None = None
    """Of jobs with more than one processor."""
    time: str | None = None
    """Grid Engine's limit of the run time, in its notation; ``"none"`` for the queue's; `None` for one beyond the
    job's own."""
    rerun: bool | None = None
    """Whether Grid Engine may start a job again."""
    extra: tuple[str, ...] = ()
    """Further words for qsub."""

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
    """Turns jobs into words for qsub."""

    options: Options
    """Options for all jobs."""
    rules: Sequence[Rule[Options]] = ()
    """Options for some jobs."""
    complexes: Mapping[str, str] = attrs.field(factory=dict)
    """From a resource to the name of the complex in Grid Engine."""

    @property
    def resources(self) -> frozenset[str]:
        """The resources that are requested from Grid Engine."""
        every = (self.options, *(rule.options for rule in self.rules))
        slots = {"cpus"} if any(options.parallel_environment is not None for options in every) else set[str]()
        return frozenset({*slots, *self.complexes})

    def of(self, spec: JobSpec) -> tuple[str, ...]:
        """Return the words for qsub of a job; jobs with equal words can share an array.

        Raises:
            ValueError: if Grid Engine cannot give the job what it asks for.
        """
        check_stop(spec.soft_stop, "its soft_stop")
        options = options_of(spec, self.options, self.rules)
        words = ["-r", "y" if options.rerun else "n"]
        for option, value in (("-q", options.queue), ("-P", options.project)):
            if value is not None:
                words += [option, value]
        resources = spec.resources or {}
        slots = 1
        if options.parallel_environment is not None:
            slots = check_amount("cpus", resources.get("cpus", 1), _SYSTEM)
            if slots > 1:
                words += ["-pe", options.parallel_environment, str(slots)]
        for complex_value in self._complexes(spec, options, resources, slots):
            words += ["-l", complex_value]
        return (*words, *options.extra)

    def _complexes(self, spec: JobSpec, options: Options, resources: Mapping[str, int | None], slots: int) -> list[str]:
        found = []
        limit = time_limit(spec, options.time)
        if limit is not None:
            found.append(f"h_rt={limit}")
        for name, given in resources.items():
            if name in self.complexes and (amount := check_amount(name, given, _SYSTEM)):
                # A complex is counted for each slot. Of memory that is meant; a licence is to be one that counts jobs.
                value = f"{math.ceil(amount / slots)}M" if name == "memory_mb" else str(amount)
                found.append(f"{self.complexes[name]}={value}")
        return sorted(found)  # so that the order of a job's resources does not split an array


def check_stop(stop: SoftStop | Literal[False] | None, what: str) -> None:
    """Check that a soft step is one that jobs on Grid Engine can have.

    Raises:
        ValueError: if it is a signal; the message begins with `what`.
    """
    if stop and isinstance(number := check_soft_stop(stop), int):
        raise ValueError(
            f"{what} is {Signals(number).name}; expected the name of a file, as Grid Engine has no command that sends "
            "a job a signal"
        )
