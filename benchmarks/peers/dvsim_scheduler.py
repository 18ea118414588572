"""A sample of `scheduler`: DVSim's scheduler with its own fake backend."""

from __future__ import annotations

import argparse
import asyncio
import json

from dvsim.runtime.fake import FakeRuntimeBackend
from dvsim_jobs import make_graph, run


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    parser.add_argument("--width", type=int, default=0)
    options = parser.parse_args()
    specs = make_graph(options.jobs)
    assert len(specs) == options.jobs
    seconds = asyncio.run(run(specs, FakeRuntimeBackend(), options.width))
    print(json.dumps({"jobs_per_second": options.jobs / seconds, "microseconds_per_job": 1e6 * seconds / options.jobs}))


if __name__ == "__main__":
    main()
