"""Which jobs share an array, and how indices are written as ranges. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def group(jobs: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return `jobs` grouped by `key`; the groups, and the jobs in each, keep the order given."""
    groups: dict[K, list[T]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return groups


def ranges(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield `indices` as ranges ``(first, last)``, in ascending order, each as long as possible."""
    first = last = None
    for index in sorted(set(indices)):
        if first is None or last is None:
            first = index
        elif index != last + 1:
            yield first, last
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
