"""`TableSpecs`: makes the specifications of one table's jobs. What is the same for all of them is made once.

A regression may have a million jobs of one matrix. So each text is read once, for the first job; for each of the others
only the fields that have a placeholder whose value differs are made, and the specification is a variant of the first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from runtime.backend.job_paths import usual_odir
from runtime.errors import SpecError
from runtime.job import JobSpec, Kinds, Retry, safe_id
from runtime.job.drafts import SpecVariants
from runtime.job.retry import FIRST_RETRY_DELAY
from runtime.jobfile.cells import Cells
from runtime.jobfile.errors import InputError, shown
from runtime.jobfile.place import Place, first_key
from runtime.jobfile.references import References
from runtime.jobfile.regression import JobEntry
from runtime.jobfile.schema import JOB_KEYS, RETRY_KEYS, TEXT_KEYS, JobTable
from runtime.jobfile.template import ShellTemplate, Template

MIN_TIMEOUT: Final = 0.001
"""Seconds of a timeout after it was multiplied, at least. Arbitrary: no process starts in less."""

_COPIED: Final = tuple(JOB_KEYS - {*TEXT_KEYS, *RETRY_KEYS, "matrix", "seeds", "keep", "version"})
"""The keys that are copied into a specification, if the file has them."""

_Texts = tuple[str, ...]
_Values = Mapping[str, str]


class TableSpecs:
    """Makes the specifications of one table's jobs.

    Args:
        entry: the table.
        run_dir: the run directory; absolute.
        timeout_multiplier: the factor for its `timeout`.
        references: what the variables in it stand for.
        kinds: which lines of logs show failures of the infrastructure.
        resolve: returns the ids of the jobs that names in `needs` stand for; the place is for messages.
    """

    def __init__(
        self,
        entry: JobEntry,
        *,
        run_dir: str,
        timeout_multiplier: float,
        references: References,
        kinds: Kinds | None,
        resolve: Callable[[_Texts, Place], _Texts],
    ) -> None:
        self._entry = entry
        self._resolve = resolve
        self._dependencies: dict[_Texts, _Texts] = {}
        self._fixed = {
            **references.values,
            "name": entry.name,
            "run_dir": run_dir,
            "file_dir": str(entry.directory),
        }
        self._names = {*entry.matrix, "id", *(() if entry.table.seeds is None else ("seed",))}
        """The placeholders whose values differ from job to job."""
        self._make_odir: Callable[[_Values], object] = lambda values: usual_odir(values["id"], run_dir)
        """Makes the value of ``{odir}``, if that is one of them."""
        self._same = _copied(entry.table, timeout_multiplier, kinds)
        """The fields that all jobs have in common."""
        if references.is_secret_in_cmd:
            self._same["secret_cmd"] = True
        self._differing: dict[str, Callable[[_Values], object]] = {}
        """The others, each with the function that makes its value of those of a job's placeholders."""
        self._used: set[str] = set()
        """The placeholders of these."""

    def make(self, cells: Cells) -> list[JobSpec]:
        """Return the specifications, in the order of the cells. To be called once.

        Raises:
            InputError: for the first that cannot be.
        """
        try:
            self._read_texts()
            return self._specs(cells)
        except (SpecError, ValueError) as exc:
            # A key that only the defaults have has no line.
            key = first_key(str(exc).removeprefix(f"job {self._entry.name!r}: "), JOB_KEYS)
            raise InputError(f"{self._entry.where.at(key)}: {exc}") from exc

    def _specs(self, cells: Cells) -> list[JobSpec]:
        specs: list[JobSpec] = []
        variants: SpecVariants | None = None
        fields = ("full_name", "qual_name", "seed", *self._differing)
        makers = tuple(self._differing.values())
        parameters = tuple(self._entry.matrix)
        for job_id, seed, texts in cells:
            values: dict[str, Any] = dict(zip(parameters, texts, strict=True))
            values["id"] = job_id
            if seed is not None:
                values["seed"] = str(seed)
            if "odir" in self._used:
                values["odir"] = self._make_odir(values)
            own = (job_id, job_id, seed, *[make(values) for make in makers])
            if not specs:
                first: dict[str, Any] = {**self._same, **dict(zip(fields, own, strict=True))}
                specs.append(JobSpec(name=self._entry.name, **first))
                continue
            if variants is None:
                variants = SpecVariants(specs[0], fields)
            specs.append(variants.make(own))
        return specs

    def _read_texts(self) -> None:
        """Divide the fields into those that all jobs have in common, which are made, and the others."""
        table = self._entry.table
        self._add_odir(table)  # first, because others may have it
        if isinstance(table.cmd, str):
            self._add_command(table.cmd)
        else:
            self._add("cmd", table.cmd)
        self._add("tags", table.tags)
        self._add("dependencies", table.needs or None, self._needed)
        self._add_patterns(table)
        if table.exports:
            names = tuple(table.exports)
            self._add("exports", tuple(table.exports.values()), lambda texts: dict(zip(names, texts, strict=True)))
        self._add_paths(table)

    def _add(
        self,
        field: str,
        texts: Sequence[str] | None,
        finish: Callable[[_Texts], object] = tuple,
        adapt: Callable[[str, str], str] | None = None,
    ) -> None:
        """Add a field.

        Args:
            field: its name.
            texts: those of the job file that it is made of; `None` if there are none, and it has its default.
            finish: makes it of the texts in which the placeholders are replaced.
            adapt: returns what is inserted for a name and a value, if that is not the value itself.
        """
        if texts is None:
            return
        if "{" not in "".join(texts):
            self._same[field] = finish(tuple(texts))
            return
        fixed = self._fixed if adapt is None else {name: adapt(name, value) for name, value in self._fixed.items()}
        templates = [Template(text, fixed, self._names) for text in texts]
        used = {name for template in templates for name in template.used}

        def make(values: _Values) -> object:
            if adapt is not None:
                values = {name: adapt(name, values[name]) for name in used}
            return finish(tuple([template.fill(values) for template in templates]))

        if used:
            self._differing[field] = make
            self._used |= used
        else:
            self._same[field] = make({})

    def _add_command(self, command: str) -> None:
        template = ShellTemplate(command, self._fixed, self._names)
        if template.used:
            self._differing["cmd"] = template.fill
            self._used.update(template.used)
        else:
            self._same["cmd"] = template.fill({})

    def _add_patterns(self, table: JobTable) -> None:
        def escaped(_: str, value: str) -> str:
            return re.escape(value)  # a value matches itself in a pattern, whatever characters it has

        self._add("pass_patterns", table.pass_patterns, adapt=escaped)
        self._add("fail_patterns", table.fail_patterns, adapt=escaped)
        for field in ("runtime_pattern", "simulated_time_pattern", "timeout_from"):
            pattern = getattr(table, field)
            self._add(field, None if pattern is None else (pattern,), itemgetter(0), escaped)

    def _add_odir(self, table: JobTable) -> None:
        if table.odir is not None:
            self._add(
                "odir",
                (table.odir,),
                lambda texts: self._path("odir", *texts, within=self._fixed["run_dir"]),
                self._in_path,
            )
        if "odir" in self._same:
            self._fixed["odir"] = self._same["odir"]
            return
        self._names.add("odir")
        if "odir" in self._differing:  # made once, for the field and for the placeholder
            self._make_odir = self._differing["odir"]
            self._differing["odir"] = itemgetter("odir")
            self._used.add("odir")

    def _add_paths(self, table: JobTable) -> None:
        directory = self._fixed["file_dir"]
        if table.cwd is None:
            self._same["cwd"] = directory
        else:
            self._add("cwd", (table.cwd,), lambda texts: self._path("cwd", *texts, within=directory), self._in_path)
        if table.log_path is not None:
            texts = (table.log_path, "{odir}")
            self._add("log_path", texts, lambda texts: self._path("log_path", texts[0], within=texts[1]), self._in_path)

    def _in_path(self, name: str, value: str) -> str:
        """Return a value as it is in a path: no name leads out of a directory."""
        return safe_id(value) if name in ("name", "id") or name in self._entry.matrix else value

    def _path(self, key: str, text: str, *, within: str) -> str:
        if not text:
            given = getattr(self._entry.table, key)
            raise ValueError(f"{key} is {shown(given)}, which is empty here; expected a path")
        return os.path.normpath(os.path.join(within, text))

    def _needed(self, needs: _Texts) -> _Texts:
        # Jobs with the same needs share one tuple.
        if needs not in self._dependencies:
            self._dependencies[needs] = self._resolve(needs, self._entry.where.at("needs"))
        return self._dependencies[needs]


def _copied(table: JobTable, timeout_multiplier: float, kinds: Kinds | None) -> dict[str, Any]:
    """Return the fields of which a table has the values."""
    found = {key: value for key in _COPIED if (value := getattr(table, key)) is not None}
    if "timeout" in found:
        # A tiny factor must not round the timeout to 0, which `JobSpec` refuses.
        found["timeout"] = max(found["timeout"] * timeout_multiplier, MIN_TIMEOUT)
    if kinds is not None:
        found["kinds"] = kinds
    if table.retry:
        delay = FIRST_RETRY_DELAY if table.retry_delay is None else table.retry_delay
        found["retry"] = Retry(table.retry, delay, table.flaky or "pass")
    return found
