"""Job specifications for DVSim, and its scheduler run over them. For the other programs of this folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvsim.job.data import JobSpec, WorkspaceConfig
from dvsim.job.status import JobStatus
from dvsim.logging import log
from dvsim.report.data import IPMeta, ToolMeta
from dvsim.scheduler.core import Scheduler

ROOT = Path("/nowhere")
WORKSPACE = WorkspaceConfig(timestamp="now", project_root=ROOT, scratch_root=ROOT, scratch_path=ROOT)


def nothing(*_: object) -> None:
    """Both hooks of each job."""


def make_spec(
    name: str,
    dependencies: Sequence[str] = (),
    *,
    root: Path = ROOT,
    cmd: str = "make run",
    failing: Sequence[str] = (),
    passing: Sequence[str] = (),
    job_type: str = "RunTest",
) -> Any:
    """Return a specification; `name` is what other jobs depend on.

    As DVSim's own flows make it (`Deploy.get_job_spec`): only the workspace is shared by the jobs of a flow.
    """
    return JobSpec(
        name=name,
        job_type=job_type,
        target="run",
        backend=None,
        resources=None,
        seed=None,
        full_name=name,
        qual_name=name,
        block=IPMeta(name="fifo", commit="0" * 40, commit_short="0" * 7, branch="main", url="", revision_info=None),
        tool=ToolMeta(name="verilator", version=""),
        workspace_cfg=WORKSPACE,
        dependencies=list(dependencies),
        needs_all_dependencies_passing=True,
        weight=1,
        timeout_mins=None,
        cmd=cmd,
        exports={},
        dry_run=False,
        interactive=False,
        odir=root / name,
        renew_odir=False,
        log_path=Path(f"{root}/{name}/run.log"),
        pre_launch=nothing,
        post_finish=nothing,
        pass_patterns=list(passing),
        fail_patterns=list(failing),
    )


def make_graph(jobs: int) -> list[Any]:
    """Return `jobs` specifications: builds, and nine runs of each."""
    specs = []
    for number in range(jobs // 10):
        build = f"build{number}"
        specs.append(make_spec(build))
        specs += [make_spec(f"{build}.run{run}", [build]) for run in range(9)]
    return specs


async def run(specs: Sequence[Any], backend: Any, width: int = 0) -> float:
    """Run `specs` and return the seconds that it took; the graph, the run and the results count.

    Raises:
        AssertionError: if not every job has passed.
    """
    log.setLevel(logging.ERROR)  # as quiet as it can be
    begin = time.perf_counter()
    # The limit is the scheduler's: DVSim looks at every ready job again and again where it is the backend's.
    scheduler = Scheduler(specs, {backend.name: backend}, backend.name, max_parallelism=width or None)
    results = await scheduler.run()
    seconds = time.perf_counter() - begin
    assert [result.full_name for result in results] == [spec.full_name for spec in specs]
    assert all(result.status is JobStatus.PASSED for result in results)
    return seconds
