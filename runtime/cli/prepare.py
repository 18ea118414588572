"""`prepare`: from options to a run that can start: job files read, jobs, backends and scheduler made and checked.

Nothing is started or written, so all wrong input is reported before anything has happened.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.registry import backends
from runtime.cli.chosen_jobs import ChosenJobs
from runtime.cli.earlier import SELECTED, Earlier
from runtime.cli.job_options import recorded_options
from runtime.cli.keep_plan import KeepPlan
from runtime.cli.limit_providers import limits_of_run
from runtime.cli.make_backends import make_backends
from runtime.cli.options import check_out
from runtime.cli.past_runs import find_run
from runtime.cli.rerunning import Needs, Rerun, plan_rerun
from runtime.cli.resuming import plan_resumption
from runtime.cli.run_journal import RunJournal
from runtime.cli.select import DrawnSeeds, choose, select
from runtime.cli.standing_needs import run_with
from runtime.cli.without_jobserver import without_jobserver
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

logger: Final = logging.getLogger("runtime.cli")


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
    request = _Request(options=options, regression=regression, known=known, out=out)
    if options.rerun is not None:
        with closing(Earlier(find_run(options.rerun, out), lock=False)) as again:
            return _prepare(attrs.evolve(request, again=again))
    if options.resume is None:
        return _prepare(request)
    # A dry run takes no lock: it may look at a run that lives.
    earlier = Earlier(find_run(options.resume, out), lock=not options.dry_run)
    try:
        if not earlier.has_begun and not options.dry_run:
            earlier.close()
            # A new one, because what is in its directories is not known, and may be of another night.
            return _prepare(request)
        return _prepare(attrs.evolve(request, earlier=earlier))
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
    return _prepare(
        _Request(options=options, regression=regression, known=known, out=out, again=earlier, chosen=chosen)
    )


@attrs.frozen(kw_only=True)
class _Request:
    """What a run is to be made of: it goes on after `earlier`, or is a new one, of jobs of `again`, or of all jobs."""

    options: argparse.Namespace
    regression: Regression
    known: KnownFailures
    out: Path
    earlier: Earlier | None = None
    again: Earlier | None = None
    chosen: ChosenJobs | None = None
    """Which jobs of `again`; `None` for those that did not pass."""


@attrs.frozen(kw_only=True)
class _Selection:
    """Which jobs of the job file are in a run."""

    jobs: list[JobSpec]
    named: Collection[str] | None
    """Ids of the jobs that run in any case, while what they need may be kept of another run; `None` for a run that
    keeps nothing of another one."""
    as_then: Mapping[str, JobSpec]
    """By id: the specifications of all jobs, as they would be in the directory of the run `again`."""
    details: dict[str, JSON]
    """What the journal says of it."""


def new_run_name(now: datetime) -> str:
    """Return the name of a run that begins now. Names sort in the order in which their runs began.

    The last six digits are the fraction of the second, in 1/65536, and two at random, so that two runs that begin at
    once have different names in most cases; else the directory of the second one exists, and it is refused.
    """
    return f"{now:%Y%m%d-%H%M%S}-{(now.microsecond << 16) // 1_000_000:04x}{secrets.token_hex(1)}"


def _prepare(request: _Request) -> Prepared:
    """Return all parts of a run."""
    options, regression, earlier, chosen = request.options, request.regression, request.earlier, request.chosen
    run = new_run_name(datetime.now(UTC)) if earlier is None else earlier.run_dir.name
    run_dir = request.out / run if earlier is None else earlier.run_dir
    expansion, drawn = _expansion(request, run_dir)
    selection = _select(request, expansion, drawn)
    jobs = selection.jobs if chosen is None else chosen.added_to(selection.jobs)
    default = options.backend or backends.default
    roots = Roots(str(run_dir)) if earlier is None else earlier.roots
    journal = RunJournal(roots, regression, jobs, recorded_options(options), earlier)
    token = earlier.token if earlier is not None and earlier.has_begun else secrets.token_hex(8)
    made = make_backends(jobs, default, regression, options, roots)
    for sentence in without_jobserver(jobs, default, made):
        logger.warning("%s", sentence)
    keeps = _keeps(request, selection, jobs, expansion, made)
    if keeps is not None and earlier is None:  # what a resumed run has kept of others is in its journal
        journal.recorder.origins = keeps.origins
    try:
        scheduler = Scheduler(
            jobs,
            made,
            default_backend=default if default in made else None,
            max_parallelism=options.max_parallel,
            resources=limits_of_run(regression.resources, options.resource, jobs),
            on_missing_resource=options.on_missing_resource,
            max_failures=1 if options.fail_fast else options.max_failures,
            first_attempts=None if keeps is None else keeps.first_attempts,
            journal=journal.recorder,
            run_token=token,
            known=request.known.name_of if regression.known else None,
        )
    except (GraphError, ResourceError) as exc:
        hint = "; expected a limit under [resources], or --resource NAME=N" if "has no limit" in str(exc) else ""
        raise InputError(f"{regression.source}: {exc}{hint}") from exc
    return Prepared(
        run=run,
        run_dir=run_dir,
        roots=roots,
        token=token,
        seed_base=expansion.seed_base,
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
        details=selection.details,
        known=request.known,
        scheduler=scheduler,
    )


def _expansion(request: _Request, run_dir: Path) -> tuple[Expansion, DrawnSeeds]:
    """Return how the job file is expanded, and which seeds are drawn for that: from the seed base of an earlier run."""
    options, before = request.options, request.earlier or request.again
    given = options.seed_base
    if given is None and before is not None:
        given = before.seed_base
    expansion = Expansion(
        run_dir=run_dir,
        seed_base=secrets.randbits(32) if given is None else given,
        reseed=options.reseed,
        fixed_seed=options.fixed_seed,
        timeout_multiplier=options.timeout_multiplier,
    )
    names = [entry.name for entry in request.regression.entries if isinstance(expansion.seeds(entry.table), int)]
    return expansion, DrawnSeeds(frozenset(names), expansion.seed_base, given=given is not None)


def _select(request: _Request, expansion: Expansion, drawn: DrawnSeeds) -> _Selection:
    """Return which jobs are in the run."""
    options, earlier, again, chosen = request.options, request.earlier, request.again, request.chosen
    jobs = expand(request.regression, expansion)
    named: Collection[str] | None = None
    if chosen is not None:
        named = chosen.ids
    elif again is not None:
        named = again.not_passed(jobs, each_bucket=options.each_bucket)
    as_then = {} if again is None else _as_then(request.regression, expansion, again)
    if chosen is not None and again is not None:
        chosen.check_same(as_then, again)
    if options.without_needs:
        named = choose(jobs, options.select, drawn, exclude=options.exclude, only=named)
    is_selected = bool(options.select or options.exclude)
    only = named if earlier is None or is_selected else earlier.selected(jobs)
    jobs = select(jobs, options.select, drawn, exclude=options.exclude, only=only)
    details = {} if chosen is None else chosen.details(jobs)
    details[SELECTED] = is_selected or only is not None
    return _Selection(jobs=jobs, named=named, as_then=as_then, details=details)


def _keeps(
    request: _Request,
    selection: _Selection,
    jobs: Sequence[JobSpec],
    expansion: Expansion,
    made: Mapping[str, RuntimeBackend],
) -> KeepPlan | None:
    """Return what becomes of each job, if results may be kept: of the run that goes on, or of another one."""
    if request.earlier is not None:
        return plan_resumption(request.earlier, jobs, made)
    if selection.named is None:
        return None
    options = request.options
    needs = Needs.KEPT if options.keep_builds else Needs.FROM_SAME_TREE
    needs = Needs.MUST_BE_KEPT if request.chosen is not None or options.without_needs else needs
    rerun = Rerun(named=selection.named, needs=needs, source_directory=request.regression.directory)
    if request.again is not None:
        return plan_rerun(rerun, request.again, jobs, selection.as_then, expansion.run_dir)
    missing = [job.id for job in jobs if job.id not in selection.named]
    return _plan_on(run_with(missing, request.out), rerun, jobs, request.regression, expansion) if missing else None


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
