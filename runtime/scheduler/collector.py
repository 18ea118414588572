"""`collector_paused`: Python's cyclic garbage collector is off while many objects are made that will stay.

The collector counts allocations, and after a threshold looks for cycles: in the new objects, and now and then in all
objects. When a hundred thousand objects are made which all stay, it looks again and again in vain: for a graph of
100,000 jobs that takes as long as making it. Thresholds and `gc.freeze` would help as well, but they change the whole
process, which is for programs to decide; this ends when the call returns.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Disable the garbage collector for a block, which must not await, and must not call code that may take long.

    If it was off before, it stays off. If another thread switches it off meanwhile, it is on again after the block.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
