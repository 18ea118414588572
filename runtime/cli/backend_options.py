"""What ``backends -v`` shows of each option of a backend: its type, its default and what it means.

The types and defaults are those of the factory's parameters, the meanings those of the docstrings of the classes.
"""

from __future__ import annotations

import inspect
import re
from typing import Final

import attrs

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.registry import BackendRegistry
from runtime.cli.make_backends import key_factory, key_parameters
from runtime.jobfile.errors import shown

_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "SoftStop": "text",
    "PathLike": "text",
    "Sequence": "a list",
    "Iterable": "a list",
    "Mapping": "a table",
}
"""What a type of Python is called in a job file."""

_ARGUMENT: Final = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


@attrs.frozen
class BackendOption:
    """An option of a backend, as a key of its table in a job file."""

    name: str
    type: str
    """In the words of job files; empty if it is not known."""
    default: str
    """In the notation of a job file; empty if it has none, or one that a job file cannot say."""
    meaning: str
    """In one line; empty if the backend says nothing."""

    @property
    def text(self) -> str:
        """All of it, in one line."""
        known = ", ".join(filter(None, (self.type, self.default and f"default {self.default}")))
        return f"{self.name}{known and f' ({known})'}{self.meaning and f': {self.meaning}'}"


def backend_options(registry: BackendRegistry, name: str) -> list[BackendOption]:
    """Return the options of a backend, including those that every backend has.

    Raises:
        RegistryError: if its factory cannot be loaded.
    """
    factory = key_factory(registry, name)
    meanings = {**_meanings(RuntimeBackend), **_meanings(factory)}
    return [
        BackendOption(key, _type(parameter.annotation), _default(parameter.default), meanings.get(key, ""))
        for key, parameter in key_parameters(factory).items()
    ]


def _meanings(factory: object) -> dict[str, str]:
    """Return what the docstrings of a class and of its bases say of arguments, the class's own words first."""
    found: dict[str, str] = {}
    for each in factory.__mro__ if isinstance(factory, type) else (factory,):
        section = (inspect.getdoc(each) or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
        for name, text in _ARGUMENT.findall(section):
            found.setdefault(name, " ".join(text.split()).replace("`", "").replace("None for", "unset for"))
    return found


def _type(annotation: object) -> str:
    """Return what an annotation is called in a job file."""
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    parts = [part.partition("[")[0].rpartition(".")[2] for part in re.sub(r"(?<=\[).*(?=\])", "", text).split(" | ")]
    words = [_WORDS[part] for part in parts if part in _WORDS]
    return " or ".join(dict.fromkeys(words))


def _default(value: object) -> str:
    return "" if value is None or not isinstance(value, bool | int | float | str) else shown(value)
