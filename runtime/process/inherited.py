"""Descriptors that a job inherits beside its output, and their numbers there. For the runtime, and for its shims."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

FIRST_INHERITED: Final = 20
"""The number of the first one in the job; the others follow. Arbitrary, but above 9: a script of a shell can name, and
so replace, no descriptor beyond that; and low, because the limit for such numbers may be."""


class InheritedSources:
    """Where to copy inherited descriptors from, so that no copy replaces one that is still to be copied.

    A ``with`` block gives the descriptors, of which those are replaced by duplicates that have one of the numbers in
    the job; the end of the block closes the duplicates.

    Args:
        descriptors: as they are here.

    Raises:
        OSError: when the block begins, if there is no descriptor left.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors
        self._duplicates: list[int] = []

    def __enter__(self) -> list[int]:
        targets = range(FIRST_INHERITED, FIRST_INHERITED + len(self._descriptors))
        sources = []
        try:
            for fd in self._descriptors:
                source = fd
                while source in targets:  # a duplicate has the lowest number that is free, perhaps the next target
                    source = os.dup(source)
                    self._duplicates.append(source)
                sources.append(source)
        except BaseException:
            self.__exit__()
            raise
        return sources

    def __exit__(self, *_: object) -> None:
        for fd in self._duplicates:
            os.close(fd)
