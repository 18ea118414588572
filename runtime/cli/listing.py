"""The commands ``list`` and ``backends``: the lines that they print. Nothing is run."""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Iterator, Sequence
from typing import Final

from runtime.backend.registry import BackendRegistry, LauncherFactory, foreign
from runtime.cli.backend_options import backend_options
from runtime.cli.prepare import Prepared
from runtime.errors import RegistryError
from runtime.job import JobSpec
from runtime.report.summary import Line
from runtime.report.text import printable, printable_start

_KINDS: Final = {"passed": "", "any-passed": "any of ", "ended": "the end of "}

MAX_NEEDS: Final = 5
"""Dependencies that a line of the list names. Arbitrary: ten times more would wrap over several lines of a terminal."""


def job_lines(prepared: Prepared) -> Iterator[Line]:
    """Yield a line for each job, in an order in which they can run."""
    default = next(iter(prepared.backends))
    for job in in_order(prepared.jobs):
        needs = [printable(name) for name in job.dependencies[:MAX_NEEDS]]
        if len(job.dependencies) > MAX_NEEDS:
            needs.append(f"{len(job.dependencies) - MAX_NEEDS} more")
        joined = _KINDS[job.run_if] + ", ".join(needs)
        yield (
            (printable(job.id), "bold"),
            (f"  on {printable(job.backend)}" if job.backend not in (None, default) else "", ""),
            (f"  after {joined}" if needs else "", "dim"),
        )


def in_order(jobs: Sequence[JobSpec]) -> list[JobSpec]:
    """Return `jobs`, which form no cycle, in the order in which they would start one at a time.

    Each comes after its dependencies; of those that could start, the heaviest is first, and then the first of `jobs`.
    """
    waits = [len(set(job.dependencies)) for job in jobs]
    dependents: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        for needed in set(job.dependencies):
            dependents.setdefault(needed, []).append(number)
    ready = [(-job.weight, number) for number, job in enumerate(jobs) if not waits[number]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        job = jobs[heapq.heappop(ready)[1]]
        ordered.append(job)
        for number in dependents.get(job.id, ()):
            waits[number] -= 1
            if not waits[number]:
                heapq.heappush(ready, (-jobs[number].weight, number))
    return ordered


def backend_lines(registry: BackendRegistry, *, verbose: bool) -> Iterator[Line]:
    """Yield lines about each backend: its name and description; with `verbose`, its abilities and keys, too."""
    for name in registry.names():
        default = "  (default)" if name == registry.default else ""
        try:
            # All of one backend's lines before any is printed: its code may raise anything.
            with foreign(f"backend {name!r} cannot be described", ValueError):
                lines = list(_lines_of(registry, name, default, verbose=verbose))
        except (RegistryError, ValueError) as exc:
            lines = [((printable(name), "bold"), (f"  cannot be used: {printable(str(exc))}", "red"))]
        yield from lines
    yield (("legacy:package.module:ClassName", "bold"), ("  any class with launch(), poll() and kill()", ""))


def _lines_of(registry: BackendRegistry, name: str, default: str, *, verbose: bool) -> Iterator[Line]:
    factory = registry.load(name)
    launcher_cls = factory.launcher_cls if isinstance(factory, LauncherFactory) else None
    # To make an adapter only reads the limits of its launcher class.
    described = factory if launcher_cls is None else factory()
    what = inspect.getdoc(factory if launcher_cls is None else launcher_cls) or ""
    what = printable_start(what.partition("\n")[0], 100)
    if launcher_cls is not None:
        what = f"{what}  (launcher {printable(launcher_cls.__qualname__)})".lstrip()
    yield ((printable(name), "bold"), (default, "green"), (f"  {what}" if what else "", ""))
    if verbose:
        able = getattr(described, "supports_interactive", False)
        yield ((f"    interactive jobs: {'yes' if able else 'no'}", ""),)
        yield ((f"    keys of [backends.{printable(name)}]:", ""),)
        for option in backend_options(registry, name):
            yield ((f"      {printable(option.text)}", ""),)
        variables = getattr(factory, "environment_variables", {})
        if variables:
            pairs = ", ".join(f"{variable} for {option}" for variable, option in variables.items())
            yield ((f"    variables that stand in for keys: {pairs}", ""),)
