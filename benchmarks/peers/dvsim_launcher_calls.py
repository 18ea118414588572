"""A sample of `adapter`: the calls of a launcher that passes at its first poll, in a loop, as the limit."""

from __future__ import annotations

import json
import sys
import time

from dvsim.job.status import JobStatus
from dvsim_jobs import make_spec
from dvsim_launchers import Bare, Derived


def main() -> None:
    """Measure once."""
    specs = [make_spec(f"job{number}") for number in range(int(sys.argv[1]))]
    launcher_cls = Derived if "--derived" in sys.argv else Bare
    statuses = []
    begin = time.perf_counter()
    for spec in specs:
        launcher = launcher_cls(spec)
        launcher.launch()
        statuses.append(launcher.poll())
    seconds = time.perf_counter() - begin
    assert statuses == [JobStatus.PASSED] * len(specs)
    print(json.dumps({"microseconds_per_job": 1e6 * seconds / len(specs)}))


if __name__ == "__main__":
    main()
