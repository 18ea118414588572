"""Runs flows of DVSim's job specifications with DVSim's `run_scheduler` and with ours; prints JSON.

A program for DVSim's interpreter, where this package is installed beside DVSim. It compares; the test asserts.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import json
import logging
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio
from dvsim.flow import base
from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.status import JobStatus as TheirStatus
from dvsim.runtime.fake import FakeRuntimeBackend
from dvsim.runtime.legacy import LegacyLauncherAdapter as TheirAdapter
from dvsim.runtime.local import LocalRuntimeBackend
from dvsim.runtime.registry import BackendType, backend_registry
from dvsim.scheduler import runner
from dvsim.scheduler.log_manager import LogManager
from dvsim.scheduler.resources import UnknownResourcePolicy

from runtime import FakeBackend, JobStatus, LocalBackend, run_jobs
from runtime.backend.fake import FakeRun
from runtime.dvsim.flow import run_scheduler
from tests.dvsim.programs.common import their_job
from tests.dvsim.programs.own import ShellLauncher

WORK = Path(sys.argv[1])
Flow = Callable[..., Any]
FLOWS: dict[str, Flow] = {"theirs": runner.run_scheduler, "ours": run_scheduler}
FOLDERS = ("running", "passed", "failed", "killed")
VERILATOR = "- Verilator: $finish at 12us; walltime 3.500 s; speed 1 us/s"


def job(name: str, *needs: str, cmd: str = "true", **fields: Any) -> TheirJobSpec:
    """A job as a flow of DVSim makes them."""
    return their_job(WORK, name, cmd, dependencies=[f"aes:{need}" for need in needs], **fields)


def run(flow: Flow, jobs: Sequence[TheirJobSpec], backend: Any, **options: Any) -> list[CompletedJobStatus]:
    """Run a flow, as DVSim does that."""
    options = {"max_parallel": 8, "interactive": True, "resource_manager": None, **options}
    results: list[CompletedJobStatus] = asyncio.run(flow(jobs=jobs, backend=backend, **options))
    return results


def random_jobs(rng: random.Random) -> list[TheirJobSpec]:
    """Jobs that need some that come before them, some all and some any of them, in an order of their own."""
    names = [f"j{number:02}" for number in range(rng.randint(1, 25))]
    jobs = []
    for number, name in enumerate(names):
        needs = rng.sample(names[:number], min(number, rng.choice([0, 1, 1, 2, 3])))
        jobs.append(
            job(
                name,
                *needs,
                needs_all_dependencies_passing=rng.random() < 0.6,
                weight=rng.randint(0, 3),
                timeout_mins=rng.choice([None, 0.5, 60]),
                resources=rng.choice([None, {"licence": rng.randint(1, 2)}, {"licence": 1, "memory": None}]),
            )
        )
    rng.shuffle(jobs)
    return jobs


class RandomEnds:
    """Ends each job with a random status, and records which hooks were called."""

    def __init__(self, rng: random.Random, jobs: Sequence[TheirJobSpec]) -> None:
        choices = [TheirStatus.PASSED] * 4 + [TheirStatus.FAILED, TheirStatus.KILLED]
        self.ends = {each.id: rng.choice(choices) for each in jobs}
        self.hooks: list[tuple[str, str]] = []
        self.jobs = [each.model_copy(update={"post_finish": functools.partial(self.hook, each.id)}) for each in jobs]

    def hook(self, job_id: str, status: TheirStatus) -> None:
        self.hooks.append((job_id, status.name))

    def run(self, flow: Flow, **options: Any) -> tuple[list[CompletedJobStatus], list[tuple[str, str]]]:
        self.hooks.clear()
        results = run(flow, self.jobs, FakeRuntimeBackend(policy=lambda each: self.ends[each.id]), **options)
        return results, sorted(self.hooks)


def random_graphs() -> dict[str, Any]:
    """Random graphs on DVSim's fake backend: how the results differ, and what they have in them."""
    differences = []
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(150):
        rng = random.Random(seed)
        ends = RandomEnds(rng, random_jobs(rng))
        options = {
            "max_parallel": rng.choice([1, 3, 50]),
            "resource_manager": runner.build_resource_manager(
                resource_limits={"licence": 2, "memory": None}, missing_policy=UnknownResourcePolicy.FATAL
            ),
        }
        theirs, ours = (ends.run(flow, **options) for flow in FLOWS.values())
        if theirs != ours:
            differences.append(f"seed {seed}: {theirs} and {ours}")
        seen.update(f"{each.status.name}: {each.fail_msg and each.fail_msg.message}" for each in theirs[0])
    return {"differences": differences, "seen": seen}


