"""How the program ends: its exit codes, each defined once, and the one line on standard error that says why."""

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
EXIT_BUG: Final = 70
EXIT_NO_ROOM: Final = 71
"""The system has no memory, or no thread, for the run itself. The number is that of ``EX_OSERR`` in ``sysexits.h``."""
EXIT_NOT_WRITTEN: Final = 74

NO_THREAD: Final = "can't start new thread"
"""What Python's `RuntimeError` says when no thread is to be had."""


def complain(text: str, errors: Output | None = None) -> None:
    """Say one line, on standard error unless told where; a log file has it, too."""
    from runtime.report.messages import USER_MESSAGES  # here, as it takes `logging`

    USER_MESSAGES.error("%s", text)
    (errors or Output(sys.stderr)).write(f"job-runtime: {printable(text)}\n")


def said(output: Output) -> int:
    """Return the exit code of a command that only says something: what could not be said is no success."""
    if output.failure is None:
        return EXIT_PASSED
    complain(f"standard output: {output.failure.strerror}")
    return EXIT_NOT_WRITTEN


def explain(error: BaseException, directory: RootedPath | None) -> tuple[str, int]:
    """Return one line, and the exit code, for an error that ends the program and is not the person's.

    Args:
        error: want of memory or of a thread; an exit that somebody else's code asked for; anything else is a bug. The
            traceback of these two goes to a file.
        directory: of the run, where that file is best kept; `None` for the directory for temporary files.
    """
    try:
        if is_out_of_memory(error):
            return NO_MEMORY, EXIT_NO_ROOM
        if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
            return "no thread can be started: there are too many processes, or there is not enough memory", EXIT_NO_ROOM
        if isinstance(error, SystemExit) or (isinstance(error, BaseExceptionGroup) and error.subgroup(SystemExit)):
            said = "code that is not ours told this process to exit, which is not an end in order"
            return _say_bug(error, directory, said), EXIT_BUG
        return _say_bug(error, directory), EXIT_BUG
    except MemoryError:
        return NO_MEMORY, EXIT_NO_ROOM


def _say_bug(bug: BaseException, directory: RootedPath | None, said: str = "a bug, please report it") -> str:
    import traceback

    text = "".join(traceback.format_exception(bug))
    what = f"{said}: {printable(f'{type(bug).__name__}: {bug}'.splitlines()[0])}"
    name = f"job-runtime-crash-{os.getpid()}-{time.time_ns()}.txt"
    temporary = os.environ.get("TMPDIR", "/tmp")
    places: list[Path | RootedPath] = [] if directory is None else [directory.below("crash.txt")]
    for path in (*places, Path(temporary) / name):
        with suppress(OSError):
            # Never through a link that somebody put there.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600) if isinstance(path, Path) else path.create(0o600)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return f"{what} (the traceback is in {printable(str(path))})"
    return what
