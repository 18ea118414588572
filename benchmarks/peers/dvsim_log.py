"""A sample of `log`: DVSim's verdict alone, which is a method of its base class for launchers."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from dvsim.job.status import JobStatus
from dvsim.job.time import JobTime
from dvsim_launchers import Derived
from log_text import FAILING, PASSING, write


def main() -> None:
    """Measure once."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        size = write(path, int(sys.argv[1]))
        launcher = Derived.__new__(Derived)
        launcher.job_spec = SimpleNamespace(
            dry_run=False,
            fail_patterns=FAILING,
            pass_patterns=PASSING,
            log_path=path,
            job_type="other",
            full_name="log",
        )
        launcher.exit_code = 0
        launcher.job_runtime_secs = 0
        launcher.job_runtime = JobTime()
        begin = time.perf_counter()
        status, _ = launcher._check_status()
        seconds = time.perf_counter() - begin
        assert status is JobStatus.PASSED
    print(json.dumps({"megabytes_per_second": size / seconds / 1e6}))


if __name__ == "__main__":
    main()
