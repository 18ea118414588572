"""The options that decide what the jobs of a run are and where they run, as a run records them. Pure, but for paths.

The variables of ``-D`` are not among them, nor is the seed base: these are recorded by themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from runtime.jobfile.errors import InputError, shown

_SEPARATOR: Final = "\0"

_RECORDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--reseed": "reseed",
        "--fixed-seed": "fixed_seed",
        "--timeout-multiplier": "timeout_multiplier",
        "--backend": "backend",
        "--pythonpath": "pythonpath",
        "--max-parallel": "max_parallel",
        "--resource": "resource",
        "--on-missing-resource": "on_missing_resource",
        "--max-odirs": "max_odirs",
        "--mem-free": "mem_free",
        "--disk-free": "disk_free",
    }
)
"""Option to the name of its value."""


def recorded_options(options: argparse.Namespace) -> dict[str, str]:
    """Return the options, each with its values, separated by NUL. Relative paths become absolute."""
    found = {}
    for option, name in _RECORDED.items():
        value: object = getattr(options, name)
        if value is not None and value != []:
            found[option] = _SEPARATOR.join(map(_text, value if isinstance(value, list) else [value]))
    if "--pythonpath" in found:
        found["--pythonpath"] = _SEPARATOR.join(str(Path(each).absolute()) for each in options.pythonpath)
    return found


def _text(value: object) -> str:
    if isinstance(value, tuple):  # the limit of a resource
        name, limit = value
        return f"{name}={'unlimited' if limit is None else limit}"
    return str(value)


def option_words(recorded: Mapping[str, str]) -> list[str]:
    """Return the words of a command line that has recorded options.

    Raises:
        InputError: if one is none that is recorded.
    """
    for option in recorded:
        if option not in _RECORDED:
            raise InputError(f"its options were recorded with {shown(option)}, which this version does not know")
    return [f"{option}={value}" for option, values in recorded.items() for value in values.split(_SEPARATOR)]
