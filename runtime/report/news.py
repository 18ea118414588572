"""What earlier runs tell of a run, for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import attrs


@attrs.frozen
class Changed:
    """A job, or all jobs of a test, of which earlier runs tell something else."""

    name: str
    """The id of the job, or the test."""
    note: str = ""
    """What more there is to tell."""


@attrs.frozen
class Change:
    """Jobs that changed in one way."""

    title: str
    """Such as ``newly failing``."""
    jobs: Sequence[Changed]


@attrs.frozen
class History:
    """What earlier runs tell of a run."""

    compared_with: str | None = None
    """The name of the run that it is compared with; `None` if there is none."""
    changes: Sequence[Change] = ()
    """What is new, fixed and so on."""
    runs: Sequence[tuple[str, Mapping[str, int]]] = ()
    """The last runs, this one included, the oldest first: their names, and how many jobs have which outcome."""
    revisions: str = ""
    """What the two runs were made of, if that is known."""
    new_messages: Set[str] = frozenset()
    """The messages of failure buckets that the run has, and the run that it is compared with has not."""
