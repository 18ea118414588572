from __future__ import annotations

import pytest

from runtime.cli.select import DrawnSeeds, choose, select
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError


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
    with pytest.raises(InputError, match="matches no job's id, name or tag; expected, for example: "):
        select(JOBS, ["lint", glob])


BRACKETS = [
    job("t", full_name="t.bus=data[3]"),
    job("t", full_name="t.bus=data3"),
    job("a*"),
    job("ab", tags=("a*", "[x]")),
    job("x"),
    job("new\nline"),
]


@pytest.mark.parametrize(
    ("glob", "ids"),
    [
        ("t.bus=data[3]", ["t.bus=data[3]"]),
        ("t.bus=data[0-9]", ["t.bus=data3"]),
        ("t.bus=data[[]3]", ["t.bus=data[3]"]),
        ("t", ["t.bus=data[3]", "t.bus=data3"]),
        ("a*", ["a*", "ab"]),
        ("[x]", ["ab"]),
        ("new\\nline", ["new\nline"]),
        ("new\nline", ["new\nline"]),
    ],
)
def test_what_is_an_id_a_name_or_a_tag_is_no_glob(glob: str, ids: list[str]) -> None:
    assert [each.id for each in select(BRACKETS, [glob])] == ids


SEEDS = [JobSpec(name="s", cmd="x", full_name=f"s.w={w}.seed={seed}", seed=seed) for w in "ab" for seed in range(1, 8)]


@pytest.mark.parametrize(
    ("drawn", "complaint"),
    [
        (
            DrawnSeeds({"s"}, 42, given=False),
            ", drawn from the seed base 42, which is random unless it is given; expected --s",
        ),
        (
            DrawnSeeds({"s"}, 42, given=True),
            ", drawn from the seed base 42, which was given; expected --seed-base with that",
        ),
        (DrawnSeeds({"t"}, 42, given=True), ""),
    ],
)
def test_an_id_with_another_seed_is_said_to_need_its_seed_base(drawn: DrawnSeeds, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        select(SEEDS, ["s.w=b.seed=99"], drawn)
    said = '--select "s.w=b.seed=99": in this run "s.w=b" has no seed 99, but 1, 2, 3, 4, 5 and 2 more'
    assert str(caught.value).startswith(said + complaint)
    assert bool(complaint) or str(caught.value) == said


@pytest.mark.parametrize("glob", ["s.w=c.seed=99", "s.w=b.seed=x", "s.seed=1"])
def test_of_an_unknown_job_no_seed_is_said_to_be_wrong(glob: str) -> None:
    with pytest.raises(InputError, match="matches no job"):
        select(SEEDS, [glob], DrawnSeeds({"s"}, 1, given=False))


def test_a_long_chain_is_followed_without_recursion() -> None:
    chain = [job("0"), *(job(str(number), str(number - 1)) for number in range(1, 5000))]
    assert len(select(chain, ["4999"])) == 5000


def test_what_is_excluded_is_left_out_unless_another_job_needs_it() -> None:
    jobs = [
        JobSpec(name="build", cmd="x"),
        JobSpec(name="a", cmd="x", dependencies=("build",), tags=("slow",)),
        JobSpec(name="b", cmd="x", dependencies=("build",)),
    ]
    assert [job.id for job in select(jobs, [], exclude=["slow"])] == ["build", "b"]
    assert [job.id for job in select(jobs, [], exclude=["build"])] == ["build", "a", "b"]
    assert [job.id for job in select(jobs, ["?"], exclude=["b"])] == ["build", "a"]
    assert [job.id for job in select(jobs, [], only={"b", "unknown"})] == ["build", "b"]
    with pytest.raises(InputError, match='--exclude "none" matches no job'):
        select(jobs, [], exclude=["none"])
    with pytest.raises(InputError, match="no job is left"):
        select(jobs, ["a"], exclude=["slow"])


def test_what_is_chosen_is_named_and_not_needed() -> None:
    jobs = [job("build"), job("a", "build"), job("b", "a")]
    assert choose(jobs, ["b", "build"]) == {"b", "build"}
    assert choose(jobs, [], exclude=["a"], only={"a", "b"}) == {"b"}
    with pytest.raises(InputError, match="no job is left"):
        choose(jobs, ["a"], only={"b"})
