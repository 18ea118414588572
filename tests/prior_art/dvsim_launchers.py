"""Runs DVSim's own Slurm launcher, unmodified, behind our adapter, with a `srun` that is ours. Prints JSON.

A program for DVSim's interpreter. Its arguments: a directory to work in, and one that has trio, for an interpreter that
has none.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

WORK, PACKAGES = map(Path, sys.argv[1:])
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
if importlib.util.find_spec("trio") is None:
    sys.path.append(str(PACKAGES))

import trio  # noqa: E402 - found only now

from runtime.backends.legacy import DVSimView, LegacyLauncherAdapter  # noqa: E402 - as above
from runtime.job import EventBatch, JobSpec  # noqa: E402 - as above

SRUN = """#!/bin/sh
while [ "$1" != bash ]; do shift; done
exec "$@"
"""


def job_of_dvsim(name: str, cmd: str) -> Any:
    """A job specification of DVSim's own."""
    data, meta = importlib.import_module("dvsim.job.data"), importlib.import_module("dvsim.report.data")
    return data.JobSpec(
        name=name,
        job_type="custom",
        target="run",
        backend=None,
        resources=None,
        seed=None,
        full_name=name,
        qual_name=name,
        block=meta.IPMeta(name="b", commit="", commit_short="", branch="", url=None, revision_info=None),
        tool=meta.ToolMeta(name="t", version=""),
        workspace_cfg=data.WorkspaceConfig(timestamp="", project_root=WORK, scratch_root=WORK, scratch_path=WORK),
        dependencies=[],
        needs_all_dependencies_passing=True,
        weight=1,
        timeout_mins=None,
        cmd=cmd,
        exports={},
        dry_run=False,
        interactive=False,
        odir=WORK / name,
        renew_odir=False,
        log_path=WORK / name / "job.log",
        pre_launch=lambda: None,
        post_finish=lambda _status: None,
        pass_patterns=["^THEIRS"],
        fail_patterns=[],
    )


async def main() -> None:
    launcher_cls = importlib.import_module("dvsim.launcher.slurm").SlurmLauncher
    seen: list[str] = []
    jobs = [
        JobSpec(name="passes", cmd=["echo", "ALL  GOOD"], pass_patterns=["^ALL  GOOD"]),
        JobSpec(
            name="fails", cmd="echo $WORD; exit 3", exports={"WORD": "out"}, post_finish=lambda s: seen.append(s.name)
        ),
        JobSpec(name="runs", cmd="exec sleep 1000", pre_launch=lambda: seen.append("pre_launch")),
        job_of_dvsim("theirs", "echo THEIRS"),
    ]
    send, receive = trio.open_memory_channel[EventBatch](100)
    adapter = LegacyLauncherAdapter(launcher_cls, view=DVSimView(WORK), poll_interval=0.01)
    with send:
        async with adapter.open(send) as backend:
            await backend.submit_many(jobs)
            while backend.statistics().live > 1:  # noqa: ASYNC110 - whichever of them are left
                await trio.sleep(0.01)
            await backend.kill("runs")
    facts: dict[str, Any] = {"seen": sorted(seen), "name": adapter.name}
    async for batch in receive:
        for event in batch:
            facts[event.job_id] = [event.status.name, event.reason and event.reason.message]  # type: ignore[union-attr]
    facts["log"] = (WORK / "passes" / "job.log").read_text()
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    logging.disable()
    (WORK / "bin").mkdir()
    (WORK / "bin" / "srun").write_text(SRUN)
    (WORK / "bin" / "srun").chmod(0o755)
    os.environ["PATH"] = f"{WORK / 'bin'}:{os.environ['PATH']}"
    trio.run(main)