def orders() -> dict[str, Any]:
    """In which order ready jobs start, one at a time: by weight, then by timeout, and none is the longest."""
    rng = random.Random(1)
    keys = [(weight, timeout) for weight in range(3) for timeout in (None, 0.5, 30, 60)]
    rng.shuffle(keys)
    jobs = [job(f"j{i:02}", weight=weight, timeout_mins=timeout) for i, (weight, timeout) in enumerate(keys)]
    found: dict[str, list[tuple[int, float | None]]] = {}
    for name, flow in FLOWS.items():
        order = found[name] = []

        def note(each: TheirJobSpec, order: list[Any] = order) -> TheirStatus:
            order.append((each.weight, each.timeout_mins))
            return TheirStatus.PASSED

        run(flow, jobs, FakeRuntimeBackend(policy=note), max_parallel=1)
    return found


def as_they_are() -> dict[str, Any]:
    """The job specifications on our scheduler, without anything in between."""
    jobs = [
        job("a"),
        job("b", "a", timeout_mins=1),
        job("c", "b"),
        job("d", "b", "a", needs_all_dependencies_passing=False),
    ]
    status = {"aes:b": "FAILED"}

    def policy(each: TheirJobSpec, _attempt: int) -> FakeRun:
        return FakeRun(JobStatus[status.get(each.id, "PASSED")])

    results = trio.run(lambda: run_jobs(jobs, FakeBackend(policy)))
    return {
        "same objects": all(result.job is each for result, each in zip(results, jobs, strict=True)),
        "statuses": {result.id: result.status.name for result in results},
    }


def real_jobs() -> list[TheirJobSpec]:
    """Jobs for real processes."""
    return [
        job("build", job_type="CompileSim", cmd=f"echo '{VERILATOR}'"),
        job("passes", "build", job_type="RunTest", cmd=f"echo '{VERILATOR}'", pass_patterns=["Verilator"]),
        job("says_no", "build", cmd="echo UVM_ERROR one", fail_patterns=["^UVM_ERROR"]),
        job("exits", "build", cmd="sh -c 'exit 3'"),
        job("after", "exits"),
        job(
            "either", "exits", "passes", cmd="env", exports={"WORD": "a b"}, pass_patterns=["^WORD=a b$"],
            needs_all_dependencies_passing=False,
        ),
    ]  # fmt: skip


def real(make_backend: Callable[[], Any]) -> dict[str, Any]:
    """Real processes under both schedulers: what is the same for any backend, and whether everything is."""
    facts: dict[str, Any] = {}
    everything = []
    for name, flow in FLOWS.items():
        for folder in FOLDERS:
            shutil.rmtree(WORK / folder, ignore_errors=True)
        results = run(flow, real_jobs(), make_backend(), interactive=False)
        everything.append(results)
        facts[name] = {
            "statuses": {each.name: each.status.name for each in results},
            "times": [[each.job_runtime, each.simulated_time] for each in results if each.name in {"build", "passes"}],
            "links": {
                folder: sorted(os.listdir(WORK / folder)) for folder in ("running", "passed", "failed", "killed")
            },
        }
        facts[f"reasons of {name}"] = {
            each.name: each.fail_msg.message for each in results if each.fail_msg is not None
        }
    return {**facts, "equal": everything[0] == everything[1]}


def moved() -> dict[str, Any]:
    """A flow's own `deploy_objects`, before and after the one line."""
    deploy = [SimpleNamespace(get_job_spec=functools.partial(lambda each: each, each)) for each in real_jobs()]
    flow = SimpleNamespace(
        cfgs=[SimpleNamespace(deploy=deploy)],
        args=SimpleNamespace(on_missing_resource="ignore", resource_limits=None, max_parallel=8),
        interactive=True,
        branch="main",
        timestamp="t",
        scratch_root=WORK,
        _fake_policy=lambda each: TheirStatus.FAILED if each.name == "exits" else TheirStatus.PASSED,
    )
    backend_registry.default = BackendType("fake")
    before = base.FlowCfg.deploy_objects(flow)
    base.run_scheduler = run_scheduler
    after = base.FlowCfg.deploy_objects(flow)
    return {"equal": before == after, "statuses": {each.name: each.status.name for each in after}}


def linked() -> dict[str, Any]:
    """The links by status of a job: how many are made, and whether in the thread of the event loop."""
    threads: list[threading.Thread] = []
    link = LogManager.on_job_status_change

    def noted(self: LogManager, job: TheirJobSpec, status: TheirStatus) -> None:
        threads.append(threading.current_thread())
        link(self, job, status)

    LogManager.on_job_status_change = noted
    try:
        run(run_scheduler, [job("passes")], FakeRuntimeBackend())
    finally:
        LogManager.on_job_status_change = link
    return {"changes": len(threads), "in the loop": threading.main_thread() in threads}


