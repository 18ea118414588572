"""`raise_gc_threshold`: lets Python's garbage collector run less often in commands that make many objects at once."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLD: Final = 50_000
"""Allocations between two garbage collections. The graph, the bulk of all objects, is exempt from them. Arbitrary:
ten times fewer, collections take a noticeable part of a large run again; ten times more, garbage piles up."""


def raise_gc_threshold() -> None:
    """Let Python's garbage collector run less often, before the jobs are read.

    A graph of jobs is many objects that stay until the end, in which the collector looks for cycles again and again in
    vain. So it runs seldom while they are made, and skips them when the run has begun (`gc.freeze`). A program may
    choose this, a library must not: it changes the whole process.
    """
    gc.set_threshold(GC_THRESHOLD, 20, 100)
