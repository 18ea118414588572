"""The published schema of ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

_FILE = resources.files("runtime.report").joinpath("results.schema.json")
SCHEMA: dict[str, Any] = json.loads(_FILE.read_text("utf-8"))


def check(document: object) -> None:
    """Raise an error if a document is not as the schema says."""
    Draft202012Validator(SCHEMA).validate(document)


def objects(schema: Any = SCHEMA) -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield of each object of the schema its keys, and those that it must have."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield str(sorted(schema["properties"])), set(schema["properties"]), set(schema["required"])
        for inner in schema.values():
            yield from objects(inner)


def closed(schema: Any = SCHEMA) -> Any:
    """Return the schema with no other keys allowed in any object than those that it names."""
    if isinstance(schema, dict):
        inner = {key: closed(value) for key, value in schema.items()}
        return {**inner, "additionalProperties": False} if "properties" in schema else inner
    return [closed(each) for each in schema] if isinstance(schema, list) else schema
