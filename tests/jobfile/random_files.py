"""Random job files, and how the loader and the schema judge each: few for a test, many for a campaign.

A file begins as one that is right; then some of its values are replaced, added or removed, mostly by what may be wrong.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jsonschema

from runtime.backend.registry import BUILT_IN, backends
from runtime.cli.make_backends import OLDER_KEYS, key_names
from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.regression import load
from runtime.jobfile.schema import FileTable, JobTable, wrong_keys
from runtime.jobfile.variables import Variables

SCHEMA: Final = json.loads(resources.files("runtime.jobfile").joinpath("job_file.schema.json").read_text("utf-8"))

# fmt: off
VALUES: Final[tuple[Any, ...]] = (
    True, False, 0, 1, 3, -1, 2**63, 2**64 - 1, 10**9, 10**9 + 1, 4 << 20, (4 << 20) - 1, 1 << 60, 0.0, 1.0, 0.5,
    -0.5, 1e9, 1.5e9, 1e308, float("inf"), "", "a", "a b", "seed", "all", "unlimited", "passed", "any-passed",
    "fifo", "tree", "failed", "ignore", "0", "0s", "0.0s", "10s", " 1.5h ", "90m", "1e3s", "10 s", "11574d",
    "11575d", "5ms", "-1s", "1000000000s", "1000000001s", "16666666.666666666m", "16666666.7m", "64K", "4MiB",
    "4.1MB", "4.194304 MB", "3.9m", "0.00390625G", "0.0039G", "1P", "1024P", "1025P", "1B", "0.5", "0.5K", "1..40",
    "0..18446744073709551615", "7..18446744073709551616", "SIGINT", "SIGNONE", "stop\0", "stop", "/bin/bash -e",
    "/bin/sh", "bash  --x", "path", [], ["a"], [""], [1], [0, 1], [1, 1], [-1], [1.5, "x", True], [["a"]],
    ["/bin/sh", "-c"], ["", "a"], {}, {"a": 1}, {"a": "all"}, {"": 1}, {"a": -1}, {"a": [1, 2]}, {"a b": [1]},
    {"seed": [1]}, {"a": []}, {"a": {"file": "tests.txt"}}, {"a": {"glob": "*.txt", "value": "stem"}},
    {"a": {"file": "tests.txt", "value": "path"}}, {"a": {"glob": 1}},
    {"a": {"file": "tests.txt", "glob": "*.txt"}}, {"a": {"glob": "*.txt", "value": "x"}}, {"licence": 5},
    {"licence": True}, {"a": {"command": "./free", "every": "30s"}}, {"a": {"every": 1}},
    {"a": {"command": "x", "every": 0}}, {"a": "x"}, {"a": {"08:00-18:00": 4, "else": "unlimited"}},
    {"a": {"else": 4}}, {"a": {"mon-fri 22:00-24:00": 4, "else": 0}}, {"a": {"24:00-01:00": 4, "else": 0}},
    {"a": {"08:00-08:00": 4, "else": 0}}, {"a": {"sun 08:00-8:30": 4, "else": 0}}, {"env": {"A": 1, "B": "x"}},
    {"env": 1}, {"env": {"A-B": 1}}, {"a-b": 1}, {"defaults": False}, {"defaults": 1}, {"network": ["a"]},
    {"licence": ["a"]}, {"timeout": ["a"]}, {"Net": ["a"]}, {"network": []}, {"network": "a"}, {"cmd": "x"},
    {"cmd": []}, {"a": {"cmd": "x"}}, {"a": {"cmd": "x", "run_if": "ended"}}, {"local": {"soft_stop": "x"}},
    {"local": {"max_paralelism": 1}}, {"slurm": {"grace": 1}}, {"site": {"x": [1, {"y": 2}]}}, {"local": 1},
    {"b": {"jobs": "*", "message": "x", "issue": "7", "expires": dt.date(2027, 1, 31)}},
    {"b": {"jobs": ["*"], "message": "x", "issue": "7", "expires": "2027-01-31"}},
    {"b": {"jobs": [], "message": "x", "issue": "7", "expires": "2027-01-31"}},
    {"b": {"jobs": "*", "message": "x", "issue": "7", "expires": "2027-02-31"}},
    {"b": {"jobs": "*", "message": "x", "issue": "7", "expires": dt.datetime(2027, 1, 31)}},  # noqa: DTZ001 - as TOML has it
    {"b": {"jobs": "*", "message": "x", "issue": "7", "expires": "2027-W04-7"}},
    {"b": {"jobs": "*", "message": ""}}, {"with": ["+waves"]}, {"with": "+waves"}, {"exports": {"A": 1}, "with": []},
    {"exports": {"A": True}}, {"with": ["x"], "else": 1},
)
# fmt: on
"""What keys may be, and what they may not."""

KEYS: Final = (*JobTable.__annotations__, *FileTable.__annotations__, "tiemout", "", "a.b")

BEGIN: Final[dict[str, Any]] = {
    "name": "fifo",
    "defaults": {"timeout": "10m"},
    "resources": {"licence": 4},
    "jobs": {"a": {"cmd": "make"}, "b.c": {"cmd": ["true"], "needs": ["a"], "seeds": 2}},
}

NOT_OF_SCHEMAS: Final = ("expected a kind of failure", "cannot be read", "matches no file", "has no jobs", "include ")
"""What the loader says of values that are wrong for a reason outside of themselves, such as a file that is missing."""


def random_file(chance: random.Random) -> dict[str, Any]:
    """Return the tables of a file."""
    tables = copy.deepcopy(BEGIN)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        places: list[dict[str, Any]] = [tables, *(each for each in tables.values() if isinstance(each, dict))]
        jobs = tables.get("jobs")
        places += [each for each in jobs.values() if isinstance(each, dict)] * 3 if isinstance(jobs, dict) else []
        place = chance.choice(places)
        if place and chance.random() < 0.1:
            del place[chance.choice(list(place))]
        else:
            place[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
    return tables


def toml(value: object) -> str:
    """Return a value as TOML, all of it in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dt.date):
        return value.isoformat()
    return json.dumps(value).replace("Infinity", "inf").replace("1e+", "1.0e+")


