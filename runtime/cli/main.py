"""The command line, ``job-runtime`` and ``python -m runtime``: from arguments to an exit code, never a traceback."""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.report.output import Output

EXIT_INPUT = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

NEEDS_EXTRA = "job-runtime: the command line needs the extra cli: pip install 'job-runtime[cli]' (there is no {})\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code.

    Args:
        arguments: what follows the program's name; `None` for that of this process.

    Raises:
        SystemExit: by argparse, after it has said what is wrong (2), or what was asked for (0).
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _fill_descriptors()
    missing = _missing_extra()
    if missing:
        if sys.stderr is not None:
            sys.stderr.write(NEEDS_EXTRA.format(missing))
        return EXIT_INPUT
    from runtime.cli.errors import InputError
    from runtime.cli.options import PROGRAM, parse
    from runtime.report.output import Output
    from runtime.report.text import printable

    errors = Output(sys.stderr)
    try:
        options = parse(arguments)
        return _do(options, [PROGRAM, *arguments], Output(sys.stdout), errors)
    except InputError as exc:
        errors.write(f"{PROGRAM}: {printable(str(exc))}\n")
        return EXIT_INPUT
    except KeyboardInterrupt:
        errors.write(f"{PROGRAM}: interrupted\n")
        return EXIT_INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the last resort: a traceback shown to a person is a bug
        from runtime.cli.run import say_bug

        errors.write(f"{PROGRAM}: {say_bug(exc, None)}\n")
        return EXIT_BUG


def _do(options: Namespace, command: Sequence[str], output: Output, errors: Output) -> int:
    from runtime.backends.registry import backends
    from runtime.cli.listing import backend_lines, job_lines
    from runtime.cli.prepare import add_pythonpath, prepare
    from runtime.cli.run import run

    if options.command == "backends":
        add_pythonpath(options.pythonpath)
        output.show(backend_lines(backends, verbose=options.verbose))
        return 0
    stdin = None if sys.stdin is None else sys.stdin.buffer
    if options.command == "list":
        output.show(job_lines(prepare(options, stdin)))
        return 0
    if options.log_file is not None:
        _log_to_file(options)
    return run(prepare(options, stdin), options, command, output, errors)


def _log_to_file(options: Namespace) -> None:
    from runtime.cli.errors import InputError
    from runtime.cli.run import log_to

    try:
        handler = logging.FileHandler(options.log_file, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as exc:
        msg = f"--log-file {options.log_file}: {exc.strerror if isinstance(exc, OSError) else exc}"
        raise InputError(msg) from exc
    log_to(handler, logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def _fill_descriptors() -> None:
    """Open what is closed of standard input, output and error: else the next file that is opened would become it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one


def _missing_extra() -> str:
    """Return the first package of the extra ``cli`` that is not installed."""
    try:
        import cattrs
        import rich  # noqa: F401 - whether it is there is the question
    except ImportError as exc:
        return str(exc.name).partition(".")[0]
    return "" if cattrs is not None else "cattrs"
