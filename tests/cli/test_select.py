from __future__ import annotations

import pytest

from runtime.cli.errors import InputError
from runtime.cli.select import select
from runtime.job import JobSpec


def job(name: str, *needs: str, full_name: str = "", tags: tuple[str, ...] = ()) -> JobSpec:
    return JobSpec(name=name, cmd="x", dependencies=needs, full_name=full_name, tags=tags)


JOBS = [
    job("merge", "smoke.seed=1", "smoke.seed=2"),
    job("smoke", "build", full_name="smoke.seed=1"),
    job("smoke", "build", full_name="smoke.seed=2", tags=("nightly",)),
    job("build", "tools"),
    job("tools"),
    job("lint"),
]


@pytest.mark.parametrize(
    ("globs", "ids"),
    [
        ([], ["merge", "smoke.seed=1", "smoke.seed=2", "build", "tools", "lint"]),
        (["lint"], ["lint"]),
        (["smoke.seed=1"], ["smoke.seed=1", "build", "tools"]),
        (["smoke"], ["smoke.seed=1", "smoke.seed=2", "build", "tools"]),
        (["night*"], ["smoke.seed=2", "build", "tools"]),
        (["*.seed=2", "lint"], ["smoke.seed=2", "build", "tools", "lint"]),
        (["merge"], ["merge", "smoke.seed=1", "smoke.seed=2", "build", "tools"]),
    ],
)
def test_what_matches_runs_with_all_that_it_needs_in_the_files_order(globs: list[str], ids: list[str]) -> None:
    assert [each.id for each in select(JOBS, globs)] == ids


@pytest.mark.parametrize("glob", ["Smoke", "smok", "", "[", "x\ny"])
def test_a_glob_that_matches_nothing_is_an_error(glob: str) -> None:
    with pytest.raises(InputError, match="matches no job's id, name or tag; there are, among others: "):
        select(JOBS, ["lint", glob])


def test_a_long_chain_is_followed_without_recursion() -> None:
    chain = [job("0"), *(job(str(number), str(number - 1)) for number in range(1, 5000))]
    assert len(select(chain, ["4999"])) == 5000
