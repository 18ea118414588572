"""`run_dvsim`: the command ``job-runtime dvsim``: DVSim's command line, with our scheduler in the place of its own."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence

from runtime.cli.earlier import Earlier
from runtime.cli.events_file import STDOUT
from runtime.cli.exit_codes import EXIT_BUG, EXIT_NOT_WRITTEN
from runtime.cli.gc_threshold import raise_gc_threshold
from runtime.cli.logs import ErrorLines, level_of, log_to, log_to_file
from runtime.cli.options import check_current_directory, check_out
from runtime.cli.past_runs import find_run
from runtime.cli.prepare import add_pythonpath
from runtime.dvsim.start import check_version, dvsim_exit_code
from runtime.jobfile.errors import InputError
from runtime.report.output import Output


def run_dvsim(options: argparse.Namespace, command: Sequence[str]) -> int:
    """Run DVSim with arguments of its own; return its exit code, or ours if only ours tells of a failure.

    Args:
        options: of the command.
        command: the words of the command line, for the journal.

    Raises:
        InputError: for any wrong input, but for that which DVSim finds.
    """
    if options.arguments is None:
        raise InputError(
            "there is no -- before the arguments of dvsim; expected job-runtime dvsim [OPTIONS] -- CFG.hjson …"
        )
    if options.events == STDOUT:
        raise InputError("--events is -, and DVSim writes to standard output, too; expected a file")
    check_current_directory()
    check_version()
    log = log_to(ErrorLines(Output(sys.stderr)), level_of(options))
    if options.log_file is not None:
        log_to_file(options.log_file)
    add_pythonpath(options.pythonpath)
    raise_gc_threshold()
    earlier = None if options.resume is None else _earlier(options)
    seed_base = secrets.randbits(32) if options.seed_base is None else options.seed_base
    if earlier is not None and options.seed_base is None:
        seed_base = seed_base if earlier.seed_base is None else earlier.seed_base

    from runtime.dvsim.recorded import RecordedFlow  # here, as it loads DVSim, and sets up the logging of the process

    flow = RecordedFlow(options, command, earlier, seed_base, log)
    try:
        code = dvsim_exit_code(flow, options.arguments, seed_base)
    finally:
        if earlier is not None and flow.exit_code is None:
            earlier.close()
    return flow.exit_code if code == 0 and flow.exit_code in (EXIT_BUG, EXIT_NOT_WRITTEN) else code


def import_dvsim(options: argparse.Namespace) -> int:
    """Run ``import dvsim``; return its exit code. Raises as `import_flow`."""
    from runtime.dvsim.import_flow import import_flow

    return import_flow(options)


def _earlier(options: argparse.Namespace) -> Earlier:
    """Return the run that is resumed, locked."""
    earlier = Earlier(find_run(options.resume, check_out(options.out)), lock=True)
    if not earlier.has_begun:
        earlier.close()
        raise InputError(f"{earlier.run_dir}: nothing is known of the run; expected a run that has begun, or a new one")
    return earlier
