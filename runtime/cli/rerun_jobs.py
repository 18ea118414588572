"""The command ``rerun``: jobs of a run by themselves, as they were made then, with what a person adds to look closer.

::

    RUN ──► its job files, variables, environment, options ──► the same specifications ──► additions ──► a new run

The digests in the journal of the run tell whether the specifications are the same.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from runtime.cli.chosen_jobs import ChosenJobs
from runtime.cli.earlier import Earlier
from runtime.cli.format_options import format_attributes
from runtime.cli.options import check_out, parse_recorded
from runtime.cli.past_runs import find_run, number_in
from runtime.cli.prepare import Prepared, prepare_chosen
from runtime.cli.recorded_run import recorded_run, take_environment
from runtime.job.status import TERMINAL
from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.regression import load_recorded
from runtime.jobfile.variables import Variables
from runtime.journal.lock import holder_of


def prepare_rerun(options: argparse.Namespace) -> tuple[Prepared, argparse.Namespace]:
    """Return all parts of a new run of jobs of an earlier one, checked, and its options, as those of ``run``.

    The environment of this process becomes that of the earlier run.

    Raises:
        InputError: for any wrong input.
    """
    out = check_out(options.out)
    chosen = ChosenJobs(ids=list(dict.fromkeys(options.job)), words=options.words, exports=dict(options.export))
    with closing(Earlier(find_run(options.run, out), lock=False)) as earlier:
        _check_ended(chosen, earlier)
        recorded = recorded_run(earlier)
        take_environment(recorded.environment)
        of_run = parse_recorded(["run", *recorded.options, "--", next(iter(recorded.files.texts), "-")])
        for name in ("out", "print_interval", "verbose", "quiet", "log_file", "drain", "on_end", *format_attributes()):
            setattr(of_run, name, getattr(options, name))
        of_run.seed_base = earlier.seed_base
        of_run.keep = "all"  # who looks closer at a job looks into its directory
        variables = Variables(recorded.definitions, recorded.environment)
        return prepare_chosen(of_run, load_recorded(recorded.files, variables), out, earlier, chosen), of_run


def _check_ended(chosen: ChosenJobs, earlier: Earlier) -> None:
    """Raise `InputError` if the run does not have one of the jobs, or has not ended it and still runs."""
    state = earlier.state
    is_live = not state.is_complete and holder_of(earlier.roots.run) is not None
    for job_id in chosen.ids:
        number = number_in(state, job_id, earlier.run_dir.name)
        if is_live and state.statuses[number] not in TERMINAL:
            raise InputError(
                f"JOB is {shown(job_id)}: {job_id!r} has not ended in the run {earlier.run_dir.name}, which still runs;"
                " expected a job that has ended"
            )
