"""`prepare`: from options to a run that can start: job files read, jobs, backends and scheduler made and checked.

Nothing is started or written, so all wrong input is reported before anything has happened.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

import attrs

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.registry import backends
from runtime.cli.chosen_jobs import ChosenJobs
from runtime.cli.earlier import SELECTED, Earlier
from runtime.cli.job_options import recorded_options
from runtime.cli.keep_plan import KeepPlan
from runtime.cli.make_backends import make_backends
from runtime.cli.options import check_out
from runtime.cli.past_runs import find_run
from runtime.cli.rerunning import Needs, Rerun, plan_rerun
from runtime.cli.resuming import plan_resumption
from runtime.cli.run_journal import RunJournal
from runtime.cli.select import DrawnSeeds, choose, select
from runtime.cli.standing_needs import run_with
from runtime.errors import GraphError, ResourceError
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.regression import Regression, load
from runtime.jobfile.removable import removable_odirs
from runtime.jobfile.variables import Variables
from runtime.journal.json_text import JSON
from runtime.report.known_failures import KnownFailures
from runtime.roots import Roots
from runtime.scheduler.run import Scheduler


@attrs.frozen(kw_only=True)
class Prepared:
    """A run that can start."""

    run: str
    """Its name: the time in UTC and random digits."""
    run_dir: Path
    """Its directory; absolute. Not made yet, unless the run is resumed."""
    roots: Roots
    """The directories of its files; not opened yet, unless the run is resumed."""
    token: str
    """The run token."""
    seed_base: int
    draws_seeds: bool
    """Whether the id of some job depends on the seed base."""
    regression: Regression
    jobs: Sequence[JobSpec]
    backends: Mapping[str, RuntimeBackend]
    default_backend: str
    removable: Mapping[str, str]
    """The output directories that are removed when their jobs have passed, by the ids of the jobs."""
    journal: RunJournal
    keeps: KeepPlan | None
    """What becomes of each job, if results may be kept."""
    is_resumed: bool
    """Whether it goes on with a run that there is, in its directory."""
    known: KnownFailures
    """The known failures of its job files."""
    scheduler: Scheduler[JobSpec]
    logs_to_show: Collection[str] = ()
    """Ids of the jobs whose logs are named at the end."""
    details: Mapping[str, JSON] = attrs.field(factory=dict)
    """What its journal says of it besides."""

    def backend_of(self, job: JobSpec) -> RuntimeBackend:
        """Return the backend of one of `jobs`."""
        return self.backends[job.backend or self.default_backend]


def prepare(
    options: argparse.Namespace, stdin: BinaryIO | None = None, today: Callable[[], date] = date.today
) -> Prepared:
    """Return all parts of a run, checked.

    Args:
        options: of the command line.
        stdin: standard input, if there is one.
        today: tells the day, by which known failures expire: that of the local time zone.

    Raises:
        InputError: for any wrong input.
    """
    add_pythonpath(options.pythonpath)
    regression = load(options.file, stdin, Variables(dict(options.define), os.environ))
    known = KnownFailures(regression.known, today())
    out = check_out(options.out)
    _check_together(options)
    if options.rerun is not None:
        with closing(Earlier(find_run(options.rerun, out), lock=False)) as again:
            return _prepare(options, regression, known, out, again=again)
    if options.resume is None:
        return _prepare(options, regression, known, out)
    # A dry run takes no lock: it may look at a run that lives.
    earlier = Earlier(find_run(options.resume, out), lock=not options.dry_run)
    try:
        if not earlier.has_begun and not options.dry_run:
            earlier.close()
            # A new one, because what is in its directories is not known, and may be of another night.
            return _prepare(options, regression, known, out, None)
        return _prepare(options, regression, known, out, earlier)
    except BaseException:
        earlier.close()
        raise


def _check_together(options: argparse.Namespace) -> None:
    """Raise `InputError` for options that mean nothing without others."""
    if options.keep_builds and options.rerun is None:
        raise InputError("--keep-builds is given without --rerun; expected both, or neither")
    if options.without_needs and options.resume is not None:
        raise InputError("--without-needs is given with --resume, which keeps all that stands; expected one of them")
    if options.without_needs and options.rerun is None and not options.select:
        raise InputError(
            "--without-needs is given without --rerun or --select, which choose jobs; expected one of them"
        )


def prepare_chosen(
    options: argparse.Namespace,
    regression: Regression,
    out: Path,
    earlier: Earlier,
    chosen: ChosenJobs,
    today: Callable[[], date] = date.today,
) -> Prepared:
    """Return all parts of a new run of some jobs of an earlier one, checked; what they need is kept.

    Args:
        options: of ``run``.
        regression: what that run was made of.
        out: the parent of the run directory; absolute.
        earlier: that run.
        chosen: the jobs.
        today: as for `prepare`.

    Raises:
        InputError: for any wrong input.
    """
    add_pythonpath(options.pythonpath)
    known = KnownFailures(regression.known, today())
    return _prepare(options, regression, known, out, again=earlier, chosen=chosen)


def _prepare(
    options: argparse.Namespace,
    regression: Regression,
    known: KnownFailures,
    out: Path,
    earlier: Earlier | None = None,
    again: Earlier | None = None,
    chosen: ChosenJobs | None = None,
) -> Prepared:
    """Return all parts of a run that goes on after `earlier`, or is a new one, of jobs of `again`.

    These are the ones in `chosen`, or else those that did not pass.
    """
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}" if earlier is None else earlier.run_dir.name
    run_dir = out / run if earlier is None else earlier.run_dir
    seed_base = options.seed_base
    if seed_base is None and (before := earlier or again) is not None:
        seed_base = before.seed_base
    is_drawn = seed_base is None
    if seed_base is None:
        seed_base = secrets.randbits(32)
    expansion = Expansion(
        run_dir=run_dir,
        seed_base=seed_base,
        reseed=options.reseed,
        fixed_seed=options.fixed_seed,
        timeout_multiplier=options.timeout_multiplier,
    )
    drawn = DrawnSeeds(
        frozenset(entry.name for entry in regression.entries if isinstance(expansion.seeds(entry.table), int)),
        seed_base,
        given=not is_drawn,
    )
    jobs = expand(regression, expansion)
    only: Collection[str] | None = None
    if chosen is not None:
        only = chosen.ids
    elif again is not None:
        only = again.not_passed(jobs, each_bucket=options.each_bucket)
    as_then = {} if again is None else _as_then(regression, expansion, again)
    if chosen is not None and again is not None:
        chosen.check_same(as_then, again)
    if options.without_needs:
        only = choose(jobs, options.select, drawn, exclude=options.exclude, only=only)
    is_selected = bool(options.select or options.exclude)
    then = None if earlier is None or is_selected else earlier.selected(jobs)
    jobs = select(jobs, options.select, drawn, exclude=options.exclude, only=only if then is None else then)
    details: dict[str, JSON] = {} if chosen is None else chosen.details(jobs)
    details[SELECTED] = is_selected or only is not None or then is not None
    jobs = jobs if chosen is None else chosen.added_to(jobs)
    default = options.backend or backends.default
    roots = Roots(str(run_dir)) if earlier is None else earlier.roots
    journal = RunJournal(roots, regression, jobs, recorded_options(options), earlier)
    token = earlier.token if earlier is not None and earlier.has_begun else secrets.token_hex(8)
    made = make_backends(jobs, default, regression, options, roots)
    keeps = None if earlier is None else plan_resumption(earlier, jobs, made)
    if only is not None:
        needs = Needs.KEPT if options.keep_builds else Needs.FROM_SAME_TREE
        needs = Needs.MUST_BE_KEPT if chosen is not None or options.without_needs else needs
        rerun = Rerun(named=only, needs=needs, source_directory=regression.entries[0].directory)
        if again is not None:
            keeps = plan_rerun(rerun, again, jobs, as_then, run_dir)
        elif missing := [job.id for job in jobs if job.id not in only]:
            keeps = _plan_on(run_with(missing, out), rerun, jobs, regression, expansion)
        journal.recorder.origins = {} if keeps is None else keeps.origins
    try:
        scheduler = Scheduler(
            jobs,
            made,
            default_backend=default if default in made else None,
            max_parallelism=options.max_parallel,
            resources={**regression.resources, **dict(options.resource)},
            on_missing_resource=options.on_missing_resource,
            max_failures=1 if options.fail_fast else options.max_failures,
            first_attempts=None if keeps is None else keeps.first_attempts,
            journal=journal.recorder,
            run_token=token,
            known=known.name_of if regression.known else None,
        )
    except (GraphError, ResourceError) as exc:
        hint = "; expected a limit under [resources], or --resource NAME=N" if "has no limit" in str(exc) else ""
        raise InputError(f"{regression.source}: {exc}{hint}") from exc
    return Prepared(
        run=run,
        run_dir=run_dir,
        roots=roots,
        token=token,
        seed_base=seed_base,
        draws_seeds=any(job.name in drawn.names for job in jobs),
        regression=regression,
        jobs=jobs,
        backends=made,
        default_backend=default,
        removable=removable_odirs(regression, jobs, run_dir, options.keep),
        journal=journal,
        keeps=keeps,
        is_resumed=earlier is not None,
        logs_to_show=() if chosen is None else chosen.ids,
        details=details,
        known=known,
        scheduler=scheduler,
    )


def _plan_on(
    run_dir: Path, rerun: Rerun, jobs: Sequence[JobSpec], regression: Regression, expansion: Expansion
) -> KeepPlan:
    """Return what becomes of each job, if the run in `run_dir` is the earlier one."""
    with closing(Earlier(run_dir, lock=False)) as earlier:
        return plan_rerun(rerun, earlier, jobs, _as_then(regression, expansion, earlier), expansion.run_dir)


def _as_then(regression: Regression, expansion: Expansion, again: Earlier) -> dict[str, JobSpec]:
    """Return the specifications of all jobs, by id, as they would be in the directory of an earlier run."""
    then = attrs.evolve(expansion, run_dir=again.run_dir_then)
    return {job.id: job for job in expand(regression, then, warn=False)}


def add_pythonpath(directories: Iterable[str]) -> None:
    """Put directories in front of `sys.path`, the first of them first.

    Raises:
        InputError: for one that does not exist.
    """
    for directory in directories:
        if not os.path.isdir(directory):  # `Path.is_dir` raises if the name is too long
            raise InputError(f"--pythonpath is {shown(directory)}; expected a directory")
    sys.path[:0] = [str(Path(directory).absolute()) for directory in directories]
