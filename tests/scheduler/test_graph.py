"""The graph: what it refuses, its messages, and that depth does not matter."""

from __future__ import annotations

import sys

import pytest

from runtime.errors import GraphError
from runtime.job import JobSpec
from runtime.scheduler.graph import Graph


def spec(name: str, *dependencies: str) -> JobSpec:
    return JobSpec(name=name, cmd="true", dependencies=dependencies)


def test_it_keeps_the_order_given_and_counts_what_each_waits_for() -> None:
    graph = Graph()
    graph.add([spec("run", "build", "build"), spec("build")])
    assert [node.id for node in graph] == ["run", "build"]
    assert [node.waiting for node in graph] == [1, 0]
    assert [node.id for node in graph.find("build").dependents] == ["run"]


def test_two_jobs_of_one_name_are_an_error() -> None:
    with pytest.raises(GraphError, match="job 'a' is given twice"):
        Graph().add([spec("a"), spec("a")])
    graph = Graph()
    graph.add([spec("a")])
    with pytest.raises(GraphError, match="job 'a' is given twice"):
        graph.add([spec("b"), spec("a")])
    assert len(graph) == 1


def test_an_unknown_dependency_is_named_with_its_nearest() -> None:
    with pytest.raises(GraphError, match=r"job 'run' depends on 'biuld', which does not exist; did you mean 'build'\?"):
        Graph().add([spec("build"), spec("run", "biuld")])


@pytest.mark.parametrize(
    ("jobs", "cycle"),
    [
        ([spec("a", "a")], "its job cannot start: 'a' -> 'a'"),
        ([spec("a", "b"), spec("b", "a")], "none of its 2 jobs can start: 'a' -> 'b' -> 'a'"),
        ([spec("x"), spec("a", "b", "x"), spec("b", "c"), spec("c", "a"), spec("d", "a")], "'a' -> 'b' -> 'c' -> 'a'"),
    ],
)
def test_a_cycle_is_named_with_its_path(jobs: list[JobSpec], cycle: str) -> None:
    graph = Graph()
    with pytest.raises(GraphError) as caught:
        graph.add(jobs)
    assert str(caught.value).endswith(cycle)
    assert len(graph) == 0


def test_a_long_cycle_is_named_in_one_line() -> None:
    jobs = [spec(f"j{i}", f"j{(i + 1) % 1000}") for i in range(1000)]
    with pytest.raises(GraphError, match=r"none of its 1000 jobs can start: .*…") as caught:
        Graph().add(jobs)
    assert len(str(caught.value)) < 300


def test_a_long_chain_of_jobs_is_fine() -> None:
    graph, count = Graph(), 10 * sys.getrecursionlimit()
    chain = [spec("j0"), *(spec(f"j{i}", f"j{i - 1}") for i in range(1, count))]
    nodes = graph.add(chain)
    assert len(nodes) == count
    assert nodes[-2].dependents == [nodes[-1]]
    backwards = Graph().add(chain[::-1])
    assert backwards[1].dependents == [backwards[0]]
    assert [node.waiting for node in backwards] == [1] * (count - 1) + [0]


def test_a_job_added_later_may_depend_on_an_earlier_one_but_not_on_itself() -> None:
    graph = Graph()
    graph.add([spec("a")])
    graph.add([spec("b", "a")])
    assert [node.waiting for node in graph] == [0, 1]
    with pytest.raises(GraphError, match="cycle"):
        graph.add([spec("c", "a", "c")])
    assert len(graph) == 2


def test_an_unknown_id_is_an_error_that_suggests() -> None:
    graph = Graph()
    graph.add([spec("smoke")])
    with pytest.raises(GraphError, match=r"there is no job 'smok'; did you mean 'smoke'\?"):
        graph.find("smok")
    assert graph.get("smok") is None
