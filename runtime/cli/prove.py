"""The command ``prove``: which promises a backend keeps, told as they are found, and in a report in Markdown."""

from __future__ import annotations

import argparse
import logging
import platform
import shutil
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.cli.exit_codes import EXIT_NOT_PASSED, EXIT_NOT_WRITTEN, EXIT_PASSED, output_exit_code, print_error
from runtime.cli.exit_on_signal import exit_code
from runtime.cli.format_files import file_of
from runtime.cli.make_backends import check_name, make_backend
from runtime.cli.options import check_out
from runtime.cli.provenance import package_version
from runtime.cli.stop_on_signal import receive_requests, stop_this_process
from runtime.exit_calls import exit_now
from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.place import Place
from runtime.jobfile.regression import load
from runtime.process.threads import in_background, in_thread
from runtime.report.markdown import span
from runtime.report.output import Output
from runtime.report.result_files import write_atomically
from runtime.report.summary import Line
from runtime.report.text import path_text, printable
from runtime.signal_names import signal_name
from runtime.testing.proof import AT_ONCE, BUDGET, MOST_JOBS, Finding, Part, Proven, prove

_TITLES: Final = {Part.CONTRACT: "Promises of the contract", Part.MEANING: "Jobs that mean the same on every backend"}
_STYLES: Final = {Proven.KEPT: "green", Proven.BROKEN: "bold red", Proven.UNTRIED: "yellow"}


def prove_backend(options: argparse.Namespace, output: Output) -> int:
    """Prove a backend; return the exit code.

    Raises:
        InputError: for wrong input; nothing was started.
    """
    name: str = options.backend
    given, where = _table(options)
    check_name(name, Place("prove"))
    out = check_out(options.out)
    make = partial(_make, name, given, where)
    limit = make(out / "run").max_parallelism  # a wrong option is told before anything is made
    if limit is not None and 0 < limit < MOST_JOBS:
        raise InputError(f"{where}: max_parallelism is {limit}; expected 0, or at least {MOST_JOBS} for the checks")
    # Looked at now, and held open: a FIFO, or a directory without write permission, is not found after all checks.
    report_file = file_of("--report", str(options.report))
    with closing(report_file.root):
        directory = _new_directory(out)
        left = f"what its jobs left is in {path_text(directory, Path.cwd())}"
        began = time.time()
        logging.getLogger("runtime").setLevel(logging.ERROR)  # some checks leave events unread, of which backends warn
        found, ended_by = trio.run(
            _prove_until_signal,
            partial(prove, make, directory, at_once=options.at_once or AT_ONCE, budget=options.budget or BUDGET),
            output,
        )
        if ended_by is not None:
            print_error(f"ended by {signal_name(ended_by)}, without a report; {left}")
            return exit_code(ended_by)
        try:
            write_atomically(report_file, 0o666, [report(name, list(given), found, began).encode()])
        except OSError as exc:
            print_error(f"--report {options.report} cannot be written: {exc.strerror}")
            return EXIT_NOT_WRITTEN
    output.write(f"{_count(found)}; report: {path_text(options.report.absolute(), Path.cwd())}\n")
    if any(finding.proven is Proven.BROKEN for finding in found):
        output.write(f"{left}\n")
        return output_exit_code(output) or EXIT_NOT_PASSED
    shutil.rmtree(directory, ignore_errors=True)
    return output_exit_code(output) or EXIT_PASSED


async def _prove_until_signal(
    prove_all: Callable[..., Awaitable[list[Finding]]], output: Output
) -> tuple[Sequence[Finding], int | None]:
    """Return what is found, each of it shown at once; and the signal that has ended it early, if one has.

    All jobs have ended then. Without this, a signal would end this process alone, and jobs that never end by themselves
    would stay on the cluster.
    """
    limiter = trio.CapacityLimiter(1)  # lines must not mix
    scope = trio.CancelScope()
    first: int | None = None

    async def note(finding: Finding) -> None:
        # In a thread: while the reader of the output does not read, the time of the checks that run must not pass.
        await in_thread(output.show, [_line(finding)], limiter=limiter)

    def receive(number: int) -> None:
        nonlocal first
        if first is not None:
            exit_now(exit_code(first))
        first = number
        scope.cancel()
        text = f"{signal_name(number)}: the jobs are being ended; once more to exit without waiting"
        in_background(partial(print_error, text))

    async with trio.open_nursery() as nursery:
        await nursery.start(receive_requests, receive, stop_this_process)
        found: Sequence[Finding] = ()
        with scope:
            found = await prove_all(note=note)
        nursery.cancel_scope.cancel()
    return found, first


def _table(options: argparse.Namespace) -> tuple[Mapping[str, object], Place]:
    """Return the options of the backend, and their place for messages."""
    table: dict[str, object] = {}
    where = Place("prove")
    if options.file is not None:
        regression = load(options.file)
        if options.backend in regression.backends:
            found, where = regression.backends[options.backend]
            table.update(found)
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set {shown(text)}: expected KEY=VALUE")
        table[key] = _value(value)
        where = Place("--set")
    return table, where


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _make(name: str, given: Mapping[str, object], where: Place, run_dir: Path) -> RuntimeBackend:
    # Without a limit, unless it is given: that of `local` is the number of CPUs, which is too few for the checks.
    ours = {} if "max_parallelism" in given else {"max_parallelism": 0}
    return make_backend(name, given, where, run_dir, ours)


def _new_directory(out: Path) -> Path:
    """Return a new directory, in a directory that is made if there is none."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="proof-", dir=out))
    except OSError as exc:
        why = f"no directory can be made in {out}: {exc.strerror}; expected one that you may write to"
        raise InputError(f"--out: {why}") from exc


def _line(finding: Finding) -> Line:
    text = f"  {printable(finding.text)}" if finding.text else ""
    return (f"{finding.proven.value:9}", _STYLES[finding.proven]), (f" {printable(finding.name)}", ""), (text, "dim")


def _count(found: Sequence[Finding]) -> str:
    counts = Counter(finding.proven for finding in found)
    return ", ".join(f"{counts[each]} {each.value}" for each in Proven if counts[each] or each is not Proven.UNTRIED)


def report(name: str, keys: Sequence[str], found: Sequence[Finding], began: float) -> str:
    """Return the report in Markdown. What jobs wrote stands in it as code only.

    Args:
        name: of the backend.
        keys: the names of the options that it was given; their values may be nobody else's business.
        found: what was found.
        began: when it began, in seconds since 1970.
    """
    lines = [
        f"# The backend {span(name)}: {_count(found)}",
        "",
        f"- job-runtime {package_version() or '(not installed)'}, Python {platform.python_version()}",
        f"- {platform.platform()}",
        f"- {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(began))}, for {time.time() - began:.0f} s",
        f"- options: {', '.join(map(span, keys)) or 'none'}",
    ]
    for part, title in _TITLES.items():
        of_part = [finding for finding in found if finding.part is part]
        lines += ["", f"## {title}: {_count(of_part)}"]
        for proven in (Proven.BROKEN, Proven.UNTRIED, Proven.KEPT):
            group = [finding for finding in of_part if finding.proven is proven]
            if group:
                lines += ["", f"### {proven.value.capitalize()}", "", *(line for each in group for line in _item(each))]
    return "\n".join(lines) + "\n"


def _item(finding: Finding) -> list[str]:
    promise = f": {finding.promise}" if finding.promise else ""
    text = ["", f"      {printable(finding.text)}", ""] if finding.text else []
    return [f"- {span(finding.name)}{promise}", *text]
