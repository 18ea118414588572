"""`check_names`: a backend's author must not hide what the contract keeps for itself.

An author's class is a subclass of `RuntimeBackend`, so the two share one room for names that begin with an underscore.
A method that happens to be called like one of ours would be called in its place, and a job get lost by that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

WRITTEN_BY_AUTHORS: Final = frozenset(
    {"_launch", "_kill", "_force", "_take_back", "_setup", "_serve", "_teardown", "_limits"}
)
"""What an author is to define."""

KEPT_IN_OBJECTS: Final = frozenset(
    {
        *("_alone", "_body", "_broken", "_completed", "_courier", "_deadlines", "_drain_timeout", "_ending", "_late"),
        *("_ledger", "_lost", "_max_parallelism", "_now", "_nursery", "_refused", "_state", "_submitted", "_token"),
        "_undelivered",
    }
)
"""What the contract keeps in each object, where a method of this name would be hidden."""


def check_names(cls: type, contract: tuple[type, ...], overrides: Collection[str]) -> None:
    """Check that `cls` defines nothing that belongs to `contract`, the classes which it is to build on.

    Classes of this package are left out, as they are made together with the contract; and so is what `overrides` names.

    Raises:
        TypeError: if it does.
    """
    if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return
    ours = KEPT_IN_OBJECTS.union(*map(vars, contract))
    allowed = {*WRITTEN_BY_AUTHORS, *overrides, "_abc_impl"}  # the last is Python's own
    taken = sorted(
        name
        for name in vars(cls)
        if name in ours and name not in allowed and name.startswith("_") and not name.startswith("__")
    )
    if taken:
        msg = (
            f"{cls.__qualname__} defines {', '.join(taken)}, which {contract[0].__name__} keeps for itself; expected: "
            f"other names, and of these only {', '.join(sorted(WRITTEN_BY_AUTHORS))}"
        )
        raise TypeError(msg)
