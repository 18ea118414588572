from __future__ import annotations

from typing import Any

import pytest

from runtime.backend.lsf import LsfBackend
from runtime.backend.lsf.requests import Options, Requests
from runtime.job import JobSpec


def job(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "cmd": "true", **fields})


def test_a_job_that_asks_for_nothing_gets_what_the_cluster_gives() -> None:
    assert Requests(Options()).of(job(resources={"tokens": None, "cpus": 1})) == ("-rn",)
    assert Requests(Options()).resources == {"cpus", "memory_mb"}


def test_resources_become_slots_on_one_host_and_usage() -> None:
    requests = Requests(Options(), rusage={"vcs": "vcs_lic"})
    assert requests.resources == {"vcs", "cpus", "memory_mb"}
    asked = requests.of(job(resources={"vcs": 2, "cpus": 4, "memory_mb": 4001, "tokens": 7}))
    usage = "rusage[mem=4001MB/host,vcs_lic=2/job]"
    assert asked == ("-rn", "-n", "4", "-R", "span[hosts=1]", "-R", usage)
    assert asked == requests.of(job(resources={"tokens": 7, "memory_mb": 4001, "cpus": 4, "vcs": 2}))
    assert requests.of(job(resources={"vcs": 1, "memory_mb": 0})) == ("-rn", "-R", "rusage[vcs_lic=1]")
    assert Requests(Options(), rusage={"memory_mb": "m"}).of(job(resources={"memory_mb": 1}))[-1] == "rusage[m=1]"


def test_a_ceiling_for_memory_is_lsf_s() -> None:
    assert Requests(Options()).of(job(memory=(1 << 30) + 1)) == ("-rn", "-M", "1025MB")


@pytest.mark.parametrize("name", ["cpus", "memory_mb", "vcs"])
def test_all_of_a_resource_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=f"all of '{name}'; expected a number, as LSF has no word for all"):
        Requests(Options(), rusage={"vcs": "vcs_lic"}).of(job(resources={name: None}))


@pytest.mark.parametrize(
    ("time", "timeout", "words"),
    [(None, None, []), (None, 60.5, ["-W", "7"]), ("none", 60, []), ("2:00", 60, ["-W", "2:00"])],
)
def test_the_time_limit_is_beyond_the_job_s_unless_given(
    time: str | None, timeout: float | None, words: list[str]
) -> None:
    assert list(Requests(Options(time=time)).of(job(timeout=timeout))[1:]) == words


def test_rules_override_and_extra_words_add_up() -> None:
    backend = LsfBackend(
        queue="normal",
        extra=["-sp", "10"],
        rules=[
            {"target": "build", "queue": "short", "extra": ["-R", "select[type==any]"]},
            {"tag": "big", "project": "night", "rerun": True},
        ],
    )
    of = backend.requests.of
    assert of(job()) == ("-rn", "-q", "normal", "-sp", "10")
    assert of(job(target="build")) == ("-rn", "-q", "short", "-sp", "10", "-R", "select[type==any]")
    assert of(job(tags=["big"])) == ("-r", "-q", "normal", "-P", "night", "-sp", "10")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": ""}, "queue is ''; expected text that is not empty"),
        ({"rerun": "yes"}, "rerun is 'yes'; expected True or False"),
        ({"extra": "-sp 1"}, "extra is '-sp 1'; expected a list of words for bsub"),
        ({"extra": ["x"]}, r"extra is \['x'\]; expected a list of words for bsub, which begins with an option"),
        ({"extra": ["-J", "x"]}, "extra has '-J'; expected only options that the backend does not set itself"),
        ({"rules": [{"queue": "x"}]}, r"rules\[0\] selects no jobs"),
        ({"rules": [{"target": "x", "partition": "y"}]}, r"rules\[0\] has 'partition'; expected"),
        ({"rusage": {"x": 1}}, "rusage is .*; expected a mapping of resources to names of resources of LSF, all text"),
        ({"command_timeout": -1}, "command_timeout is -1"),
    ],
)
def test_what_cannot_be_is_refused_when_the_backend_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="LsfBackend: " + message):
        LsfBackend(**options)
