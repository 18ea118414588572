from __future__ import annotations

from typing import Any

import pytest

from runtime.jobfile.doubtful import doubtful_defaults, doubtful_jobserver, doubtful_placeholders
from runtime.jobfile.place import Place
from runtime.jobfile.schema import JobTable, structure
from runtime.jobfile.variables import Variables


def warnings(**table: Any) -> list[str]:
    return list(doubtful_placeholders(structure(table, JobTable, Place("")), {"depth", "mode"}))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("seeed", "seed"), ("sed", "seed"), ("SEED", "seed"), ("rundir", "run_dir"), ("depht", "depth"), ("ids", "id")],
)
def test_a_misspelt_placeholder_is_named_with_the_most_similar_one(written: str, meant: str) -> None:
    assert warnings(cmd=f"./sim {{{written}}}", seeds=2, matrix={"depth": [1]}) == [
        f"cmd has {{{written}}}, which stays as it is; did you mean {{{meant}}}?"
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${env.PATH}", "env.PATH"),
        ("{env:PATH}", "env.PATH"),
        ("{ENV.PATH}", "env.PATH"),
        ("{environment.PATH}", "env.PATH"),
        ("{ env.PATH }", "env.PATH"),
        ("{vars.width}", "var.width"),
        ("${var.width}", "var.width"),
        ("{Var.width}", "var.width"),
        ("{width}", "var.width"),
    ],
)
def test_a_variable_that_is_written_as_elsewhere_is_named_as_it_is_here(written: str, meant: str) -> None:
    found = list(doubtful_placeholders(structure({"cmd": f"x {written}"}, JobTable, Place("")), (), {"width"}))
    assert found == [f"cmd has {written}, which stays as it is; did you mean {{{meant}}}?"]


def test_what_stays_as_it_is_in_a_default_that_is_used_is_named() -> None:
    variables = Variables({"given": "{run_dir}"})
    defaults = {"var.a": "{run_dir}/{odir}/{file_dir}/{b}", "env.B": "${env.X}", "var.given": "{id}", "var.c": "{id}"}
    variables.add_defaults(defaults, Place("f.toml"), "/files")
    for name in ("var.a", "env.B", "var.given"):
        variables.value(name, Place(""))
    assert list(doubtful_defaults(variables)) == [
        "f.toml: [vars]: a has {odir}, which stays as it is; expected it beside the variable, in a job",
        "f.toml: [vars]: a has {run_dir}, which stays as it is; expected it beside the variable, in a job",
        "f.toml: [vars.env]: B has ${env.X}, which stays as it is; did you mean {env.X}?",
    ]


def test_a_variable_that_is_replaced_is_not_doubtful() -> None:
    table = structure({"cmd": "{var.width} {env.seeed} {{var.width}} {env} {var}"}, JobTable, Place(""))
    assert list(doubtful_placeholders(table, (), {"width"})) == []


def test_seed_without_seeds_and_parameters_of_other_jobs_are_named() -> None:
    assert warnings(cmd="x {seed} {depth} {mode}", matrix={"mode": ["a"]}) == [
        "cmd has {depth}, which stays as it is, as the job's matrix has no depth",
        "cmd has {seed}, which stays as it is, as the job has no seeds",
    ]


@pytest.mark.parametrize(
    "table",
    [
        {"cmd": ["x", "{seeed}"]},
        {"needs": ["a.{seeed}"]},
        {"cwd": "{seeed}"},
        {"odir": "{seeed}"},
        {"log_path": "{seeed}.log"},
        {"tags": ["{seeed}"]},
        {"pass_patterns": ["^x$", "^{seeed}$"]},
        {"fail_patterns": ["{seeed}"]},
        {"runtime_pattern": "{seeed}"},
        {"simulated_time_pattern": "{seeed}"},
        {"exports": {"A": "b", "B": "{seeed}"}},
    ],
)
def test_each_key_that_may_have_placeholders_is_checked(table: dict[str, Any]) -> None:
    (key,) = table
    (sentence,) = warnings(**table)
    assert sentence.startswith(f"{key}{'.B' if key == 'exports' else ''} has {{seeed}}, ")


@pytest.mark.parametrize(
    "cmd", ["awk '{print}'", "echo ${seeed} {a,b} { true; }", "find . -exec x {} +", "printf '{json}' {x} {i}", "no"]
)
def test_what_resembles_no_placeholder_is_ignored(cmd: str) -> None:
    assert warnings(cmd=cmd, seeds=1, matrix={"depth": [1]}) == []


def leaving(cmd: object, jobserver: object = True) -> list[str]:
    return list(doubtful_jobserver(structure({"cmd": cmd, "jobserver": jobserver}, JobTable, Place(""))))


@pytest.mark.parametrize(
    ("cmd", "program", "option"),
    [
        ("make -j8", "make", "-j8"),
        ("make -j", "make", "-j"),
        ("cd x && /usr/bin/gmake -C y -kj 4 all", "gmake", "-kj"),
        ("(make all -j{jobs}; ./x)", "make", "-j{jobs}"),
        ("make --jobs=4", "make", "--jobs=4"),
        ("bash -c 'make -j4'", "make", "-j4"),
        ('sh -c "make all --jobs=4"', "make", "--jobs=4"),
        (["make", "--jobs", "4"], "make", "--jobs"),
        (["/opt/bin/ninja", "-j", "2"], "ninja", "-j"),
    ],
)
def test_a_make_that_says_how_many_jobs_leaves_the_jobserver(cmd: object, program: str, option: str) -> None:
    assert leaving(cmd, "fifo") == [
        f"cmd has {program} with {option}, which leaves the jobserver; expected {program} without {option}"
    ]
    assert leaving(cmd, jobserver=False) == []


@pytest.mark.parametrize(
    "cmd",
    [
        "make",
        "make all; ./join -j 1 a b",
        "make -f jobs.mk CFLAGS=-j",
        "make --jobserver-style=fifo",
        "cmake -j4",
        "remake -j",
        "make\nx -j",
    ],
)
def test_other_commands_do_not(cmd: str) -> None:
    assert leaving(cmd) == []
