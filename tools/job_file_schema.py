r"""Makes the JSON schema of job files, `runtime/jobfile/job_file.schema.json`: ``python -m tools.job_file_schema``.

The keys are those of the tables in `runtime.jobfile.schema`. What each may be is written here once for each check of
`runtime.jobfile.values`: a key whose check is new is an error until the check is in `VALUES`. What an editor shows of a
key is in the table of docs/job-files.md. A test compares the file with what is made here, and loads random files.

It is draft 4, the latest one in which ``1.0`` is no whole number, as it is none in a job file; editors know it. In a
pattern ``$`` has ``(?!\n)`` in front, because Python's ends before a last line end, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from signal import Signals
from typing import Any, Final

import attrs

from runtime.backend.registry import BUILT_IN, backends
from runtime.cli.make_backends import OLDER_KEYS, key_names
from runtime.job import MIN_MEMORY, FailureKind
from runtime.job.kinds import SHOWN_BY_LOGS
from runtime.job.sizes import MAX_SIZE
from runtime.jobfile import limits, values
from runtime.jobfile.read import MAX_INTEGER, MIN_INTEGER
from runtime.jobfile.schema import FileTable, JobTable
from tools.decimals import at_least, at_most

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "runtime" / "jobfile" / "job_file.schema.json"
PAGE: Final = ROOT / "docs" / "job-files.md"

Schema = dict[str, Any]

_END: Final = r"(?!\n)$"
_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_LARGEST: Final = 1.7976931348623157e308

TEXT: Final[Schema] = {"type": "string"}
FULL_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
SOME_TEXTS: Final[Schema] = {**TEXTS, "minItems": 1}
FLAG: Final[Schema] = {"type": "boolean"}
TABLE: Final[Schema] = {"type": "object", "additionalProperties": {"$ref": "#/definitions/anything"}}


def any_of(*schemas: Schema) -> Schema:
    """Return the schema of what one of these describes."""
    return {"anyOf": list(schemas)}


def whole(lowest: int, highest: int = MAX_INTEGER) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": lowest, "maximum": highest}


def matching(pattern: str) -> Schema:
    """Return the schema of a text that is all of what `pattern` describes."""
    return {"type": "string", "pattern": f"^(?:{pattern}){_END}"}


def table(item: Schema, names: str | None = None) -> Schema:
    """Return the schema of a table whose names are not empty, or are all of what `names` describes."""
    pattern = r"[\s\S]" if names is None else f"^(?:{names}){_END}"
    return {"type": "object", "patternProperties": {pattern: item}, "additionalProperties": False}


def keys(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Return the schema of a table of these keys."""
    found: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def described(description: str, schema: Schema) -> Schema:
    """Return `schema` with a description, which nothing beside a reference could have."""
    return {"description": description, **({"allOf": [schema]} if "$ref" in schema else schema)}


def _number() -> Schema:
    """Return that of a number, which has 64 bits if it is whole."""
    too_large = any_of({"minimum": MAX_INTEGER + 1}, {"maximum": MIN_INTEGER - 1})
    return {
        "type": "number",
        "minimum": -_LARGEST,
        "maximum": _LARGEST,
        "not": {"type": "integer", **too_large},
    }


def _scalar() -> Schema:
    return any_of(TEXT, FLAG, {"$ref": "#/definitions/number"})


def _duration_text() -> Schema:
    units = (
        f"0*{at_most(values.MAX_DURATION / Decimal(str(seconds)))}{unit}"
        for unit, seconds in values.DURATION_UNITS.items()
    )
    return {
        **matching(rf"(?=\s*[0-9]+(?:\.[0-9]+)?[a-z])(?=\s*[0.]*[1-9])\s*(?:{'|'.join(units)})\s*"),
        "maxLength": values.MAX_DURATION_LENGTH - 1,
    }


def _duration() -> Schema:
    seconds = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": values.MAX_DURATION}
    return any_of(seconds, {"$ref": "#/definitions/durationText"})


