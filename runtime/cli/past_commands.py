"""The commands about runs that there are: ``report``, ``watch``, ``runs`` and others. None starts a job."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import trio

from runtime.cli.exit_codes import EXIT_NOT_WRITTEN, EXIT_PASSED, output_exit_code, print_error
from runtime.cli.format_files import LINES, FormatFiles
from runtime.cli.format_options import given_formats
from runtime.cli.histories import show_comparison, show_history
from runtime.cli.html_page import opened_page, write_page
from runtime.cli.job_log import LogPrinter, follow_log
from runtime.cli.job_shell import start_shell
from runtime.cli.linked_directories import add_origins
from runtime.cli.options import check_out
from runtime.cli.past_runs import PastRun, find_run, load_run, why_unreadable
from runtime.cli.run_news import history_of
from runtime.cli.runs import Runs
from runtime.cli.sections import show_sections
from runtime.cli.watch import watch_run
from runtime.errors import JournalVersionError
from runtime.job import safe_id
from runtime.job.status import PASSED
from runtime.jobfile.errors import InputError
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.reader import open_journal
from runtime.report.archive import MAX_LOG, read_log, write_archive
from runtime.report.buckets import is_consequence
from runtime.report.events import event_lines
from runtime.report.explanation import ExplainedRun, explanation
from runtime.report.group_lines import View
from runtime.report.output import Output
from runtime.report.past_paths import paths_of
from runtime.report.results import results_lines
from runtime.report.run_report import report_sections
from runtime.report.run_results import known_results
from runtime.report.text import path_text
from runtime.roots import RootedPath, Roots


def run_command(options: argparse.Namespace, output: Output) -> int:
    """Run one of `COMMANDS`; return the exit code.

    Raises:
        InputError: for wrong input.
    """
    return COMMANDS[options.command](options, output)


def _report(options: argparse.Namespace, output: Output) -> int:
    given = given_formats(options)
    if options.html is not None:
        code = _write_html(options, options.html, None, given)
        if code or not (given or options.json):
            return code
    if given:
        return _write_formats(options, given, output)
    run = _load(options)
    if options.json:
        for line in results_lines(run.state, is_live=run.is_live):
            output.write(line)
    else:
        history = history_of(run, None, print_error)
        view = View.on(output.screen, Path.cwd(), whole=options.all)
        sections = report_sections(run.state, view, is_live=run.is_live, history=history, each_job=options.all)
        show_sections(sections, output, whole=options.all)
    return output_exit_code(output)


def _compare(options: argparse.Namespace, output: Output) -> int:
    if options.html is not None:
        base = None if options.base is None else find_run(options.base, check_out(options.out))
        code = _write_html(options, options.html, base, {})
        if code or not options.json:
            return code
    return show_comparison(options, output)


def _write_html(options: argparse.Namespace, path: str, base: Path | None, others: Mapping[str, str]) -> int:
    """Write the page of a run for a browser, compared with the run `base` or the one before; return the exit code.

    `others`: the files of other options, which must be others.
    """
    with opened_page(path) as file:
        for name, other in others.items():
            if os.path.realpath(other) == file.real:
                raise InputError(f"--html and --{name} are both {path}; expected a file for each")
        run = _load(options)
        history = history_of(run, base, print_error)
        try:
            write_page(file, run, history)
        except OSError as exc:
            print_error(f"--html {path} cannot be written: {exc.strerror}")
            return EXIT_NOT_WRITTEN
    return EXIT_PASSED


def _write_formats(options: argparse.Namespace, given: Mapping[str, str], output: Output) -> int:
    """Write the files that the options name, or one of them to standard output."""
    printed = [name for name, path in given.items() if path == "-"]
    if len(printed) + options.json > 1:
        what = " and ".join([*(f"--{name}" for name in printed), *(["--json"] if options.json else [])])
        raise InputError(f"{what} are for standard output; expected at most one of them there")
    files = FormatFiles({name: path for name, path in given.items() if path != "-"})
    with closing(files):
        files.open()
        run = _load(options)
        lines = partial(_lines_of, run)
        failures = files.write(lines)
    for failure in failures:
        print_error(failure)
    for name in printed or (["json"] if options.json else []):
        for line in lines(name):
            output.write_bytes(line.encode())
    return EXIT_NOT_WRITTEN if failures else output_exit_code(output)


def _lines_of(run: PastRun, name: str) -> Iterator[str]:
    """Return the text of a run in a format."""
    if name == "events":
        return event_lines(run.journal.records, run.state.run_dir)
    return {"json": results_lines, **LINES}[name](run.state, is_live=run.is_live)


def _watch(options: argparse.Namespace, output: Output) -> int:
    path = find_run(options.run, check_out(options.out))
    if not path.is_dir():
        raise InputError(f"RUN is {path}, which was exported; expected a run directory (job-runtime report shows both)")
    try:
        watch_run(path, output, Output(sys.stderr), interval=options.print_interval)
    except OSError as exc:
        raise InputError(f"RUN is {path}: {why_unreadable(exc)}; expected a run directory") from exc
    except JournalVersionError as exc:
        raise InputError(str(exc)) from exc
    return output_exit_code(output)


def _runs(options: argparse.Namespace, output: Output) -> int:
    runs = Runs(check_out(options.out))
    if options.prune is None:
        for line in runs.lines():
            output.show([line])
        return output_exit_code(output)
    keep, older_than = options.prune
    try:
        for line in runs.prune(keep=keep, older_than=older_than, dry_run=options.dry_run):
            output.show([line])
    except OSError as exc:
        print_error(f"not removed: {exc.filename}: {exc.strerror}")
        return EXIT_NOT_WRITTEN
    return output_exit_code(output)


def _export(options: argparse.Namespace, output: Output) -> int:
    run = _load(options)
    if run.is_exported:
        raise InputError(f"RUN is {run.path}, which was exported already; expected a run directory")
    path = (options.file or Path(f"{run.name}.tar.gz")).absolute()
    roots = Roots(str(run.path))
    try:
        roots.open()
        add_origins(roots, run.state)
        with closing(roots), open(open_journal(roots.run.below(JOURNAL_NAME)), "rb") as journal:
            write_archive(
                path,
                run.state.run_dir,
                (journal, run.journal.end),
                results_lines(run.state, is_live=run.is_live),
                _failed_logs(run, roots),
                is_live=run.is_live,
            )
    except OSError as exc:
        # The file is written under another name first, which says nothing to a person.
        is_ours = exc.filename is None or Path(os.fsdecode(exc.filename)).parent == path.parent
        print_error(f"{path if is_ours else exc.filename}: the run cannot be exported: {exc.strerror}")
        return EXIT_NOT_WRITTEN
    output.write(f"{path_text(path, Path.cwd())}\n")
    return output_exit_code(output)


def _failed_logs(run: PastRun, roots: Roots) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the logs that explain a failure; one that cannot be read is left out."""
    for known in known_results(run.state, is_live=run.is_live):
        result = known.result
        if result is None or result.status is PASSED or result.log_path is None or is_consequence(result):
            continue
        try:
            content = _end_of(roots.resolve(os.path.normpath(result.log_path)))
        except OSError:
            continue
        yield _log_name(result.id), content


