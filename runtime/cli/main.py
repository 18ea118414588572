"""The command line, ``job-runtime`` and ``python -m runtime``: from arguments to an exit code, never a traceback.

Modules are imported in functions, so that a missing package, or a Ctrl-C during the imports, is one line, too; and so
that ``--help`` and mistyped options need not wait for the imports of a run.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace


def main(arguments: Sequence[str] | None = None, *, for_command: str | None = None) -> int:
    """Run a command; return the exit code.

    Args:
        arguments: of the command, without the program's name; `None` for those of this process.
        for_command: a command whose name is not among the arguments, as it is that of the program.

    Raises:
        SystemExit: by argparse, after it has printed what is wrong (2), or the help or version (0).
    """
    _fill_descriptors()
    if arguments is None:  # then this process is the program, and its signals and encoding are for us to choose
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # during the imports below it would be a traceback
        from runtime.cli.encoding import use_utf8

        use_utf8()
        from runtime.cli.exit_on_signal import exit_on_signals

        exit_on_signals()
        from runtime.exit_calls import raise_everywhere  # launchers may call `os._exit`

        raise_everywhere()
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        return _main(words if for_command is None else [for_command, *words])
    except KeyboardInterrupt:
        from runtime.cli.exit_codes import print_error
        from runtime.cli.exit_on_signal import exit_code

        print_error("interrupted")
        return exit_code(signal.SIGINT)


def _main(arguments: Sequence[str]) -> int:
    from runtime.cli.exit_codes import EXIT_INPUT, describe_fatal_error, print_error
    from runtime.cli.options import PROGRAM, parse
    from runtime.errors import RegistryError
    from runtime.jobfile.errors import InputError

    parsed = False
    try:
        options = parse(arguments)
        parsed = True
        missing = _missing_extra()
        if missing:
            print_error(
                f"the command line needs the extra cli: pip install '.[cli]' in a checkout (there is no {missing})"
            )
            return EXIT_INPUT
        return _run_command(options, [PROGRAM, *arguments])
    except InputError as exc:
        for message in exc.messages:
            print_error(message)
        return EXIT_INPUT
    except RegistryError as exc:
        print_error(str(exc))
        return EXIT_INPUT
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        if isinstance(exc, SystemExit) and not parsed:
            raise  # argparse has printed its message
        if isinstance(exc, BaseExceptionGroup) and exc.subgroup(KeyboardInterrupt):
            raise KeyboardInterrupt from exc  # it came after trio had started, before the run handled signals
        why, code = describe_fatal_error(exc, None)
        print_error(why)
        return code


def _run_command(options: Namespace, command: Sequence[str]) -> int:
    from runtime.cli.completion import COMPLETION
    from runtime.cli.ctl_options import CTL
    from runtime.cli.dvsim_options import DVSIM
    from runtime.cli.import_options import IMPORT
    from runtime.cli.init import INIT, SCHEMA
    from runtime.cli.past_options import ABOUT_RUNS
    from runtime.cli.serve_options import SERVE

    code: int
    if options.command == DVSIM:  # by name: a package that nothing else imports, and that needs DVSim
        code = importlib.import_module("runtime.dvsim.command").run_dvsim(options, command)
        return code
    if options.command in (COMPLETION, INIT, SCHEMA):
        return _about_files(options)
    if options.command == IMPORT:
        return _import(options)
    return _about_runs(options) if options.command in (*ABOUT_RUNS, CTL, SERVE) else _about_jobs(options, command)


def _about_files(options: Namespace) -> int:
    """Run a command that prints or writes a text which is known without any run."""
    from runtime.cli.completion import COMPLETION, completion_lines
    from runtime.cli.exit_codes import EXIT_PASSED, output_exit_code
    from runtime.cli.init import INIT, JOB_FILE, next_steps, schema_text
    from runtime.cli.new_file import write_new_file
    from runtime.cli.options import check_current_directory, make_parser
    from runtime.report.output import Output

    check_current_directory()
    output = Output(sys.stdout)
    if options.command == INIT:
        write_new_file(options.file, JOB_FILE, "FILE")
        output.write(f"{next_steps(options.file)}\n")
        return EXIT_PASSED  # it is written, whether or not somebody reads this
    if options.command == COMPLETION:
        output.write("".join(f"{line}\n" for line in completion_lines(options.what, make_parser())))
    else:
        output.write(schema_text())
    return output_exit_code(output)


def _import(options: Namespace) -> int:
    """Write a job file of what another tool runs."""
    from runtime.cli.import_options import OF_DVSIM
    from runtime.cli.imports import import_jobs
    from runtime.cli.options import check_current_directory

    check_current_directory()
    if options.source == OF_DVSIM:
        code: int = importlib.import_module("runtime.dvsim.command").import_dvsim(options)
        return code
    return import_jobs(options)


def _about_runs(options: Namespace) -> int:
    """Run a command about runs that there are."""
    from runtime.cli.ctl_options import CTL
    from runtime.cli.logs import ErrorLines, level_of, log_to
    from runtime.cli.options import check_current_directory
    from runtime.cli.serve_options import SERVE, check_extra
    from runtime.report.output import Output

    log_to(ErrorLines(Output(sys.stderr)), level_of(options))
    check_current_directory()
    if options.command == CTL:
        from runtime.cli.ctl import ask_run

        return ask_run(options, Output(sys.stdout))
    if options.command == SERVE:
        check_extra()
        from runtime.cli.serve import serve_results

        return serve_results(options, Output(sys.stdout))
    from runtime.cli.past_commands import run_command

    return run_command(options, Output(sys.stdout))


def _about_jobs(options: Namespace, command: Sequence[str]) -> int:
    """Run a command about the jobs of a file, or about backends."""
    from runtime.backend.registry import backends
    from runtime.cli.dry_run import dry_run_lines
    from runtime.cli.events_file import STDOUT
    from runtime.cli.exit_codes import output_exit_code, print_error
    from runtime.cli.gc_threshold import raise_gc_threshold
    from runtime.cli.listing import backend_lines, job_lines
    from runtime.cli.logs import ErrorLines, level_of, log_to, log_to_file
    from runtime.cli.options import check_current_directory, hide_values
    from runtime.cli.prepare import add_pythonpath, prepare
    from runtime.cli.prove_options import PROVE
    from runtime.cli.rerun_jobs import prepare_rerun
    from runtime.cli.run import Run
    from runtime.report.output import Output

    output, errors = Output(sys.stdout), Output(sys.stderr)
    log = log_to(ErrorLines(errors), level_of(options))
    if options.command == "backends":
        add_pythonpath(options.pythonpath)
        output.show(backend_lines(backends, verbose=options.verbose))
        return output_exit_code(output)
    check_current_directory()
    if options.command == PROVE:
        add_pythonpath(options.pythonpath)
        from runtime.cli.prove import prove_backend

        return prove_backend(options, output)
    stdin = None if sys.stdin is None else sys.stdin.buffer
    raise_gc_threshold()
    if options.command == "list":
        prepared = prepare(options, stdin)
        output.show(job_lines(prepared))
        if prepared.draws_seeds and options.seed_base is None:
            base = prepared.seed_base
            print_error(
                f"the seeds are drawn from the seed base {base}: --seed-base {base} gives these ids again", errors
            )
        return output_exit_code(output)
    if options.events == STDOUT:
        output = errors
    if options.log_file is not None:
        log_to_file(options.log_file)
    if options.command == "rerun":
        command = hide_values(command, options.export)
        prepared, options = prepare_rerun(options)
        return Run(prepared, options, command, output, errors, log).run()
    command = hide_values(command, options.define)
    prepared = prepare(options, stdin)
    if options.dry_run:
        output.show(dry_run_lines(prepared))
        return output_exit_code(output)
    return Run(prepared, options, command, output, errors, log).run()


def _fill_descriptors() -> None:
    """Open ``/dev/null`` for each of standard input, output and error that is closed.

    Otherwise the next file that is opened would take its place.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one


def _missing_extra() -> str:
    """Return the name of a missing package of the extra ``cli``, or an empty text."""
    try:
        import cattrs  # noqa: F401 - the question is whether it is installed
        import rich  # noqa: F401 - as above
    except ImportError as exc:
        return str(exc.name).partition(".")[0]
    return ""
