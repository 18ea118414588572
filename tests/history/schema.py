"""The published schemas of what ``compare --json`` and ``history --json`` print."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

from tests.report.schema import closed


def check(document: Any, name: str) -> None:
    """Raise an error if a document is not as a schema says, or has a key that this does not name."""
    schema = json.loads(resources.files("runtime.history").joinpath(f"{name}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(closed(schema)).validate(document)
