"""`check_names`: a backend must not hide private names of the contract by accident.

A backend is a subclass of `RuntimeBackend`, so the two share one namespace for names that begin with an underscore. A
method that happened to have the name of one of ours would be called in its place, and a job could be lost.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

BACKEND_METHODS: Final = frozenset(
    {"_launch", "_kill", "_force", "_take_back", "_setup", "_serve", "_teardown", "_limits"}
)
"""Methods that a backend may define."""

RESERVED_ATTRIBUTES: Final = frozenset(
    {
        *("_body", "_broken", "_completed", "_courier", "_deadlines", "_drain_timeout", "_ending", "_interactive_job"),
        *("_late", "_ledger", "_lost", "_max_parallelism", "_now", "_nursery", "_refused", "_state", "_submitted"),
        *("_token", "_undelivered"),
    }
)
"""Attributes that the contract sets in each object: they would hide methods with these names."""


def check_names(cls: type, contract: tuple[type, ...], overrides: Collection[str]) -> None:
    """Check that `cls` defines no private name of `contract`, the classes that it derives from.

    Classes of this package are not checked: they change together with the contract. Names in `overrides` are allowed.

    Raises:
        TypeError: if it defines one.
    """
    if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return
    ours = RESERVED_ATTRIBUTES.union(*map(vars, contract))
    allowed = {*BACKEND_METHODS, *overrides, "_abc_impl"}  # the last is Python's own
    taken = sorted(
        name
        for name in vars(cls)
        if name in ours and name not in allowed and name.startswith("_") and not name.startswith("__")
    )
    if taken:
        msg = (
            f"{cls.__qualname__} defines {', '.join(taken)}, which {contract[0].__name__} reserves; expected "
            f"other names, and of these only {', '.join(sorted(BACKEND_METHODS))}"
        )
        raise TypeError(msg)
