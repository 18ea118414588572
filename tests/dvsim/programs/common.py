"""Shared by the programs of this directory: jobs of DVSim's, a run through the adapter, and facts about it.

The programs run in DVSim's environment, where this package is installed, too, and print facts as JSON; the tests that
start them assert.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.data import WorkspaceConfig
from dvsim.report.data import IPMeta, ToolMeta

from runtime import EventBatch, JobCompletionEvent, LegacyLauncherAdapter


def _nothing(*_: object) -> None:
    """A hook that does nothing."""


def their_job(directory: Path, name: str, cmd: str, *, tool: str = "verilator", **fields: Any) -> TheirJobSpec:
    """Make a job as a flow of DVSim does."""
    odir = directory / name
    return TheirJobSpec(
        **{
            "name": name,
            "job_type": "CompileSim" if "build" in name else "Lint",
            "target": "run",
            "backend": None,
            "resources": None,
            "seed": 1,
            "full_name": f"aes:{name}",
            "qual_name": f"0.{name}",
            "block": IPMeta(name="aes", commit="c", commit_short="c", branch="main", url=None, revision_info=None),
            "tool": ToolMeta(name=tool, version="1"),
            "workspace_cfg": WorkspaceConfig(
                timestamp="20260101_000000", project_root=directory, scratch_root=directory, scratch_path=directory
            ),
            "dependencies": [],
            "needs_all_dependencies_passing": True,
            "weight": 1,
            "timeout_mins": None,
            "cmd": cmd,
            "exports": {},
            "dry_run": False,
            "interactive": False,
            "odir": odir,
            "renew_odir": False,
            "log_path": odir / "run.log",
            "pre_launch": _nothing,
            "post_finish": _nothing,
            "pass_patterns": [],
            "fail_patterns": [],
            **fields,
        }
    )


def run_jobs(
    launcher_cls: type,
    jobs: Sequence[Any],
    *,
    kill: Mapping[str, Path] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Run jobs through the adapter, and return the facts about them.

    Args:
        launcher_cls: a class of launchers.
        jobs: DVSim's or ours.
        kill: ids of the jobs to kill, each with a file; the job is killed when the file exists.
        options: of the adapter.
    """
    backend = LegacyLauncherAdapter(launcher_cls, **{"poll_interval": 0.05, **options})
    events: list[JobCompletionEvent] = []
    accepted: list[str] = []

    async def collect(receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        async for batch in receive:
            events.extend(event for event in batch if isinstance(event, JobCompletionEvent))

    async def kill_once(job_id: str, file: Path) -> None:
        while not file.exists():  # noqa: ASYNC110 - another process makes it
            await trio.sleep(0.02)
        await backend.kill(job_id)

    async def main() -> None:
        send, receive = trio.open_memory_channel[EventBatch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, receive)
            with send:
                async with backend.open(send), trio.open_nursery() as killers:
                    accepted.extend(await backend.submit_many(jobs))
                    for job_id, file in (kill or {}).items():
                        killers.start_soon(kill_once, job_id, file)

    trio.run(main)
    return {
        "backend": backend.name,
        "supports_interactive": backend.supports_interactive,
        "accepted": accepted,
        "events": [fact(event) for event in events],
    }


def fact(event: JobCompletionEvent) -> dict[str, Any]:
    """Return an event as values for JSON."""
    reason, usage = event.reason, event.usage
    return {
        "id": event.job_id,
        "status": event.status.name,
        "kind": reason and reason.kind and reason.kind.value,
        "message": reason and reason.message,
        "lines": reason and reason.lines and list(reason.lines),
        "context": reason and reason.context and list(reason.context),
        "runtime": usage and usage.job_runtime,
        "simulated": usage and usage.simulated_time,
    }


def main(facts: Callable[[Path], Mapping[str, Any]]) -> None:
    """Print the result of `facts` as JSON. Its argument is an empty directory, which is the program's argument."""
    sys.stdout.write("\n" + json.dumps(facts(Path(sys.argv[1]))) + "\n")  # the last line; launchers may print, too
