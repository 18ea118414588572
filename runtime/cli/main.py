"""The command line, ``job-runtime`` and ``python -m runtime``: from arguments to an exit code, never a traceback.

What it needs is imported on the way, so that a package that is missing, or Ctrl-C meanwhile, is said in one line too;
and help, or a mistyped option, waits for nothing that only a run needs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code.

    Args:
        arguments: what follows the program's name; `None` for that of this process.

    Raises:
        SystemExit: by argparse, after it has said what is wrong (2), or what was asked for (0).
    """
    _fill_descriptors()
    if arguments is None:  # then all of this process is ours
        from runtime.cli.encoding import use_utf8

        use_utf8()
        from runtime.cli.quitting import quit_at_signals

        quit_at_signals()
        from runtime.exit_calls import raise_everywhere

        raise_everywhere()
    try:
        return _main(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        from runtime.cli.ending import complain
        from runtime.cli.quitting import exit_code

        complain("interrupted")
        return exit_code(signal.SIGINT)


def _main(arguments: Sequence[str]) -> int:
    from runtime.cli.ending import EXIT_INPUT, complain, explain
    from runtime.cli.options import PROGRAM, parse
    from runtime.errors import RegistryError
    from runtime.jobfile.errors import InputError

    parsed = False
    try:
        options = parse(arguments)
        parsed = True
        missing = _missing_extra()
        if missing:
            complain(
                f"the command line needs the extra cli: pip install '.[cli]' in a checkout (there is no {missing})"
            )
            return EXIT_INPUT
        return _do(options, [PROGRAM, *arguments])
    except (InputError, RegistryError) as exc:
        complain(str(exc))
        return EXIT_INPUT
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        if isinstance(exc, SystemExit) and not parsed:
            raise  # argparse has said all
        if isinstance(exc, BaseExceptionGroup) and exc.subgroup(KeyboardInterrupt):
            raise KeyboardInterrupt from exc  # it came in the moment before the run could take it
        why, code = explain(exc, None)
        complain(why)
        return code


def _do(options: Namespace, command: Sequence[str]) -> int:
    from runtime.backend.registry import backends
    from runtime.cli.ending import complain, said
    from runtime.cli.listing import backend_lines, job_lines
    from runtime.cli.logs import ErrorLines, level_of, log_to, log_to_file
    from runtime.cli.options import check_here
    from runtime.cli.prepare import add_pythonpath, prepare
    from runtime.cli.run import look_less_for_garbage, run
    from runtime.report.output import Output

    output, errors = Output(sys.stdout), Output(sys.stderr)
    log = log_to(ErrorLines(errors), level_of(options))
    if options.command == "backends":
        add_pythonpath(options.pythonpath)
        output.show(backend_lines(backends, verbose=options.verbose))
        return said(output)
    check_here()
    stdin = None if sys.stdin is None else sys.stdin.buffer
    look_less_for_garbage()
    if options.command == "list":
        prepared = prepare(options, stdin)
        output.show(job_lines(prepared))
        if prepared.draws_seeds and options.seed_base is None:
            base = prepared.seed_base
            complain(f"the seeds are drawn from the seed base {base}: --seed-base {base} gives these ids again", errors)
        return said(output)
    if options.log_file is not None:
        log_to_file(options.log_file)
    return run(prepare(options, stdin), options, command, output, errors, log)


def _fill_descriptors() -> None:
    """Open what is closed of standard input, output and error: else the next file that is opened would become it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one


def _missing_extra() -> str:
    """Return the name of a package of the extra ``cli`` that is not installed, or an empty text."""
    try:
        import cattrs  # noqa: F401 - whether it is there is the question
        import rich  # noqa: F401 - as above
    except ImportError as exc:
        return str(exc.name).partition(".")[0]
    return ""