def _size(lowest: int) -> Schema:
    cases = []
    for base, suffix in ((1024, "(?:[iI][bB])?"), (1000, "[bB]")):
        for power, letter in enumerate("KMGTP", 1):
            unit = f" ?[{letter}{letter.lower()}]{suffix}"
            least, most = (at(Decimal(bound) / base**power) for at, bound in ((at_least, lowest), (at_most, MAX_SIZE)))
            cases.append(rf"(?=0*{least}{unit}\s*{_END})0*{most}{unit}")
    unit = " ?[bB]?"
    cases.append(rf"(?=0*{at_least(Decimal(lowest))}{unit}\s*{_END})0*{at_most(Decimal(MAX_SIZE))}{unit}")
    form = rf"(?=\s*[0-9]{{1,20}}(?:\.[0-9]{{1,20}})?(?:[^0-9.]|{_END}))(?=\s*[0.]*[1-9])"
    return any_of(whole(lowest, MAX_SIZE), matching(rf"{form}\s*(?:{'|'.join(cases)})\s*"))


def _seeds() -> Schema:
    first_to_last = matching(rf"[0-9]{{1,20}}\.\.(?=[0-9]{{1,20}}{_END})0*{at_most(Decimal(values.MAX_SEED))}")
    some = {"type": "array", "items": whole(0, values.MAX_SEED), "minItems": 1, "uniqueItems": True}
    return any_of(whole(1), first_to_last, some)


def _matrix() -> Schema:
    some = {"type": "array", "items": {"$ref": "#/definitions/scalar"}, "minItems": 1}
    file = keys({"file": FULL_TEXT}, ["file"])
    glob = keys({"glob": FULL_TEXT, "value": {"enum": ["path", "name", "stem"]}}, ["glob"])
    return table(any_of(some, file, glob), f"(?!(?:{'|'.join(values.PLACEHOLDERS)}){_END}){_NAME}")


def _limits() -> Schema:
    amount = any_of(whole(0), {"enum": ["unlimited"]})
    day = "(?:mon|tue|wed|thu|fri|sat|sun)"
    hour = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    hours = f"(?:{day}(?:-{day})? )?(?!([0-9:]+)-\\1{_END}){hour}-(?:{hour}|24:00)"
    schedule = {**table(amount, f"{limits.ELSE}|{hours}"), "required": [limits.ELSE], "minProperties": 2}
    command = matching(r"[^\u0000]+")
    called = keys({"command": command, "every": {"$ref": "#/definitions/duration"}}, ["command"])
    return table(any_of(amount, called, schedule))


def _soft_stop() -> Schema:
    names = sorted(Signals.__members__)
    return any_of({"enum": [False, *names]}, matching(r"(?!SIG)[^\u0000]+"))


VALUES: Final[Mapping[Any, Schema]] = {
    values.text: FULL_TEXT,
    values.any_text: TEXT,
    values.texts: TEXTS,
    values.flag: FLAG,
    values.number: {"$ref": "#/definitions/number"},
    values.command: any_of(TEXT, SOME_TEXTS),
    # The text is the path of a program, without options; the first of the words is not empty.
    values.shell: any_of(
        {"type": "string", "minLength": 1, "not": {"pattern": r"\S\s+-"}},
        {"type": "array", "items": [FULL_TEXT], "additionalItems": TEXT, "minItems": 1},
    ),
    values.duration: {"$ref": "#/definitions/duration"},
    values.delay: any_of({"$ref": "#/definitions/duration"}, {"enum": [0, "0", "0s"]}),
    values.size: _size(1),
    values.memory: _size(MIN_MEMORY),
    values.retry: any_of(whole(0), {"type": "object", "additionalProperties": whole(0)}),
    values.soft_stop: _soft_stop(),
    values.jobserver: {"enum": [True, False, "fifo"]},
    values.amounts: table(any_of(whole(0), {"enum": ["all"]})),
    values.exports: {"type": "object", "additionalProperties": any_of(TEXT, whole(MIN_INTEGER))},
    values.seeds: _seeds(),
    values.matrix: _matrix(),
}
"""What a key of a job may be, by its check."""


def job_table(texts: Mapping[str, str]) -> Schema:
    """Return the schema of a job, or of defaults."""
    properties = {}
    for field in attrs.fields(JobTable):
        check = field.metadata["check"]
        value = {"enum": list(check.words)} if isinstance(check, values.OneOf) else VALUES[check]
        properties[field.name] = described(texts[field.name], value)
    return {**keys(properties), "not": {"required": ["run_if", "needs_all_dependencies_passing"]}}


