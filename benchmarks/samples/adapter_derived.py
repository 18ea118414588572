"""A sample of `adapter`: launchers of DVSim's base class and DVSim's specifications, unmodified, on this runtime.

Runs in DVSim's environment, where this project is installed as well.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import trio

from runtime import JobStatus, LegacyLauncherAdapter, run_jobs

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))
from dvsim_jobs import make_spec
from dvsim_launchers import Derived


def main() -> None:
    """Measure once."""
    specs = [make_spec(f"job{number}") for number in range(int(sys.argv[1]))]
    begin = time.perf_counter()
    results = trio.run(run_jobs, specs, LegacyLauncherAdapter(Derived))
    seconds = time.perf_counter() - begin
    assert [result.id for result in results] == [spec.id for spec in specs]
    assert all(result.status is JobStatus.PASSED for result in results)
    print(json.dumps({"microseconds_per_job": 1e6 * seconds / len(specs)}))


if __name__ == "__main__":
    main()
