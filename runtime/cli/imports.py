"""The command ``import``: a job file from what other tools run. ``dvsim`` is in the package of that name."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import attrs

from runtime.cli.exit_codes import EXIT_PASSED, output_exit_code, print_error
from runtime.cli.new_file import write_new_file
from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.regression import RecordedFiles, load_recorded
from runtime.jobfile.variables import Variables
from runtime.jobfile.writing import job_file_text, looks_like_placeholder
from runtime.report.output import Output

_RULE: Final = re.compile(r"([^\s#:=][^:=]*?)(::?)(?:\s([^=]*))?")
"""A line of make's data base: targets, and what they need."""


@attrs.frozen(kw_only=True)
class Imported:
    """What a job file is to say."""

    jobs: Mapping[str, Mapping[str, object]]
    """The keys of each, by its name."""
    source: str
    """What it is made of, for the first comment."""
    missing: Sequence[str] = ()
    """What it cannot say, a sentence each."""
    name: str | None = None
    defaults: Mapping[str, object] = attrs.field(factory=dict)
    resources: Mapping[str, object] = attrs.field(factory=dict)


def write_imported(imported: Imported, file: Path | None) -> int:
    """Read a job file as a run would, write it, and say what is not in it; return the exit code.

    Args:
        imported: what it says.
        file: a new file; `None` for standard output.

    Raises:
        InputError: if it is not new, or cannot be written; or if no job file can say so.
    """
    if not imported.jobs:
        raise InputError(f"{imported.source} has no jobs; expected at least one")
    text = job_file_text(
        imported.jobs,
        notes=[
            f"Made by job-runtime import, of {imported.source}.",
            *(f"Not here: {each}" for each in imported.missing),
        ],
        name=imported.name,
        defaults=imported.defaults,
        resources=imported.resources,
    )
    # Whatever is wrong with it is found now, and not when it is run.
    made = str(Path("jobs.toml").absolute())
    try:
        regression = load_recorded(
            RecordedFiles(texts={made: text}, directory=Path.cwd()), Variables(environment=os.environ)
        )
        expand(regression, Expansion(run_dir=Path.cwd() / "results", seed_base=0), warn=False)
    except InputError as exc:
        # There is no such file, so messages are without it and its lines.
        why = (each.removeprefix(made).partition(": ")[2] if each.startswith(made) else each for each in exc.messages)
        raise InputError(*(f"no job file can say what {imported.source} says: {each}" for each in why)) from exc
    for each in imported.missing:
        print_error(f"not in the job file: {each}")
    if file is None:
        output = Output(sys.stdout)
        output.write(text)
        return output_exit_code(output)
    write_new_file(file, text, "-o")
    return EXIT_PASSED


# ---------------------------------------------------------------------- a list of commands


