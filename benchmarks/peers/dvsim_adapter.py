"""A sample of `adapter`: DVSim's adapter and scheduler with launchers that pass at their first poll."""

from __future__ import annotations

import asyncio
import json
import sys

from dvsim.runtime.legacy import LegacyLauncherAdapter
from dvsim_jobs import make_spec, run
from dvsim_launchers import Bare, Derived


def main() -> None:
    """Measure once."""
    specs = [make_spec(f"job{number}") for number in range(int(sys.argv[1]))]
    launcher = Derived if "--derived" in sys.argv else Bare
    seconds = asyncio.run(run(specs, LegacyLauncherAdapter(launcher)))
    print(json.dumps({"microseconds_per_job": 1e6 * seconds / len(specs)}))


if __name__ == "__main__":
    main()
