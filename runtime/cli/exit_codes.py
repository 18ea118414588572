"""The program's exit codes, each defined once, and the line on standard error that gives the reason."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from runtime.errors import NO_MEMORY, is_out_of_memory
from runtime.report.output import Output
from runtime.report.text import printable
from runtime.roots import RootedPath

EXIT_PASSED: Final = 0
EXIT_NOT_PASSED: Final = 1
EXIT_INPUT: Final = 2
EXIT_INFRASTRUCTURE: Final = 3
"""Some jobs did not pass, all of them for failures of the infrastructure."""
EXIT_BUG: Final = 70
EXIT_OUT_OF_RESOURCES: Final = 71
"""The system has no memory or no thread for the run itself. The number is that of ``EX_OSERR`` in ``sysexits.h``."""
EXIT_NOT_WRITTEN: Final = 74

NO_THREAD: Final = "can't start new thread"
"""The message of Python's `RuntimeError` when the system starts no more threads."""


def print_error(text: str, errors: Output | None = None) -> None:
    """Write one line to `errors`, or else to standard error; a log file gets it, too."""
    from runtime.report.user_messages import (
        USER_MESSAGES,  # here, as it imports `logging`, which ``--help`` does not need
    )

    USER_MESSAGES.error("%s", text)
    (errors or Output(sys.stderr)).write(f"job-runtime: {printable(text)}\n")


def output_exit_code(output: Output) -> int:
    """Return the exit code of a command that only prints: if it could not write everything, that is no success."""
    if output.failure is None:
        return EXIT_PASSED
    print_error(f"standard output: {output.failure.strerror}")
    return EXIT_NOT_WRITTEN


def describe_fatal_error(error: BaseException, directory: RootedPath | None) -> tuple[str, int]:
    """Return one line, and the exit code, for an error that ends the program and that the user did not make.

    Args:
        error: out of memory or threads; an exit by foreign code, such as a launcher; anything else is a bug. The
            traceback of the last two is written to a file.
        directory: of the run, for that file; `None` for the directory for temporary files.
    """
    try:
        if is_out_of_memory(error):
            return NO_MEMORY, EXIT_OUT_OF_RESOURCES
        if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
            message = "no thread can be started: there are too many processes, or there is not enough memory"
            return message, EXIT_OUT_OF_RESOURCES
        if isinstance(error, SystemExit) or (isinstance(error, BaseExceptionGroup) and error.subgroup(SystemExit)):
            what = "foreign code told this process to exit, which is no orderly end"
            return _write_traceback(error, directory, what), EXIT_BUG
        return _write_traceback(error, directory, "a bug, please report it"), EXIT_BUG
    except MemoryError:
        return NO_MEMORY, EXIT_OUT_OF_RESOURCES


def _write_traceback(error: BaseException, directory: RootedPath | None, what: str) -> str:
    """Write the traceback to a file, if possible; return one line with the error and the file's path."""
    import traceback

    text = "".join(traceback.format_exception(error))
    line = f"{what}: {printable(f'{type(error).__name__}: {error}'.splitlines()[0])}"
    name = f"job-runtime-crash-{os.getpid()}-{time.time_ns()}.txt"
    temporary = os.environ.get("TMPDIR", "/tmp")
    candidates: list[Path | RootedPath] = [] if directory is None else [directory.below("crash.txt")]
    for path in (*candidates, Path(temporary) / name):
        with suppress(OSError):  # then the next one
            # Never through a link that another user has put there.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600) if isinstance(path, Path) else path.create(0o600)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return f"{line} (the traceback is in {printable(str(path))})"
    return line
