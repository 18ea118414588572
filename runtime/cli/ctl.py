"""The command ``ctl``: asks a run that runs in another process to do something, and prints its answer."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import Final

from runtime.cli.exit_codes import EXIT_NOT_PASSED, EXIT_PASSED, output_exit_code, print_error
from runtime.cli.options import check_out
from runtime.cli.past_runs import find_run, opened
from runtime.ctl.messages import ACTIONS, Answer, RunRequest
from runtime.ctl.sender import NoAnswerError, NotOwnerError, Request, check_owner
from runtime.jobfile.errors import InputError
from runtime.journal.lock import Holder, holder_of
from runtime.report.output import Output
from runtime.report.text import printable

EXIT_NO_ANSWER: Final = EXIT_NOT_PASSED
"""The run does not run, or does not answer."""


def ask_run(options: argparse.Namespace, output: Output) -> int:
    """Ask a run what the options say; return the exit code.

    Raises:
        InputError: for wrong input, and if the run refuses the request.
    """
    path = find_run(options.run, check_out(options.out))
    if not path.is_dir():
        raise InputError(f"RUN is {path}, which was exported; expected the directory of a run that runs")
    try:
        answer = ask(path, _request_of(options))
    except NoAnswerError as exc:
        print_error(str(exc))
        return EXIT_NO_ANSWER
    if not answer.is_done:
        raise InputError(f"{path.name}: {answer.text}")
    output.write(f"{printable(path.name)}: {printable(answer.text)}\n")
    return output_exit_code(output) or EXIT_PASSED


def _request_of(options: argparse.Namespace) -> RunRequest:
    resource, limit = getattr(options, "limit", ("", None))
    return RunRequest(
        action=ACTIONS[options.action],
        jobs=tuple(getattr(options, "jobs", ())),
        force=getattr(options, "force", False),
        resource=resource,
        limit=limit,
        host=socket.gethostname(),
    )


def ask(path: Path, request: RunRequest) -> Answer:
    """Return the answer of the run in a directory. Blocks.

    Raises:
        InputError: if the run belongs to another user, or the request is too long.
        NoAnswerError: if it does not run, or does not answer.
    """
    try:
        with opened(path) as directory:
            check_owner(directory)  # first: nobody else can read who holds the lock
            holder = holder_of(directory)
            if holder is None:
                raise NoAnswerError(f"{path} does not run: it has ended or died (job-runtime report says which)")
            sent = Request(directory, request)
            sent.send()
            try:
                return sent.wait()
            except NoAnswerError as exc:
                raise NoAnswerError(f"{path}: {_who(holder)}: {exc}") from exc
    except (NotOwnerError, ValueError) as exc:
        raise InputError(f"{path}: {exc}") from exc
    except PermissionError as exc:
        raise InputError(f"{path}: {exc.strerror}; expected a run of one's own") from exc
    except FileNotFoundError as exc:
        raise NoAnswerError(f"{path} takes no requests: it has just begun, or ends") from exc
    except OSError as exc:
        raise NoAnswerError(f"{exc.filename or path}: {exc.strerror}; the run cannot be asked") from exc


def _who(holder: Holder) -> str:
    """Return which process is asked; a job may have written its name."""
    host = ascii(holder.host[:64])
    here = "" if holder.host == socket.gethostname() else f" on the host {host}, if that lives,"
    return f"process {holder.pid}{here} does not answer"
