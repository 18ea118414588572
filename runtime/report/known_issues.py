"""The issues of known failures, in the details of a journal: where more is known, and until when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from runtime.job.known import KnownFailure
from runtime.journal.json_text import JSON

KNOWN: Final = "known"
"""The key of the entries in the details of a journal."""


def known_details(entries: Iterable[KnownFailure]) -> dict[str, JSON]:
    """Return what the details of a journal have of the entries of a job file, by their names."""
    return {entry.name: {"issue": entry.issue, "expires": entry.expires.isoformat()} for entry in entries}


def issues_of(details: Mapping[str, object]) -> dict[str, str]:
    """Return a text with the issue and the last day of each entry, by its name; whatever is no entry is left out."""
    entries = details.get(KNOWN)
    if not isinstance(entries, Mapping):  # also of a run of an earlier version
        return {}
    return {
        name: f"{entry.get('issue')}, until {entry.get('expires')}"
        for name, entry in entries.items()
        if isinstance(name, str) and isinstance(entry, Mapping)
    }