def as_json(value: object) -> Any:
    """Return a value as an editor gives it to a schema: days are texts."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def refusal(path: Path, tables: dict[str, Any]) -> str | None:
    """Return what the loader says of a file with these tables; `None` if it takes it."""
    path.write_text("".join(f"{toml(key)} = {toml(value)}\n" for key, value in tables.items()), "utf-8")
    try:
        regression = load(str(path), variables=Variables())
    except InputError as exc:
        return str(exc)
    for name, (options, where) in regression.backends.items():  # whose keys are checked when backends are made
        known = {*key_names(backends, name), *OLDER_KEYS} if name in BUILT_IN else options.keys()
        if not options.keys() <= known:
            return f"{where}: unknown key"
    return None


def disagreements() -> list[tuple[str, Any]]:
    """Return each key of a job, and each value of `VALUES`, of which only one of loader and schema takes it."""
    found = []
    for key in JobTable.__annotations__:
        definition = {"$ref": f"#/definitions/job/properties/{key}"}
        validator = jsonschema.Draft4Validator({"allOf": [definition], "definitions": SCHEMA["definitions"]})
        for value in VALUES:
            is_right = not wrong_keys({key: value}, JobTable, Place("f"))
            if validator.is_valid(as_json(value)) != is_right:
                found.append((key, value))
    return found


def compare(directory: Path, seed: int, count: int) -> Counter[str]:
    """Return how many files both take, both refuse, and were refused for what no schema can say.

    Raises:
        AssertionError: for a file that only one of the two takes.
    """
    chance = random.Random(seed)
    (directory / "tests.txt").write_text("one\ntwo\n")
    validator = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    seen: Counter[str] = Counter()
    for number in range(count):
        tables = random_file(chance)
        message = refusal(directory / "jobs.toml", tables)
        valid = validator.is_valid(as_json(tables))
        if message is not None and any(text in message for text in NOT_OF_SCHEMAS):
            seen["refused for what no schema says"] += 1
            continue
        assert valid == (message is None), f"file {number} of seed {seed}: {tables}: valid: {valid}; loader: {message}"
        seen["taken" if valid else "refused"] += 1
    return seen
