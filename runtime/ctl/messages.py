"""What is asked of a run through its directory, and what it answers: the contents of the files. Pure.

Whoever can write such a file can write anything, so every value is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

from runtime.job.numbers import brief
from runtime.job.shorten import shorten
from runtime.journal.json_text import dumps, loads

Action = Literal["kill", "stop", "drain", "pause", "resume", "limit"]
ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {"kill": "kill", "stop": "stop", "drain": "drain", "pause": "pause", "resume": "resume", "limit": "limit"}
)
"""The actions, by their names."""

MAX_CONTENT: Final = 1 << 16
"""Bytes of a request, or of an answer. Arbitrary: a thousand ids of jobs. Ten times as many, and what a job can make
the runtime keep grows as well; a tenth, and a night's failures cannot be killed with one command."""
MAX_TEXT: Final = 2000
"""Characters of the text of an answer. Arbitrary: more than a person reads."""
_MAX_HOST: Final = 64
"""Characters of a host's name: the longest that Linux allows."""
_MAX_LIMIT: Final = 2**64 - 1
"""The largest limit of a resource, as of a job file and of an option."""


@attrs.frozen(kw_only=True)
class RunRequest:
    """What somebody asks of a run."""

    action: Action
    jobs: tuple[str, ...] = ()
    """Of ``kill``: the ids of the jobs."""
    force: bool = False
    """Of ``kill`` and ``stop``: whether soft stop and SIGTERM are skipped."""
    resource: str = ""
    """Of ``limit``: its name."""
    limit: int | None = None
    """Of ``limit``: the new one; `None` for unlimited."""
    host: str = ""
    """Where it was asked, as the sender says."""

    def to_content(self) -> bytes:
        """Return what the file contains."""
        return dumps(attrs.asdict(self)).encode("ascii")

    @classmethod
    def from_content(cls, content: bytes) -> RunRequest:
        """Return the request that a file contains.

        Raises:
            ValueError: if it is none; the message says what was given, and what was expected.
        """
        table = _table(content)
        action = table.get("action")
        if not isinstance(action, str) or action not in ACTIONS:
            raise ValueError(f"action is {brief(action)}; expected one of {', '.join(ACTIONS)}")
        jobs, force, host = table.get("jobs", []), table.get("force", False), table.get("host", "")
        resource, limit = table.get("resource", ""), table.get("limit")
        if not isinstance(jobs, list) or not all(isinstance(each, str) for each in jobs):
            raise ValueError(f"jobs is {brief(jobs)}; expected a list of ids of jobs")
        if not isinstance(force, bool):
            raise ValueError(f"force is {brief(force)}; expected true or false")
        if not isinstance(host, str) or not isinstance(resource, str):
            raise ValueError("host or resource is no text; expected text")
        if limit is not None and (
            not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= _MAX_LIMIT
        ):
            raise ValueError(f"limit is {brief(limit)}; expected a whole number from 0, or null for unlimited")
        return cls(
            action=ACTIONS[action],
            jobs=tuple(dict.fromkeys(jobs)),
            force=force,
            resource=resource,
            limit=limit,
            host=shorten(ascii(host)[1:-1], _MAX_HOST),
        )


@attrs.frozen
class Answer:
    """What became of a request."""

    is_done: bool
    """Whether it was carried out; otherwise it was wrong, and nothing has changed."""
    text: str
    """What was done, or what is wrong, in a sentence."""

    def to_content(self) -> bytes:
        """Return what the file contains."""
        return dumps({"done": self.is_done, "text": shorten(self.text, MAX_TEXT)}).encode("ascii")

    @classmethod
    def from_content(cls, content: bytes) -> Answer:
        """Return the answer that a file contains.

        Raises:
            ValueError: if it is none.
        """
        table = _table(content)
        is_done, text = table.get("done"), table.get("text")
        if not isinstance(is_done, bool) or not isinstance(text, str):
            raise ValueError("it has no done, or no text; expected an answer of a run")
        return cls(is_done, shorten(text, MAX_TEXT))


def _table(content: bytes) -> Mapping[str, object]:
    """Return the table that JSON text in ASCII contains; raise `ValueError` if it is none."""
    if len(content) > MAX_CONTENT:
        raise ValueError(f"it has more than {MAX_CONTENT} bytes")
    table = loads(content.decode("ascii"))  # `UnicodeDecodeError` is a `ValueError`
    if not isinstance(table, dict):
        raise ValueError(f"it is {brief(table)}; expected a table")
    return table
