from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.backend.batch.rules import Rule
from runtime.backend.slurm import SlurmBackend
from runtime.backend.slurm.requests import OPTIONS, Options, Requests
from runtime.cli.options import parse
from runtime.cli.prepare import prepare
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError


def job(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "cmd": "true", **fields})


def test_a_job_that_asks_for_nothing_gets_what_the_cluster_gives() -> None:
    assert Requests(Options()).of(job()) == ("--no-requeue",)


def test_resources_become_options() -> None:
    requests = Requests(Options(), licences={"simulator": "vendor_sim@server"})
    resources = {"cpus": 4, "memory_mb": 2000, "gpus": 1, "simulator": 2, "tokens": 7}
    assert requests.of(job(resources=resources)) == (
        "--no-requeue",
        "--cpus-per-task=4",
        "--gres=gpu:1",
        "--licenses=vendor_sim@server:2",
        "--mem=2000M",
    )
    assert requests.resources == {"cpus", "memory_mb", "gpus", "simulator"}


def test_equal_requests_are_equal_whatever_their_order() -> None:
    requests = Requests(Options())
    one, two = {"cpus": 1, "memory_mb": 5}, {"memory_mb": 5, "cpus": 1}
    assert requests.of(job(resources=one)) == requests.of(job(resources=two))


@pytest.mark.parametrize(
    ("memory", "word"), [(200 << 20, "--mem=200M"), ((200 << 20) + 1, "--mem=201M"), (4 << 30, "--mem=4096M")]
)
def test_a_ceiling_is_what_slurm_is_asked_for(memory: int, word: str) -> None:
    requests = Requests(Options())
    assert requests.of(job(memory=memory)) == ("--no-requeue", word)
    assert requests.of(job(memory=memory, resources={"memory_mb": 5, "cpus": 1}))[2:] == (word,)


@pytest.mark.parametrize(("name", "word"), [("cpus", "--exclusive"), ("memory_mb", "--mem=0")])
def test_all_of_a_node_can_be_asked_for(name: str, word: str) -> None:
    assert word in Requests(Options()).of(job(resources={name: None}))


@pytest.mark.parametrize("name", ["gpus", "simulator"])
def test_all_of_what_slurm_must_be_told_the_number_of_cannot(name: str) -> None:
    with pytest.raises(ValueError, match=f"all of '{name}'"):
        Requests(Options(), licences={"simulator": "x"}).of(job(resources={name: None}))


def test_nothing_of_something_is_not_asked_for() -> None:
    assert Requests(Options(), licences={"s": "x"}).of(job(resources={"gpus": 0, "s": 0})) == ("--no-requeue",)


@pytest.mark.parametrize(
    ("time", "timeout", "words"),
    [
        (None, None, []),
        (None, 60, ["--time=6"]),
        (None, 61, ["--time=7"]),
        ("none", 60, []),
        ("2:00:00", 60, ["--time=2:00:00"]),
    ],
)
def test_slurm_s_time_limit_is_beyond_the_job_s_unless_given(
    time: str | None, timeout: float | None, words: list[str]
) -> None:
    assert list(Requests(Options(time=time)).of(job(timeout=timeout))[1:]) == words


def test_the_time_limit_leaves_time_for_the_line_from_which_a_job_runs() -> None:
    waits = {"timeout": 60, "timeout_from": "^Starting"}
    requests = Requests(Options())
    assert list(requests.of(job(**waits))[1:]) == [], "no limit is known"
    assert list(requests.of(job(**waits, queue_timeout=600))[1:]) == ["--time=16"]


def test_rules_are_for_those_that_they_fit_and_the_last_one_counts() -> None:
    backend = SlurmBackend(
        partition="normal",
        extra=["--nice=1"],
        rules=[
            {"target": "build", "partition": "fast", "extra": ["--constraint=ssd"]},
            {"tag": "big", "job_type": "sim", "qos": "high"},
            {"job": "nightly.*", "account": "night", "requeue": True},
            {"job": "nightly.x", "account": "x"},
        ],
    )
    of = backend.requests.of
    assert of(job()) == ("--no-requeue", "--partition=normal", "--nice=1")
    assert of(job(target="build")) == ("--no-requeue", "--partition=fast", "--nice=1", "--constraint=ssd")
    assert of(job(tags=["big"])) == of(job())
    assert "--qos=high" in of(job(tags=["big"], job_type="sim"))
    assert of(job(name="nightly.a"))[:3] == ("--requeue", "--partition=normal", "--account=night")
    assert "--account=x" in of(job(name="nightly.x"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": ""}, "partition is ''; expected text that is not empty"),
        ({"partition": 3}, "partition is 3"),
        ({"requeue": "yes"}, "requeue is 'yes'; expected True or False"),
        ({"extra": "--nice=1"}, "extra is '--nice=1'; expected a list of options of sbatch"),
        ({"extra": ["nice"]}, r"extra is \['nice'\]"),
        ({"extra": ["--array=1-3"]}, "extra has '--array=1-3'; expected only options that the backend does not set"),
        ({"extra": ["-Jname"]}, "extra has '-Jname'; expected only options that the backend does not set"),
        ({"rules": {"target": "x"}}, "rules is .*expected a list of mappings"),
        ({"rules": ["x"]}, r"rules\[0\] is 'x'; expected a mapping"),
        ({"rules": [{"partition": "x"}]}, r"rules\[0\] selects no jobs; expected"),
        ({"rules": [{"target": "x", "partitoin": "y"}]}, r"rules\[0\] has 'partitoin'; expected"),
        ({"rules": [{"target": 3}]}, r"rules\[0\]: target is 3; expected text"),
        ({"rules": [{"target": "x"}, {"tag": "x", "qos": ""}]}, r"rules\[1\]: qos is ''"),
        ({"licences": ["x"]}, "licences is .*expected a mapping"),
        ({"licences": {"x": 1}}, "licences is .*all text"),
        ({"command_timeout": -1}, "command_timeout is -1"),
    ],
)
def test_what_cannot_be_is_refused_when_the_backend_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="SlurmBackend: " + message):
        SlurmBackend(**options)


def test_a_rule_needs_all_its_keys_to_fit() -> None:
    rule = Rule.checked({"target": "run", "tag": "a", "qos": "q"}, "here", OPTIONS, Options.checked)
    assert rule.fits(job(tags=["a", "b"]))
    assert not rule.fits(job(tags=["b"]))
    assert not rule.fits(job(target="build", tags=["a"]))


@pytest.mark.parametrize("key", ["visibility_timeout", "grace"])
def test_an_unknown_option_is_named_and_an_older_name_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """`visibility_timeout` was called `grace`."""
    monkeypatch.chdir(tmp_path)
    jobs = '\n[jobs.a]\ncmd = "true"\nbackend = "slurm"\n'
    Path("jobs.toml").write_text("[backends.slurm]\nzeal = 60" + jobs)
    known = "account, command_timeout, drain_timeout, extra"
    with pytest.raises(InputError, match=rf'\[backends\.slurm\]: unknown key "zeal"; it knows: {known}, '):
        prepare(parse(["run", "jobs.toml"]))
    Path("jobs.toml").write_text(f"[backends.slurm]\n{key} = 60{jobs}")
    assert sorted(prepare(parse(["run", "jobs.toml"])).backends) == ["slurm"]
