from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.backend.registry import BackendRegistry
from runtime.cli.backend_options import backend_options
from runtime.cli.listing import backend_lines, in_order
from runtime.job import JobSpec


@given(st.permutations(range(12)), st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30))
def test_each_job_comes_after_all_that_it_needs(order: list[int], edges: set[tuple[int, int]]) -> None:
    jobs = [
        JobSpec(name=str(n), cmd="x", dependencies=[str(low) for low, high in edges if high == n and low < high] * 2)
        for n in order
    ]
    ordered = in_order(jobs)
    assert sorted(job.id for job in ordered) == sorted(job.id for job in jobs)
    place = {job.id: number for number, job in enumerate(ordered)}
    assert all(place[needed] < place[job.id] for job in jobs for needed in job.dependencies)


def test_jobs_that_need_nothing_keep_their_order() -> None:
    jobs = [JobSpec(name=name, cmd="x") for name in "hello wrd"]
    assert in_order(jobs) == jobs


def test_of_those_that_could_start_the_heaviest_is_first() -> None:
    jobs = [
        JobSpec(name="light", cmd="x"),
        JobSpec(name="heavy", cmd="x", weight=9, dependencies=["last"]),
        JobSpec(name="middle", cmd="x", weight=2),
        JobSpec(name="last", cmd="x", weight=1.5),
    ]
    assert [job.id for job in in_order(jobs)] == ["middle", "last", "heavy", "light"]


def test_a_backend_that_cannot_be_loaded_is_shown_with_the_reason() -> None:
    registry = BackendRegistry()
    registry.register("broken", "nowhere.at.all:Backend")
    lines = ["".join(text for text, _ in line) for line in backend_lines(registry, verbose=True)]
    (broken,) = [line for line in lines if line.startswith("broken")]
    assert "cannot be used: " in broken
    assert "nowhere" in broken
    assert any(line.startswith("local") for line in lines)


class QuayLauncher:
    """Ships jobs.

    By sea.
    """

    supports_interactive = True
    max_poll = 10

    def launch(self) -> None: ...

    def poll(self) -> None: ...

    def kill(self) -> None: ...


class BadLimitLauncher(QuayLauncher):
    max_poll = -1


def test_a_launcher_is_shown_as_one_with_the_keys_of_the_adapter() -> None:
    registry = BackendRegistry()
    registry.register_launcher("quay", f"{__name__}:QuayLauncher")
    registry.register_launcher("bad", f"{__name__}:BadLimitLauncher")
    lines = ["".join(text for text, _ in line) for line in backend_lines(registry, verbose=True)]
    at = lines.index("quay  Ships jobs.  (launcher QuayLauncher)")
    assert lines[at + 1] == "    interactive jobs: yes"
    assert lines[at + 2] == "    keys of [backends.quay]:"
    keys = {line.split()[0].rstrip(":") for line in lines[at + 3 :] if line.startswith("      ")}
    assert {"poll_interval", "kill_timeout", "max_parallelism"} <= keys
    assert {"launcher_cls", "view", "run_dir"}.isdisjoint(keys)
    (bad,) = [line for line in lines if line.startswith("bad")]
    assert bad.startswith("bad  cannot be used: BadLimitLauncher.max_poll is -1; expected ")


def test_each_option_of_a_backend_is_shown_with_its_type_its_default_and_its_meaning() -> None:
    lines = ["".join(text for text, _ in line) for line in backend_lines(BackendRegistry(), verbose=True)]
    begin = "      stop_on_fail_pattern (true or false, default false): whether a job is stopped when a"
    assert any(line.startswith(begin) for line in lines)
    assert "      term_timeout (a number): seconds from SIGTERM to SIGKILL; unset for 2." in lines
    assert any(line.startswith("      extra (a list): further options of sbatch") for line in lines)
    assert any(
        line.startswith("      drain_timeout (a number, default 1.0): seconds without progress") for line in lines
    )


@pytest.mark.parametrize("name", BackendRegistry().names())
def test_no_option_of_a_backend_of_ours_is_without_words(name: str) -> None:
    bare = [option.name for option in backend_options(BackendRegistry(), name) if not (option.type and option.meaning)]
    assert bare == []