def import_list(options: argparse.Namespace) -> Imported:
    """Return what a file of commands says: a job for each line, which the shell runs in the current directory.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
        text = data.decode()
    except OSError as exc:
        raise InputError(f"{options.file}: {exc.strerror}; expected a file with a command a line") from exc
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise InputError(f"{options.file}: line {line} is not UTF-8; expected a command a line, in UTF-8") from exc
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise InputError(f"{options.file}: line {line} has a NUL character; expected a command a line, which has none")
    lines = text.split("\n")
    width = len(str(len(lines)))
    texts = {
        f"line{number:0{width}}": line.removesuffix("\r")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    }
    has_arguments = any("{}" in text for text in texts.values())
    # In words there is no quoting of a shell, which decides where a placeholder, or what stands for it, can be.
    commands = {
        name: {"cmd": [_shell(), "-c", text] if looks_like_placeholder(text) else text} for name, text in texts.items()
    }
    return Imported(
        jobs=commands,
        source="standard input" if options.file == "-" else options.file,
        missing=["values for {}, which GNU parallel replaces by arguments: it stays as it is."]
        if has_arguments
        else [],
        defaults={"cwd": os.getcwd(), "shell": _shell()},
    )


def _shell() -> str:
    """Return the shell that GNU parallel would use."""
    shell = os.environ.get("SHELL", "")
    return shell if os.path.isabs(shell) else "/bin/sh"


# ---------------------------------------------------------------------- a makefile


@attrs.frozen
class Target:
    """A target of a makefile."""

    needs: tuple[str, ...]
    has_recipe: bool
    is_phony: bool


def import_make(options: argparse.Namespace) -> Imported:
    """Return what a makefile says: a job for each target that has a recipe, which runs make for that target alone.

    make is asked for its data base, with ``-n``. So it runs no recipe, but for lines with ``$(MAKE)`` or a ``+``.

    Raises:
        InputError: if make fails.
    """
    words = ["make", "-C", os.path.abspath(options.directory)]
    words += ["-f", os.path.abspath(options.file)] if options.file is not None else []
    words += [each for each in options.targets if "=" in each]
    targets = [each for each in options.targets if "=" not in each]
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("MAKEFLAGS", None)
    try:
        done = subprocess.run(
            [*words, "-np", "--no-print-directory", *targets],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except OSError as exc:
        raise InputError(f"make cannot be started: {exc.strerror}; expected GNU make on PATH") from exc
    if done.returncode != 0:
        why = done.stderr.strip().rpartition("\n")[2]
        raise InputError(f"make ended with {done.returncode}: {why}; expected a makefile that make -n takes")
    rules, odd = parse_data_base(done.stdout)
    default = re.search(r"^\.DEFAULT_GOAL := (.+)$", done.stdout, re.MULTILINE)
    goals = targets or ([default[1]] if default else [])
    return Imported(
        jobs=_jobs_of(rules, goals, words),
        source=f"make {' '.join(goals)} in {words[2]}",
        missing=[f"{target}: has double-colon rules; one job runs them all." for target in odd],
    )


def parse_data_base(text: str) -> tuple[dict[str, Target], list[str]]:
    """Return the rules in the output of ``make -p``, by target, and the targets that have double-colon rules."""
    found: dict[str, Target] = {}
    odd: dict[str, None] = {}
    files = text.partition("\n# Files\n")[2].partition("\n# files hash-table stats:")[0]
    for block in files.split("\n\n"):
        lines = block.strip("\n").split("\n")
        # "x: NAME = value" may come before "x: y". Of what is no target, the first line says so, after a "#".
        heads = takewhile(lambda line: not line.startswith("#"), lines)
        rule = next(filter(None, map(_RULE.fullmatch, heads)), None)
        if rule is None:
            continue
        target = rule[1]
        needs = [each for each in (rule[3] or "").split() if each != "|"]
        has_recipe = any(re.match(r"#  (recipe|commands) to execute", line) for line in lines)
        is_phony = any(line.startswith("#  Phony target") for line in lines)
        if rule[2] == "::":
            odd[target] = None
        if target in found:
            before = found[target]
            needs, has_recipe = [*before.needs, *needs], has_recipe or before.has_recipe
        found[target] = Target(tuple(dict.fromkeys(needs)), has_recipe, is_phony)
    return found, list(odd)


def _jobs_of(rules: Mapping[str, Target], goals: Sequence[str], words: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return a job for each target with a recipe that the goals reach, those first that others need."""
    order: dict[str, None] = {}
    pending = list(reversed(goals))
    seen: set[str] = set()
    while pending:  # no recursion, because a chain may have any length
        target = pending[-1]
        if target in seen:  # for the second time: all that it needs is in order
            order[pending.pop()] = None
            continue
        seen.add(target)
        rule = rules.get(target)
        pending += [each for each in reversed(rule.needs) if each not in seen] if rule is not None else []
    jobs: dict[str, dict[str, object]] = {}
    for target in order:
        rule = rules.get(target)
        if rule is None or not rule.has_recipe:
            continue
        # A phony target would run again for each target that needs it: -o says that it is done.
        done = [word for each in _reached(rules, target) if rules[each].is_phony for word in ("-o", each)]
        needs = [each for each in _reached(rules, target, through_recipes=False) if rules[each].has_recipe]
        jobs[target] = {"cmd": [*words, *done, target], **({"needs": needs} if needs else {})}
    return jobs


def _reached(rules: Mapping[str, Target], target: str, *, through_recipes: bool = True) -> list[str]:
    """Return what a target needs, directly and indirectly; else not beyond targets with a recipe."""
    found: dict[str, None] = {}
    pending = list(rules[target].needs)
    while pending:
        each = pending.pop(0)
        if each in found or each not in rules:
            continue
        found[each] = None
        if through_recipes or not rules[each].has_recipe:
            pending += rules[each].needs
    return list(found)


SOURCES: Final = {"list": import_list, "make": import_make}


def import_jobs(options: argparse.Namespace) -> int:
    """Run ``import list`` or ``import make``; return the exit code.

    Raises:
        InputError: for any wrong input.
    """
    return write_imported(SOURCES[options.source](options), options.output)
