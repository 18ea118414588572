"""The commands ``history`` and ``compare``: what the runs of a directory say together. They start and change no run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from runtime.cli.exit_codes import output_exit_code, print_error
from runtime.cli.options import check_out
from runtime.cli.past_runs import find_run, load_run, opened
from runtime.cli.sections import show_sections
from runtime.history.comparison import Comparison, compare
from runtime.history.comparison_lines import comparison_sections
from runtime.history.history_lines import histories_sections
from runtime.history.index import Index
from runtime.history.index_file import ask_index
from runtime.history.outcomes import RememberedRun, remembered
from runtime.history.overview import histories, known_tests, run_before, series_for
from runtime.history.tables import comparison_table, histories_table
from runtime.jobfile.errors import InputError, shown, suggestion
from runtime.report import strict
from runtime.report.output import Output
from runtime.report.screen_fit import Section

_T = TypeVar("_T")


def show_history(options: argparse.Namespace, output: Output) -> int:
    """Print what is known of a job, or the tests of which there is something to tell; return the exit code.

    Raises:
        InputError: for wrong input.
    """
    out, last = check_out(options.out), None if options.all else options.last

    def answer(index: Index) -> str | list[Section]:
        if not index.runs():
            raise _no_run(out)
        found = histories(index, options.job)
        if options.job is not None and not found:
            hint = suggestion(options.job, known_tests(index), what="there")
            raise InputError(f"JOB is {shown(options.job)}, and no run in {out} has such a job{hint}")
        if options.json:
            return _json(histories_table(found, last=last, span_of=index.span))
        return list(histories_sections(found, options.job, cache(index.span), last=last))

    return _show(_ask(out, answer), options, output)


def show_comparison(options: argparse.Namespace, output: Output) -> int:
    """Print what changed from one run to another; return the exit code.

    Raises:
        InputError: for wrong input.
    """
    out = check_out(options.out)
    path = find_run(options.run, out)
    base_path = None if options.base is None else find_run(options.base, out)

    def answer(index: Index) -> str | list[Section]:
        comparison = _comparison(index, out, path, base_path)
        if options.json:
            return _json(comparison_table(comparison, index.span))
        return list(comparison_sections(comparison, cache(index.span), whole=options.all))

    return _show(_ask(out, answer), options, output)


def _comparison(index: Index, out: Path, path: Path, base_path: Path | None) -> Comparison:
    run = _run_at(path, index, out)
    base = run_before(index, run.head) if base_path is None else _run_at(base_path, index, out)
    if base is None:
        of = f" of {run.head.suite}" if run.head.suite else ""
        raise InputError(
            f"{out} has no run{of} that began before {run.head.name}; expected BASE, a run to compare with"
        )
    for each in (run, base):
        if each.head.note is not None:
            print_error(f"{each.head.name}: the journal is read up to {each.head.note}")
    return compare(run, base, series_for(index, run.head, base.head))


def _run_at(path: Path, index: Index, out: Path) -> RememberedRun:
    """Return a run: of the index, if it is one of that directory, and else of its own journal."""
    found = index.run(path.name) if path.parent == out else None
    if found is not None:
        return found
    run = load_run(path)
    return remembered(run.state, is_live=run.is_live, note=run.note)


def _ask(out: Path, answer: Callable[[Index], _T]) -> _T:
    try:
        with opened(out) as directory:
            return ask_index(directory, answer, print_error)
    except FileNotFoundError as exc:
        raise _no_run(out) from exc
    except OSError as exc:
        raise InputError(f"--out: {out} cannot be read: {exc.strerror}; expected a directory") from exc


def _no_run(out: Path) -> InputError:
    return InputError(f"there is no run in {out}; expected one that job-runtime run has made there (see --out)")


def _show(answer: str | Iterable[Section], options: argparse.Namespace, output: Output) -> int:
    if isinstance(answer, str):
        output.write(answer)
        return output_exit_code(output)
    show_sections(list(answer), output, whole=options.all)
    return output_exit_code(output)


def _json(table: object) -> str:
    return f"{strict.dumps(table, indent=1)}\n"
