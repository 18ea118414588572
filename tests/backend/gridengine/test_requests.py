from __future__ import annotations

import signal
from typing import Any

import pytest

from runtime.backend.gridengine import GridEngineBackend
from runtime.backend.gridengine.requests import Options, Requests
from runtime.job import JobSpec


def job(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "cmd": "true", **fields})


def test_a_job_that_asks_for_nothing_gets_what_the_cluster_gives() -> None:
    assert Requests(Options()).of(job(resources={"cpus": 4, "tokens": 1})) == ("-r", "n")
    assert Requests(Options()).resources == set()


def test_resources_become_slots_and_complexes() -> None:
    requests = Requests(Options(parallel_environment="smp"), complexes={"vcs": "vcs_lic", "memory_mb": "mem_free"})
    assert requests.resources == {"cpus", "vcs", "memory_mb"}
    asked = requests.of(job(resources={"vcs": 2, "cpus": 4, "memory_mb": 4001, "tokens": 7}))
    assert asked == ("-r", "n", "-pe", "smp", "4", "-l", "mem_free=1001M", "-l", "vcs_lic=2")
    assert asked == requests.of(job(resources={"tokens": 7, "memory_mb": 4001, "cpus": 4, "vcs": 2}))
    assert requests.of(job(resources={"vcs": 0, "cpus": 1})) == ("-r", "n")


@pytest.mark.parametrize("name", ["cpus", "vcs"])
def test_all_of_a_resource_cannot_be_asked_for(name: str) -> None:
    requests = Requests(Options(parallel_environment="smp"), complexes={"vcs": "vcs_lic"})
    with pytest.raises(ValueError, match=f"all of '{name}'"):
        requests.of(job(resources={name: None}))


@pytest.mark.parametrize(
    ("time", "timeout", "words"),
    [
        (None, None, []),
        (None, 60.5, ["-l", "h_rt=361"]),
        ("none", 60, []),
        ("2:00:00", 60, ["-l", "h_rt=2:00:00"]),
    ],
)
def test_the_time_limit_is_beyond_the_job_s_unless_given(
    time: str | None, timeout: float | None, words: list[str]
) -> None:
    assert list(Requests(Options(time=time)).of(job(timeout=timeout))[2:]) == words


def test_rules_override_and_extra_words_add_up() -> None:
    backend = GridEngineBackend(
        queue="all.q",
        extra=["-p", "-1"],
        rules=[
            {"target": "build", "queue": "fast.q", "extra": ["-l", "arch=lx-amd64"]},
            {"tag": "big", "parallel_environment": "smp", "project": "night", "rerun": True},
        ],
    )
    of = backend.requests.of
    assert of(job()) == ("-r", "n", "-q", "all.q", "-p", "-1")
    assert of(job(target="build")) == ("-r", "n", "-q", "fast.q", "-p", "-1", "-l", "arch=lx-amd64")
    big = of(job(tags=["big"], resources={"cpus": 2}))
    assert big == ("-r", "y", "-q", "all.q", "-P", "night", "-pe", "smp", "2", "-p", "-1")
    assert backend.resources == {"cpus"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": ""}, "queue is ''; expected text that is not empty"),
        ({"rerun": "yes"}, "rerun is 'yes'; expected True or False"),
        ({"extra": "-p -1"}, "extra is '-p -1'; expected a list of words for qsub"),
        ({"extra": ["x"]}, r"extra is \['x'\]; expected a list of words for qsub, which begins with an option"),
        ({"extra": ["-p", 1]}, r"extra is \['-p', 1\]"),
        ({"extra": ["-t", "1-3"]}, "extra has '-t'; expected only options that the backend does not set itself"),
        ({"rules": [{"queue": "x"}]}, r"rules\[0\] selects no jobs"),
        ({"rules": [{"target": "x", "partition": "y"}]}, r"rules\[0\] has 'partition'; expected"),
        ({"complexes": {"x": 1}}, "complexes is .*; expected a mapping of resources to names of complexes, all text"),
        ({"command_timeout": -1}, "command_timeout is -1"),
        ({"soft_stop": signal.SIGINT}, "soft_stop is SIGINT; expected the name of a file, as Grid Engine has no"),
        ({"soft_stop": "SIGINT"}, "soft_stop is SIGINT"),
    ],
)
def test_what_cannot_be_is_refused_when_the_backend_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="GridEngineBackend: " + message):
        GridEngineBackend(**options)


def test_a_soft_step_is_a_file() -> None:
    with pytest.raises(ValueError, match="its soft_stop is SIGUSR1; expected the name of a file"):
        Requests(Options()).of(job(soft_stop="SIGUSR1"))
    assert Requests(Options()).of(job(soft_stop="stop")) == Requests(Options()).of(job(soft_stop=False))
