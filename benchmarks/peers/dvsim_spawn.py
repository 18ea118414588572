"""A sample of `spawn`: DVSim's local backend and scheduler, with jobs that do nothing."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from dvsim.runtime.local import LocalRuntimeBackend
from dvsim_jobs import make_spec, run
from spawning import FAILING, Spending


def main() -> None:
    """Measure once."""
    jobs, width = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        specs = [make_spec(f"job{number}", root=root, cmd="/bin/true", failing=FAILING) for number in range(jobs)]
        with Spending() as spent:
            asyncio.run(run(specs, LocalRuntimeBackend(max_parallelism=0), width))
        assert all(spec.log_path.is_file() for spec in specs)
    print(json.dumps(spent.measures(jobs)))


if __name__ == "__main__":
    main()
