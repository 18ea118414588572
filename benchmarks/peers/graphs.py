"""A sample of `scheduler`: the same graph of jobs that do nothing, on what a Python program would use: ``HOW JOBS``.

``graphlib``: the standard library's sorter, and a task of trio for each job; ``dask``: its scheduler for one machine,
in threads; ``parsl``: its scheduler with an executor of threads.
"""

from __future__ import annotations

import graphlib
import json
import sys
import tempfile
import time
from typing import Any

import trio

RUNS = 9
"""For each build."""


def make_graph(jobs: int) -> dict[str, list[str]]:
    """Return the dependencies of each job, a tenth of them builds on which the others depend."""
    graph: dict[str, list[str]] = {}
    for number in range(jobs // (RUNS + 1)):
        build = f"build{number}"
        graph[build] = []
        graph |= {f"{build}.run{run}": [build] for run in range(RUNS)}
    return graph


def nothing(*_: object) -> str:
    """Do nothing, and pass."""
    return "passed"


async def with_graphlib(graph: dict[str, list[str]]) -> list[str]:
    """Run each job in a task of its own, when those before it have ended."""
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    results: dict[str, str] = {}
    send, receive = trio.open_memory_channel[str](len(graph))

    async def job(name: str) -> None:
        await trio.lowlevel.checkpoint()
        results[name] = nothing()
        send.send_nowait(name)

    async with trio.open_nursery() as nursery:
        while sorter.is_active():
            for name in sorter.get_ready():
                nursery.start_soon(job, name)
            sorter.done(await receive.receive())
    return [results[name] for name in graph]


def with_dask(graph: dict[str, list[str]]) -> list[str]:
    """Run a graph of dask's."""
    import dask.threaded

    found: list[str] = dask.threaded.get({name: (nothing, *needs) for name, needs in graph.items()}, list(graph))
    return list(found)


def with_parsl(graph: dict[str, list[str]]) -> list[str]:
    """Call an app of parsl's for each job, with the futures of those before it."""
    import parsl

    app = parsl.python_app(nothing)
    futures: dict[str, Any] = {}
    for name, needs in graph.items():
        futures[name] = app(*[futures[needed] for needed in needs])
    return [futures[name].result() for name in graph]


def main() -> None:
    """Measure once."""
    how, jobs = sys.argv[1], int(sys.argv[2])
    graph = make_graph(jobs)
    assert len(graph) == jobs
    with tempfile.TemporaryDirectory() as directory:
        if how == "parsl":  # imported and started before the clock is
            import parsl

            executor = parsl.ThreadPoolExecutor(max_threads=2)
            parsl.load(parsl.Config(executors=[executor], run_dir=directory, initialize_logging=False))
        elif how == "dask":
            import dask.threaded  # noqa: F401 - imported before the clock starts; `with_dask` uses it
        begin = time.perf_counter()
        if how == "graphlib":
            results = trio.run(with_graphlib, graph)
        else:
            results = {"dask": with_dask, "parsl": with_parsl}[how](graph)
        seconds = time.perf_counter() - begin
        if how == "parsl":
            parsl.dfk().cleanup()
    assert results == ["passed"] * jobs
    print(json.dumps({"jobs_per_second": jobs / seconds, "microseconds_per_job": 1e6 * seconds / jobs}))


if __name__ == "__main__":
    main()
