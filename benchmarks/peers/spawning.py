"""What programs of the question `spawn` share: the clock, and the fail patterns of those that look into logs."""

from __future__ import annotations

import resource
import time
from typing import Self

FAILING = ["^UVM_ERROR", "^ERROR"]


class Spending:
    """The time of a block: on the clock, and of the processors, for this process and all children that have ended."""

    def __enter__(self) -> Self:
        self._cpu = _cpu_seconds()
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begin
        self.cpu_seconds = _cpu_seconds() - self._cpu

    def measures(self, jobs: int) -> dict[str, float]:
        """Return the sample."""
        return {"jobs_per_second": jobs / self.seconds, "cpu_ms_per_job": 1000 * self.cpu_seconds / jobs}


def _cpu_seconds() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
