"""Warnings about what is allowed, and probably not meant. Pure.

About placeholders that are not replaced: misspelt ones, those of other jobs, those in defaults. A warning, not an
error, because braces mean something to many programs. Text in braces that resembles no placeholder is ignored. And
about a `make` that takes no part in the jobserver.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import Final

from runtime.jobfile.references import texts
from runtime.jobfile.schema import JobTable
from runtime.jobfile.template import placeholders
from runtime.jobfile.values import PLACEHOLDERS
from runtime.jobfile.variables import Variables

MIN_SIMILARITY: Final = 0.75
"""The ratio of `difflib` from which a name is taken for a misspelt one. Arbitrary: one letter of four may be wrong.
With less, words of awk or of a shell would be warned about; with more, a misspelt ``seed`` would be missed."""

_NOT_IN_DEFAULTS: Final = frozenset(PLACEHOLDERS) - {"file_dir"}
"""Placeholders that differ by job or by run."""

# As other tools write a variable: ``${env.PATH}``, ``{env:PATH}``, ``{ENV.PATH}``, ``{ vars.name }``.
_MISWRITTEN: Final = re.compile(
    r"\$?\{\s*(?:(vars?)|envs?|environ|environment)\s*[.:]\s*([A-Za-z_]\w*)\s*\}", re.IGNORECASE | re.ASCII
)


# An option for the number of jobs, also behind others that are one letter; what is between is of the same command.
_OWN_JOBS: Final = re.compile(
    r"(?:^|[\s;&|(/'\"])((?:g|gnu)?make|ninja)[ \t](?:[^;&|\n]*?[ \t])?"
    r"(-[BdeikLnpqrRsStvw]*j[^\s;&|)'\"]*|--jobs\b[^\s;&|)'\"]*)",
    re.ASCII,
)


def doubtful_jobserver(table: JobTable) -> Iterator[str]:
    """Yield a sentence if a job asks for the jobserver, and its `cmd` then leaves it: a `make` with ``-j``."""
    if table.jobserver and table.cmd is not None:
        cmd = table.cmd if isinstance(table.cmd, str) else " ".join(table.cmd)
        if found := _OWN_JOBS.search(cmd):
            program, option = found.groups()
            yield f"cmd has {program} with {option}, which leaves the jobserver; expected {program} without {option}"


def doubtful_placeholders(
    table: JobTable, parameters: Collection[str], variables: Collection[str] = ()
) -> Iterator[str]:
    """Yield a sentence for each placeholder in `table` that is not replaced, and probably should be.

    Args:
        table: the table of a job.
        parameters: the parameters of all matrices of the run.
        variables: the names of the variables of the run, without ``var.``.
    """
    known = {*PLACEHOLDERS, *table.matrix}
    if table.seeds is None:
        known.remove("seed")
    for key, text in texts(table):
        for name in sorted(placeholders(text) - known):
            if why := _why(name, known, parameters, variables):
                yield f"{'.'.join(key)} has {{{name}}}, which stays as it is{why}"
        for sentence in _miswritten(text):
            yield f"{'.'.join(key)} has {sentence}"


def doubtful_defaults(variables: Variables) -> Iterator[str]:
    """Yield a sentence, with its place, for each placeholder in a default of `variables` that is not replaced."""
    for where, text in variables.texts():
        for name in sorted(placeholders(text) & _NOT_IN_DEFAULTS):
            yield f"{where} has {{{name}}}, which stays as it is; expected it beside the variable, in a job"
        for sentence in _miswritten(text):
            yield f"{where} has {sentence}"


def _miswritten(text: str) -> Iterator[str]:
    for found in _MISWRITTEN.finditer(text) if "{" in text else ():
        meant = f"{{{'var' if found[1] else 'env'}.{found[2]}}}"
        if found[0] != meant:
            yield f"{found[0]}, which stays as it is; did you mean {meant}?"


def _why(name: str, known: Collection[str], parameters: Collection[str], variables: Collection[str]) -> str:
    if name == "seed":
        return ", as the job has no seeds"
    if name in parameters:
        return f", as the job's matrix has no {name}"
    if name in variables:
        return f"; did you mean {{var.{name}}}?"
    near = difflib.get_close_matches(name.lower(), [*known, "seed"], n=1, cutoff=MIN_SIMILARITY)
    return f"; did you mean {{{near[0]}}}?" if near else ""