def _log_name(job_id: str) -> str:
    return f"{safe_id(job_id)}.log"


def _end_of(log: RootedPath) -> bytes:
    with open(log.open_regular(), "rb", buffering=0) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_LOG))
        return file.read(MAX_LOG)


def _logs(options: argparse.Namespace, output: Output) -> int:
    run = _load(options)
    number = run.number_of(options.job)
    if run.is_exported:
        content = read_log(run.path, _log_name(options.job))
        if content is None:
            raise InputError(f"{run.path} has no log of the job {options.job}: it has those of failures alone")
        with closing(LogPrinter(lambda: io.BytesIO(content), output)) as printer:
            printer.print_new()
        return output_exit_code(output)
    log = paths_of(run.state, number).log
    roots = Roots(str(run.path))
    try:
        roots.open()
        add_origins(roots, run.state)
        path = roots.resolve(log)
        with closing(roots), closing(LogPrinter(lambda: open(path.open_regular(), "rb"), output)) as printer:
            if options.follow and run.is_live:
                trio.run(follow_log, roots.run, number, printer)
            else:
                printer.print_new()
    except OSError as exc:
        if isinstance(exc, FileNotFoundError):
            _check_not_removed(run, number, "log")
        raise InputError(f"the log of the job {options.job}: {exc.filename or log}: {exc.strerror}") from exc
    return output_exit_code(output)


def _explain(options: argparse.Namespace, output: Output) -> int:
    run = _load(options)
    number = run.number_of(options.job)
    explained = ExplainedRun(
        run.state,
        run.journal.records,
        is_live=run.is_live,
        now=time.time(),
        relative_to=Path.cwd(),
        has_files=not run.is_exported,
    )
    show_sections(explanation(explained, number), output, whole=options.all)
    return output_exit_code(output)


def _shell(options: argparse.Namespace, _: Output) -> int:
    run = _load(options)
    number = run.number_of(options.job)
    if run.is_exported:
        raise InputError(f"RUN is {run.path}, which was exported; expected a run directory, for its jobs' directories")
    _check_not_removed(run, number, "directory")
    paths = paths_of(run.state, number)
    roots = Roots(str(run.path))
    try:
        roots.open()
        add_origins(roots, run.state)
        with closing(roots):
            start_shell(options.job, paths, roots.resolve(paths.odir), roots.resolve(paths.log))
    except OSError as exc:
        raise InputError(f"the directory of the job {options.job}: {exc.filename}: {exc.strerror}") from exc


def _check_not_removed(run: PastRun, number: int, what: str) -> None:
    """Check that the output directory of a job was not removed.

    Raises:
        InputError: if it was.
    """
    if run.state.is_removed(number):
        job_id = run.state.ids[number]
        why = 'its output directory was removed, as it passed (keep = "failed"); --keep all keeps it'
        raise InputError(f"the {what} of the job {job_id} is gone: {why}")


def _load(options: argparse.Namespace) -> PastRun:
    """Return the run that the options name; say what is missing in its journal."""
    run = load_run(find_run(options.run, check_out(options.out)))
    if run.note is not None:
        print_error(f"{run.path}: the journal is read up to {run.note}")
    return run


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Output], int]]] = MappingProxyType(
    {
        "report": _report,
        "runs": _runs,
        "history": show_history,
        "compare": _compare,
        "export": _export,
        "explain": _explain,
        "logs": _logs,
        "shell": _shell,
        "watch": _watch,
    }
)
"""The commands, by their names."""
