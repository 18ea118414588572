"""`collector_paused`: Python's garbage collector keeps still while we make, in one go, what will stay.

The collector counts what is made, and after so much looks for cycles, in the new objects and now and then in all there
are. Where a hundred thousand objects are made that all live on it looks again and again, in vain: for a graph of
100,000 jobs that costs as much as making it. Thresholds and `gc.freeze` would help as well, but are a matter of the
whole process, and so for programs to decide; this is over when the call returns.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector still for a block that awaits nothing, and calls nobody who could take long.

    If it was off before, it stays off. A thread that switches it off meanwhile finds it on again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
