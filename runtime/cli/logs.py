"""Where the package's log goes: to standard error before a run, to its screen during it, and to a file if asked."""

from __future__ import annotations

import argparse
import logging
from typing import Final

from runtime.cli import exit_on_signal
from runtime.jobfile.errors import InputError
from runtime.report.output import Output
from runtime.report.text import printable
from runtime.report.user_messages import USER_MESSAGES

LOG: Final = logging.getLogger("runtime")


class ErrorLines(logging.Handler):
    """A handler that writes each record as a line to an output, before there is a screen."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self._output.write(f"job-runtime: {printable(self.format(record))}\n")


class OneLine(logging.Formatter):
    """A formatter for people: one line, with the error if there is one, without its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Unlike the base class, it caches nothing in the record, which other handlers get as well."""
        line = f"{record.levelname}: {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        return line if error is None else f"{line}: {error!r} (--log-file gets the traceback)"


def level_of(options: argparse.Namespace) -> int:
    """Return the lowest level of records that the user wants to see."""
    if getattr(options, "quiet", False):
        return logging.ERROR
    return (logging.WARNING, logging.INFO, logging.DEBUG)[min(int(getattr(options, "verbose", 0)), 2)]


def log_to(handler: logging.Handler, level: int, *, instead_of: logging.Handler | None = None) -> logging.Handler:
    """Send the package's log, from this level on, to `handler`, in place of `instead_of`; return `handler`."""
    handler.setLevel(level)
    handler.setFormatter(OneLine())
    if instead_of is not None:
        LOG.removeHandler(instead_of)
    LOG.addHandler(handler)
    LOG.setLevel(min(each.level for each in LOG.handlers))
    LOG.propagate = False  # else a handler of the root logger would write each record once more
    return handler


def log_to_file(path: str) -> None:
    """Append the package's whole log, and all messages to the user, to a file.

    Raises:
        InputError: if the file cannot be opened.
    """
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as exc:
        raise InputError(f"--log-file {path}: {exc.strerror if isinstance(exc, OSError) else exc}") from exc
    log_to(handler, logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    USER_MESSAGES.addHandler(handler)
    USER_MESSAGES.setLevel(logging.INFO)
    if handler.stream is not None:
        exit_on_signal.also_write_to(handler.stream.fileno())
