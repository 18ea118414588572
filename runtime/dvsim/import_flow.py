"""`import_flow`: the command ``import dvsim``: a job file of the jobs that DVSim would run."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Mapping
from typing import Any, Final

from runtime.cli.imports import Imported, write_imported
from runtime.dvsim.start import check_version, dvsim_exit_code
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError

_MISSING: Final = (
    "what DVSim does in Python before and after jobs: the file of build options, coverage databases that are removed.",
    "seeds as keys, for --reseed and --fixed-seed: they are in the names and commands of jobs.",
    "times that a tool reports, which DVSim's plug-ins find: see runtime_pattern and simulated_time_pattern.",
    "DVSim's result tables, test plans and coverage.",
)


class _CollectedError(Exception):
    """Ends DVSim when it has made its jobs."""


class _Collector:
    """Takes the jobs that DVSim would run."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.jobs: list[JobSpec] = []
        self.resources: dict[str, object] = {}

    async def run_scheduler(self, *, jobs: Any, resource_manager: Any = None, **_: object) -> None:
        """Keep the jobs and the limits, in the place of DVSim's function; then end."""
        from runtime.dvsim.backends import limits_of
        from runtime.dvsim.jobs import FlowJobs

        self.jobs = FlowJobs(jobs).ours()
        limits, _policy = await limits_of(resource_manager)
        for job in self.jobs:
            for name in job.resources or {}:
                limit = limits.get(name)
                self.resources[name] = "unlimited" if limit is None else limit
        self.failure = _CollectedError()
        raise self.failure


def import_flow(options: argparse.Namespace) -> int:
    """Write the job file; return the exit code: DVSim's if it ends before it has made any job.

    Raises:
        InputError: for any wrong input, but for that which DVSim finds.
    """
    check_version()
    arguments = options.arguments if options.arguments is not None else options.words
    if not arguments:
        raise InputError("there are no arguments of dvsim; expected job-runtime import dvsim [-o FILE] -- CFG.hjson …")
    collector = _Collector()
    seed_base = secrets.randbits(32) if options.seed_base is None else options.seed_base
    try:
        return dvsim_exit_code(collector, arguments, seed_base)
    except _CollectedError:
        pass
    return write_imported(
        Imported(
            jobs={job.id: _keys(job) for job in collector.jobs},
            source=f"dvsim {' '.join(arguments)}",
            missing=_MISSING,
            resources=collector.resources,
        ),
        options.output,
    )


def _keys(job: JobSpec) -> Mapping[str, object]:
    """Return the keys of a job in a job file."""
    keys: dict[str, object] = {
        "cmd": list(job.cmd),
        "needs": list(job.dependencies),
        "run_if": None if job.run_if == "passed" else job.run_if,
        "cwd": job.cwd,
        "odir": job.odir,
        "renew_odir": job.renew_odir,
        "log_path": job.log_path,
        "timeout": job.timeout,
        "weight": job.weight,
        "resources": {name: "all" if amount is None else amount for name, amount in (job.resources or {}).items()},
        "exports": dict(job.exports),
        "pass_patterns": list(job.pass_patterns),
        "fail_patterns": list(job.fail_patterns),
        "target": job.target,
        "job_type": job.job_type,
        "dry_run": job.dry_run,
        "interactive": job.interactive,
    }
    return {key: value for key, value in keys.items() if value not in (None, False, "", [], {})}
