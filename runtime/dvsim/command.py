"""`run_dvsim`: the command ``job-runtime dvsim``: DVSim's command line, with our scheduler in the place of its own."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runtime.cli.earlier import Earlier
from runtime.cli.events_file import STDOUT
from runtime.cli.exit_codes import EXIT_BUG, EXIT_NOT_WRITTEN, print_error
from runtime.cli.logs import ErrorLines, level_of, log_to, log_to_file
from runtime.cli.options import check_current_directory, check_out
from runtime.cli.past_runs import find_run
from runtime.cli.prepare import add_pythonpath
from runtime.cli.run import raise_gc_threshold
from runtime.dvsim.version import check_version
from runtime.jobfile.errors import InputError
from runtime.report.output import Output

if TYPE_CHECKING:
    from runtime.dvsim.recorded import RecordedFlow


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

    # Here, as it takes a second, and sets up the logging of the process.
    from dvsim.cli import main as dvsim
    from dvsim.flow import base

    from runtime.dvsim.recorded import RecordedFlow
    from runtime.dvsim.safe_hooks import keep_current_directory
    from runtime.dvsim.seeds import draw_seeds_from

    flow = RecordedFlow(options, command, earlier, seed_base, log)
    keep_current_directory()
    base.run_scheduler = flow.run_scheduler
    draw_seeds_from(seed_base)
    os.environ.pop("MAKEFLAGS", None)  # as DVSim does for its jobs: a make around this process is not theirs
    sys.argv = ["dvsim", *options.arguments]  # where DVSim looks if it has no arguments
    try:
        code = _exit_code(dvsim, options.arguments, flow)
    finally:
        if earlier is not None and flow.exit_code is None:
            earlier.close()
    return flow.exit_code if code == 0 and flow.exit_code in (EXIT_BUG, EXIT_NOT_WRITTEN) else code


def _earlier(options: argparse.Namespace) -> Earlier:
    """Return the run that is resumed, locked."""
    earlier = Earlier(find_run(options.resume, check_out(options.out)), lock=True)
    if not earlier.has_begun:
        earlier.close()
        raise InputError(f"{earlier.run_dir}: nothing is known of the run; expected a run that has begun, or a new one")
    return earlier


def _exit_code(dvsim: Callable[[list[str]], object], arguments: Sequence[str], flow: RecordedFlow) -> int:
    """Run DVSim's main function; return its exit code."""
    try:
        dvsim(list(arguments))
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print_error(str(exc.code))
        return 1
    except Exception as exc:
        if exc is flow.failure:
            raise
        sys.excepthook(type(exc), exc, exc.__traceback__)  # as DVSim does: it is a fault of the flow, or of DVSim
        return 1
    return 0