def stopped() -> dict[str, Any]:
    """A SIGTERM in the middle: the flow goes on to its report."""

    def stop(_status: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    jobs = [job("signals", post_finish=stop), job("sleeps", cmd="sleep 1000"), job("after", "sleeps")]
    results = run(run_scheduler, jobs, LocalRuntimeBackend())
    return {
        "results": {each.name: [each.status.name, each.fail_msg and each.fail_msg.message] for each in results},
        "handler left behind": signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
    }


def stopped_twice() -> dict[str, Any]:
    """A job that answers a SIGTERM with one to the flow, and goes on: only the second signal ends it."""
    answer = f"kill -TERM {os.getpid()}"
    jobs = [job("stubborn", cmd=f"sh -c 'trap \"{answer}\" TERM; {answer}; while :; do sleep 1; done'")]
    results = run(run_scheduler, jobs, LocalBackend(term_timeout=0))
    return {each.name: each.status.name for each in results}


def hooks_that_raise() -> dict[str, Any]:
    """Hooks that raise, of jobs that pass and of jobs that fail, which ends neither the run nor other jobs."""

    def hook(status: object) -> None:
        raise OSError(f"no such thing as {status}")

    jobs = [
        job("passes", post_finish=hook),
        job("fails", cmd="false", post_finish=hook),
        job("before", pre_launch=lambda: hook("a start")),
        job("neighbour"),
    ]
    ends = {"aes:fails": TheirStatus.FAILED}
    fake = FakeRuntimeBackend(policy=lambda each: ends.get(each.id, TheirStatus.PASSED))
    return {
        name: {each.name: [each.status.name, each.fail_msg and each.fail_msg.message] for each in results}
        for name, results in (
            ("local", run(run_scheduler, jobs, LocalRuntimeBackend())),
            ("fake", run(run_scheduler, jobs, fake)),
        )
    }


def timed_out() -> dict[str, Any]:
    """A local job that takes too long."""
    results = run(run_scheduler, [job("long", cmd="sleep 1000", timeout_mins=0.002)], LocalRuntimeBackend())
    return {each.name: [each.status.name, each.fail_msg and each.fail_msg.message] for each in results}


def cancelled() -> dict[str, Any]:
    """The asyncio task is cancelled: nothing of its jobs is left when it has ended."""
    ends: list[str] = []

    async def main() -> None:
        runs = f"sh -c 'kill -USR1 {os.getpid()}; exec sleep 1000'"  # it tells when it has begun
        jobs = [job("sleeps", cmd=runs, post_finish=lambda status: ends.append(status.name))]
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            run_scheduler(jobs=jobs, max_parallel=1, interactive=True, backend=LocalRuntimeBackend())
        )
        loop.add_signal_handler(signal.SIGUSR1, task.cancel)
        await asyncio.wait([task])
        ends.append("cancelled" if task.cancelled() else "not cancelled")

    asyncio.run(main())
    return {"ends": ends}


def refused() -> dict[str, str]:
    """Wrong jobs are errors before anything runs."""
    cases: dict[str, tuple[Iterable[TheirJobSpec], dict[str, Any]]] = {
        "twins": ([job("a"), job("a")], {}),
        "cycle": ([job("a", "b"), job("b", "a")], {}),
        "unknown": ([job("a", "z")], {}),
        "too much": ([job("a", resources={"licence": 3})], {"resource_manager": {"licence": 2}}),
        "no backend": ([job("a")], {"backend": "slurm"}),
    }
    errors = {}
    for name, (jobs, options) in cases.items():
        try:
            run(run_scheduler, list(jobs), **{"backend": FakeRuntimeBackend(), **options})
        except (ValueError, TypeError) as exc:
            errors[name] = f"{type(exc).__name__}: {exc}"
    return errors


STORIES: dict[str, Callable[[], Any]] = {
    "random_graphs": random_graphs,
    "orders": orders,
    "as_they_are": as_they_are,
    "local": lambda: real(LocalRuntimeBackend),
    "launchers": lambda: real(lambda: TheirAdapter(ShellLauncher, poll_interval=0.02)),
    "moved": moved,
    "linked": linked,
    "stopped": stopped,
    "stopped_twice": stopped_twice,
    "hooks_that_raise": hooks_that_raise,
    "timed_out": timed_out,
    "cancelled": cancelled,
    "refused": refused,
}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    facts = {name: story() for name, story in STORIES.items()}
    sys.stdout.write("\n" + json.dumps(facts) + "\n")  # the last line; DVSim may print, too
