"""`Cells`: the jobs of one table before their specifications are made: their ids, seeds and parameters. Pure.

A drawn seed depends on the seed base and on the job's name and parameters only: the same base gives the same seeds,
whatever else the file contains.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

from runtime.jobfile.values import Scalar, Seeds, scalar_text


class Cells:
    """All combinations of the parameters of a table, in the order of its matrix, each with all seeds.

    The ids are made first, because what a job needs may be any of them; the parameters again when the specifications
    are: a table for each job would take more memory than the jobs.

    Args:
        name: of the table.
        matrix: the values of each parameter.
        seeds: the seeds, or how many to draw for each combination; `None` for jobs without a seed.
        seed_base: the number from which seeds are drawn.
    """

    def __init__(self, name: str, matrix: Mapping[str, Sequence[Scalar]], seeds: Seeds | None, seed_base: int) -> None:
        self._values = [tuple(map(scalar_text, values)) for values in matrix.values()]
        # One formatting for each id: a regression may have a million.
        form = "".join([name.replace("%", "%%"), *(f".{parameter}=%s" for parameter in matrix)])
        self.ids: list[str] = [form % row for row in itertools.product(*self._values)]
        """The id of each job."""
        self._seeds: list[int] | None = None
        self._repeats = 1
        if seeds is None:
            return
        bases, self.ids, self._seeds = self.ids, [], []
        for base in bases:
            found = draw_seeds(seed_base, base, seeds) if isinstance(seeds, int) else seeds
            self.ids += [f"{base}.seed={seed}" for seed in found]
            self._seeds += found
        self._repeats = len(self.ids) // len(bases)

    def __iter__(self) -> Iterator[tuple[str, int | None, tuple[str, ...]]]:
        """Iterate over the id, the seed and the texts of the parameters of each job."""
        rows = itertools.product(*self._values)
        repeated = itertools.chain.from_iterable(map(itertools.repeat, rows, itertools.repeat(self._repeats)))
        return zip(self.ids, self._seeds or itertools.repeat(None), repeated, strict=False)


def draw_seeds(base: int, key: str, count: int) -> list[int]:
    """Return `count` different seeds from 1 to 2³¹-1, which every simulator takes. A larger `count` appends seeds."""
    # A hash, because `random` may draw other numbers in another version of Python: old reports must stay repeatable.
    seeds: dict[int, None] = {}
    for number in itertools.count():
        if len(seeds) == count:
            return list(seeds)
        text = f"{base}\0{key}\0{number}".encode("utf-8", "surrogatepass")
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % (2**31 - 1) + 1
        seeds[seed] = None
    raise AssertionError
