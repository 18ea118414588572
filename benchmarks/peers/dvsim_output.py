"""A sample of `output`: a job that writes a large log, on DVSim's local backend and scheduler."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from dvsim.runtime.local import LocalRuntimeBackend
from dvsim_jobs import make_spec, run


def main() -> None:
    """Measure once."""
    size = int(sys.argv[1]) * 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        spec = make_spec("job", root=Path(directory), cmd=f"head -c {size} /dev/zero")
        seconds = asyncio.run(run([spec], LocalRuntimeBackend()))
        assert spec.log_path.stat().st_size > size  # it begins with the command
    print(json.dumps({"megabytes_per_second": size / seconds / 1e6, "seconds": seconds}))


if __name__ == "__main__":
    main()