def _kinds() -> Schema:
    shown = [kind.value for kind in SHOWN_BY_LOGS]
    others = "|".join(kind.value for kind in FailureKind)
    names = f"{'|'.join(shown)}|(?!(?:defaults|{others}){_END})[a-z][a-z0-9_]{{0,39}}"
    return {**table(SOME_TEXTS, names), "properties": {"defaults": FLAG}}


def _known() -> Schema:
    globs = any_of(FULL_TEXT, {"type": "array", "items": FULL_TEXT, "minItems": 1})
    day = {**matching("[0-9]{4}-[0-9]{2}-[0-9]{2}"), "format": "date"}
    properties = {"jobs": globs, "message": FULL_TEXT, "issue": FULL_TEXT, "expires": day}
    return table(keys(properties, list(properties)))


def _vars() -> Schema:
    scalar = {"$ref": "#/definitions/scalar"}
    return {**table(scalar, f"(?!env{_END}){_NAME}"), "properties": {"env": table(scalar, _NAME)}}


def _backends() -> Schema:
    anything = {"$ref": "#/definitions/anything"}
    known = {}
    for name in BUILT_IN:
        names = key_names(backends, name)
        older = [key for key, present in OLDER_KEYS.items() if present in names]
        known[name] = keys(dict.fromkeys((*names, *older), anything))
    return {"type": "object", "properties": known, "additionalProperties": TABLE}


def file_table(texts: Mapping[str, str]) -> Schema:
    """Return the schema of a job file."""
    job = {"$ref": "#/definitions/job"}
    of_key: dict[str, Schema] = {
        "name": FULL_TEXT,
        "include": {"type": "array", "items": FULL_TEXT},
        "defaults": job,
        "vars": _vars(),
        "resources": _limits(),
        "kinds": _kinds(),
        "known": _known(),
        "buckets": table(SOME_TEXTS),
        "waves": keys({"with": TEXTS, "exports": VALUES[values.exports]}),
        "backends": _backends(),
        "jobs": table(job),
    }
    names = [field.name for field in attrs.fields(FileTable)]
    with_cmd = {"additionalProperties": {"required": ["cmd"]}}
    return {
        **keys({name: described(texts[name], of_key[name]) for name in names}),
        # A job has a command of its own, or that of the defaults.
        "anyOf": [
            {"properties": {"jobs": with_cmd}},
            {"properties": {"defaults": {"required": ["cmd"]}}, "required": ["defaults"]},
        ],
    }


def descriptions(page: str) -> dict[str, str]:
    """Return what docs/job-files.md says of each key of a file, and of a job, without its links."""
    found: dict[str, str] = {}
    for cells in re.findall(r"^\| (`.*?`) \| (.*?) \|(.*)$", page, re.MULTILINE):
        text = re.sub(r" ?\(\[below\]\(#[^)]*\)\)|: \[below\]\(#[^)]*\)", "", cells[1])
        text = re.sub(r"\[([^\]]+)\]\(#[^)]*\)", r"\1", text)
        default = cells[2].strip(" |")
        text += f". Default: {default}" if default and default != "an error" else ""
        for key in re.findall(r"`([^`]+)`", cells[0]):
            found.setdefault(key.strip("[]").partition(".")[0], text[:1].upper() + text[1:])
    return found


def schema() -> Schema:
    """Return the whole schema."""
    file_part, _, job_part = PAGE.read_text("utf-8").partition("\n### The file\n")[2].partition("\n### A job\n")
    of_job = descriptions(job_part.partition("\n### ")[0])
    anything = {
        "not": {"type": "integer", **any_of({"minimum": MAX_INTEGER + 1}, {"maximum": MIN_INTEGER - 1})},
        "items": {"$ref": "#/definitions/anything"},
        "additionalProperties": {"$ref": "#/definitions/anything"},
    }
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "urn:job-runtime:job-file",
        "title": "A job file of job-runtime",
        "description": "See docs/job-files.md. Made by tools/job_file_schema.py.",
        **file_table(descriptions(file_part)),
        "definitions": {
            "job": job_table(of_job),
            "duration": _duration(),
            "durationText": _duration_text(),
            "number": _number(),
            "scalar": _scalar(),
            "anything": anything,
        },
    }


def text() -> str:
    """Return the text of the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
