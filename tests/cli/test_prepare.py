from __future__ import annotations

import argparse
import functools
import re
import signal
import sys
from collections.abc import Iterator
from copy import copy
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from runtime.backend.fake import FakeBackend
from runtime.backend.local import LocalBackend
from runtime.backend.registry import backends
from runtime.cli.make_backends import key_names
from runtime.cli.options import parse
from runtime.cli.prepare import Prepared, new_run_name, prepare
from runtime.job import FailureKind, JobStatusInfo
from runtime.jobfile.errors import InputError
from runtime.process.headroom import Headroom
from tests.jobfile.without_lines import without_lines
from tests.process.test_soft_steps import at

JOBS = """
[jobs.here]
cmd = "true"
[jobs.there]
cmd = "true"
backend = "fake"
needs = ["here"]
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("JOB_RUNTIME_BACKEND", raising=False)
    backends.clear()
    yield
    backends.clear()


def prepared(content: str, *options: str) -> Prepared:
    Path("jobs.toml").write_text(content)
    return prepare(parse(["run", "jobs.toml", *options]))


def test_a_known_failure_expires_by_the_day_that_is_given() -> None:
    known = "[known.x]\njobs = 'a'\nmessage = 'bad'\nissue = '#1'\nexpires = 2026-07-01\n[jobs.a]\ncmd = 'x'\n"
    Path("jobs.toml").write_text(known)
    reason = JobStatusInfo("bad", kind=FailureKind.EXIT_CODE)
    for day, name in ((date(2026, 7, 1), "x"), (date(2026, 7, 2), None)):
        run = prepare(parse(["run", "jobs.toml"]), today=functools.partial(copy, day))
        assert run.known.name_of(run.jobs[0], reason) == name


def wrong(content: str, *options: str) -> str:
    with pytest.raises(InputError) as caught:
        prepared(content, *options)
    return without_lines(str(caught.value))


def test_only_backends_that_jobs_use_are_made(tmp_path: Path) -> None:
    assert sorted(prepared(JOBS).backends) == ["fake", "local"]
    assert sorted(prepared(JOBS, "--select", "here").backends) == ["local"]
    only_there = prepared("[jobs.a]\ncmd='x'\nbackend='fake'")
    assert sorted(only_there.backends) == ["fake"]
    assert list(tmp_path.iterdir()) == [tmp_path / "jobs.toml"]  # nothing was written


def test_a_run_has_a_name_of_its_own_and_a_directory_that_is_not_made(tmp_path: Path) -> None:
    one, other = prepared(JOBS), prepared(JOBS, "--out", "elsewhere")
    assert one.run != other.run
    assert one.run_dir == tmp_path / "results" / one.run
    assert other.run_dir == tmp_path / "elsewhere" / other.run
    local = one.backends["local"]
    assert isinstance(local, LocalBackend)
    assert local.run_dir == str(one.run_dir)


def test_the_default_backend_is_the_options_or_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(prepared(JOBS, "--backend", "fake").backends) == ["fake"]
    monkeypatch.setenv("JOB_RUNTIME_BACKEND", "fake")
    assert sorted(prepared(JOBS).backends) == ["fake"]
    assert sorted(prepared(JOBS, "--backend", "local").backends) == ["fake", "local"]
    monkeypatch.setenv("JOB_RUNTIME_BACKEND", "nonsense")
    assert wrong(JOBS).startswith("the variable JOB_RUNTIME_BACKEND: there is no backend 'nonsense'")


@pytest.mark.parametrize(
    ("options", "table", "limit"),
    [
        (["--max-parallel", "500"], "", 500),
        (["--max-parallel", "0"], "", None),
        (["--max-parallel", "500"], "[backends.local]\nmax_parallelism = 3", 3),
        ([], "[backends.local]\nmax_parallelism = 7", 7),
    ],
)
def test_more_jobs_at_once_than_processors_can_be_asked_for(options: list[str], table: str, limit: int | None) -> None:
    assert prepared(JOBS + table, *options).backends["local"].max_parallelism == limit


def test_the_names_of_runs_sort_in_the_order_in_which_they_began() -> None:
    begun = [datetime(2026, 1, 2, 3, 4, 5, microsecond, UTC) for microsecond in range(0, 1_000_000, 31_337)]
    names = [new_run_name(each) for each in [*begun, datetime(2026, 1, 2, 3, 4, 6, 0, UTC)]]
    assert names == sorted(names)
    assert all(re.fullmatch("20260102-03040[56]-[0-9a-f]{6}", name) for name in names)


def test_old_directories_are_kept_as_asked() -> None:
    assert prepared(JOBS, "--max-odirs", "2").backends["local"].max_output_dirs == 2
    assert prepared(JOBS, "--max-odirs", "0").backends["local"].max_output_dirs is None


def test_the_room_that_jobs_need_can_be_asked_for_where_jobs_start_on_this_machine() -> None:
    backend = prepared(JOBS + '[backends.local]\ndisk_free = "9G"', "--mem-free", "2GiB").backends["local"]
    assert isinstance(backend, LocalBackend)
    assert backend.options.headroom == Headroom(2 << 30, 9 << 30)
    with pytest.raises(InputError, match=r'^--mem-free: no backend of this run has mem_free; they are: "fake"$'):
        prepared(JOBS, "--backend", "fake", "--mem-free", "2GiB")


def test_a_table_gives_a_backend_its_options() -> None:
    assert prepared(JOBS + "[backends.fake]\nmax_parallelism = 9").backends["fake"].max_parallelism == 9


def test_a_resource_of_the_command_line_goes_before_the_files() -> None:
    needy = JOBS + "[resources]\nlicence = 1\n[jobs.a]\ncmd='x'\nresources = {licence = 2}"
    assert "licence" in wrong(needy)
    assert len(prepared(needy, "--resource", "licence=2").jobs) == 3
    assert len(prepared(needy, "--resource", "licence=unlimited").jobs) == 3


def test_a_launcher_is_found_in_the_pythonpath_which_is_the_command_lines_to_set(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "my_launchers_of_a_test.py").write_text(
        "class MyLauncher:\n    def launch(self): ...\n    def poll(self): ...\n    def kill(self): ...\n"
    )
    name = "legacy:my_launchers_of_a_test:MyLauncher"
    assert "importing 'my_launchers_of_a_test' failed" in wrong(JOBS, "--backend", name)
    made = prepared(JOBS, "--backend", name, "--pythonpath", "lib")
    assert sys.path[0] == str(tmp_path / "lib")
    assert made.backends[name].name == "my"
    table = f'[backends."{name}"]\npoll_interwal = 1'
    assert 'unknown key "poll_interwal"; did you mean "poll_interval"?' in wrong(JOBS + table, "--backend", name)


def test_the_older_name_of_a_key_is_still_read() -> None:
    table = "[jobs.a]\ncmd='x'\nbackend='slurm'\n[backends.slurm]\n"
    assert list(prepared(table + "grace = 7").backends) == ["slurm"]
    assert "visibility_timeout is -1; expected" in wrong(table + "grace = -1")
    both = "jobs.toml: [backends.slurm]: has both grace and visibility_timeout, which replaces it; expected that alone"
    assert wrong(table + "grace = 7\nvisibility_timeout = 7") == both


def test_what_a_backend_does_not_take_is_named() -> None:
    message = wrong(JOBS + "[backends.fake]\nmax_parallel = 9")
    assert message == 'jobs.toml: [backends.fake]: unknown key "max_parallel"; did you mean "max_parallelism"?'


SOFT = """
[defaults]
cmd = "x"
[jobs.signal]
soft_stop = "SIGUSR1"
[jobs.file]
soft_stop = "STOP"
soft_timeout = "1m"
matrix = { depth = [1, 2] }
[jobs.none]
soft_stop = false
soft_timeout = 5
[jobs.longer]
soft_timeout = 99
[jobs.like_all]
[backends.local]
soft_stop = "SIGINT"
soft_timeout = 3
"""


def test_each_job_has_the_soft_step_of_its_table_or_the_backends() -> None:
    made = prepared(SOFT)
    local = made.backends["local"]
    assert isinstance(local, LocalBackend)
    steps = {job.id: local.options.soft.of(job, "/o", at) for job in made.jobs}
    assert {
        name: step and (step.what if isinstance(step.what, int) else str(step.what), step.seconds)
        for name, step in steps.items()
    } == {
        "signal": (signal.SIGUSR1, 3),
        "file.depth=1": ("/o/STOP", 60),
        "file.depth=2": ("/o/STOP", 60),
        "none": None,
        "longer": (signal.SIGINT, 99),
        "like_all": (signal.SIGINT, 3),
    }


def test_a_soft_step_is_for_backends_that_have_one() -> None:
    message = wrong(SOFT.replace("[jobs.file]", "[jobs.file]\nbackend = 'fake'"))
    assert message == ('jobs.toml: [jobs.file]: has soft_stop or soft_timeout; the backend "fake" has no soft stop')
    assert "fake" in prepared(SOFT.replace("[jobs.like_all]", "[jobs.like_all]\nbackend = 'fake'")).backends


@pytest.mark.parametrize("key", ["leftovers = 'fail'", "containment = 'group'"])
def test_what_is_left_behind_is_a_matter_of_local_jobs(key: str) -> None:
    text = SOFT.replace("[jobs.like_all]", f"[jobs.like_all]\n{key}")
    assert "local" in prepared(text).backends
    message = wrong(text.replace("[jobs.like_all]", "[jobs.like_all]\nbackend = 'fake'"))
    word, _, _ = key.partition(" ")
    assert message == (
        f'jobs.toml: [jobs.like_all]: has {word}, which is for local jobs; the backend "fake" does not have it'
    )


def test_a_silent_log_is_noticed_where_logs_are_watched() -> None:
    text = SOFT.replace("[jobs.like_all]", "[jobs.like_all]\nidle_timeout = '10m'\nslow = 5")
    spec = next(job for job in prepared(text).jobs if job.name == "like_all")
    assert (spec.idle_timeout, spec.slow) == (600, 5)
    message = wrong(text.replace("[jobs.like_all]", "[jobs.like_all]\nbackend = 'fake'"))
    assert message == (
        'jobs.toml: [jobs.like_all]: has idle_timeout; the backend "fake" does not see what its jobs write'
    )
    assert wrong(text.replace("10m", "10 min")).startswith(
        'jobs.toml: [jobs.like_all]: idle_timeout is "10 min"; expected'
    )
    assert wrong(text.replace("slow = 5", "slow = true")).startswith(
        "jobs.toml: [jobs.like_all]: slow is true; expected"
    )


def test_a_ceiling_is_for_backends_that_see_to_it() -> None:
    text = SOFT.replace("[jobs.like_all]", "[jobs.like_all]\nmemory = '200MiB'")
    assert next(job for job in prepared(text).jobs if job.name == "like_all").memory == 200 << 20
    message = wrong(text.replace("[jobs.like_all]", "[jobs.like_all]\nbackend = 'fake'"))
    assert message == (
        'jobs.toml: [jobs.like_all]: has memory; the backend "fake" does not limit the memory of its jobs'
    )
    for given in ('"4096"', '"much"', "0", "true", "[1]"):
        assert wrong(text.replace("'200MiB'", given)) == (
            f"jobs.toml: [jobs.like_all]: memory is {given}; expected a number of bytes, or text such as "
            '"200MiB" or "4GiB", from 4 MiB'
        )


def test_a_wrong_step_of_the_backend_is_said_of_that() -> None:
    message = wrong(SOFT.replace('"SIGINT"', '"SIGITN"'))
    assert message.startswith("jobs.toml: [backends.local]: LocalBackend: soft_stop is 'SIGITN', which is no signal")


def test_a_factory_of_somebody_else_may_return_nonsense() -> None:
    backends.register("odd", lambda **_: 7)  # type: ignore[arg-type]  # that is the point
    assert wrong(JOBS, "--backend", "odd").startswith("--backend: the factory of backend 'odd' returned 7")


def test_options_that_only_a_program_can_give_are_no_keys() -> None:
    assert "policy" not in key_names(backends, "fake")
    assert "max_parallelism" in key_names(backends, "fake")


def test_the_options_of_list_are_enough() -> None:
    Path("jobs.toml").write_text(JOBS)
    options: argparse.Namespace = parse(["list", "jobs.toml"])
    assert isinstance(prepare(options).backends["fake"], FakeBackend)
