from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.backend.job_paths import job_paths
from runtime.job import JobSpec, Retry
from runtime.jobfile import expand as module
from runtime.jobfile.cells import draw_seeds
from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.place import Place
from runtime.jobfile.regression import JobEntry, Regression
from runtime.jobfile.schema import JobTable, structure
from runtime.jobfile.values import Listing
from runtime.jobfile.variables import Variables
from tests.calls import calls_of

RUN_DIR = Path("/out/run")


def regression(tables: Mapping[str, Any], variables: Variables | None = None) -> Regression:
    entries = []
    for name, keys in tables.items():
        table = structure({"cmd": "x", **keys}, JobTable, Place(name))
        matrix = {parameter: values for parameter, values in table.matrix.items() if not isinstance(values, Listing)}
        entries.append(JobEntry(name, table, Path("/files"), Place(f"f: [jobs.{name}]"), matrix))
    return Regression("f", tuple(entries), {}, {}, "f", variables=variables or Variables())


def expanded(tables: Mapping[str, Any], variables: Variables | None = None, **options: Any) -> dict[str, JobSpec]:
    jobs = expand(regression(tables, variables), Expansion(**{"run_dir": RUN_DIR, "seed_base": 1, **options}))
    assert len({job.id for job in jobs}) == len(jobs)
    return {job.id: job for job in jobs}


def wrong(tables: Mapping[str, Any], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        expanded(tables, **options)
    return str(caught.value)


def test_a_tiny_multiplier_leaves_a_positive_timeout() -> None:
    job = expanded({"a": {"timeout": 5}}, timeout_multiplier=5e-324)["a"]
    assert job.timeout == 0.001


def test_a_matrix_is_a_product_in_the_order_of_its_keys() -> None:
    jobs = expanded({"a": {"matrix": {"depth": [4, 8], "mode": ["x", True, 0.5]}, "cmd": "{mode}/{depth}"}})
    assert list(jobs) == [f"a.depth={depth}.mode={mode}" for depth in (4, 8) for mode in ("x", "true", "0.5")]
    assert jobs["a.depth=8.mode=true"].cmd == "true/8"
    assert {job.name for job in jobs.values()} == {"a"}


def test_seeds_in_a_range_or_a_list_are_those_seeds() -> None:
    jobs = expanded({"a": {"seeds": "2..4", "matrix": {"n": [1]}}, "b": {"seeds": [9, 0]}})
    assert [(job.id, job.seed) for job in jobs.values()] == [
        ("a.n=1.seed=2", 2),
        ("a.n=1.seed=3", 3),
        ("a.n=1.seed=4", 4),
        ("b.seed=9", 9),
        ("b.seed=0", 0),
    ]


def test_drawn_seeds_depend_on_the_base_and_the_job_alone() -> None:
    def drawn(count: int, base: int, **others: Mapping[str, Any]) -> list[int | None]:
        jobs = expanded({**others, "a": {"seeds": count}}, seed_base=base)
        return [job.seed for job in jobs.values() if job.name == "a"]

    assert drawn(5, 1) == drawn(5, 1, b={"seeds": 3})
    assert drawn(9, 1)[:5] == drawn(5, 1)  # a larger count appends seeds
    assert drawn(5, 1) != drawn(5, 2)
    two = expanded({"a": {"seeds": 5, "matrix": {"n": [1, 2]}}})
    assert len({job.seed for job in two.values()}) == 10


@given(st.integers(0, 2**64), st.text(max_size=5), st.integers(1, 50))
def test_drawn_seeds_are_different_and_fit_every_simulator(base: int, key: str, count: int) -> None:
    seeds = draw_seeds(base, key, count)
    assert len(set(seeds)) == count
    assert all(1 <= seed < 2**31 for seed in seeds)


def test_drawn_seeds_never_change() -> None:
    """The seed base in an old report must always give the same seeds."""
    assert draw_seeds(1, "smoke", 3) == GOLDEN


GOLDEN = [1922874184, 1684801525, 1905855356]


def test_reseed_and_fixed_seed_change_only_jobs_that_have_seeds() -> None:
    tables = {"a": {"seeds": "1..9"}, "b": {"seeds": 4}, "c": {}}
    assert len([job for job in expanded(tables, reseed=3).values() if job.seed is not None]) == 6
    assert list(expanded(tables, fixed_seed=77)) == ["a.seed=77", "b.seed=77", "c"]


def test_placeholders_are_replaced_in_every_text() -> None:
    job = expanded(
        {
            "a": {
                "cmd": [
                    "{file_dir}/sim",
                    "{seed}",
                    "{depth}",
                    "{id}",
                    "{name}",
                    "{run_dir}",
                    "{odir}",
                    "${seed}",
                    "{what}",
                ],
                "matrix": {"depth": [4]},
                "seeds": [7],
                "odir": "{run_dir}/x/{depth}",
                "log_path": "{seed}.log",
                "cwd": "{name}",
                "exports": {"SEED": "{seed}"},
                "tags": ["d{depth}"],
                "pass_patterns": ["^seed={seed}$", "a{2}"],
                "fail_patterns": ["{name}"],
                "runtime_pattern": "{name} (?P<value>.) (?P<unit>.)",
                "simulated_time_pattern": "{seed} (?P<value>.) (?P<unit>.)",
            }
        }
    )["a.depth=4.seed=7"]
    assert job.cmd == (
        "/files/sim",
        "7",
        "4",
        "a.depth=4.seed=7",
        "a",
        "/out/run",
        "/out/run/x/4",
        "${seed}",
        "{what}",
    )
    assert (job.odir, job.log_path, job.cwd) == ("/out/run/x/4", "/out/run/x/4/7.log", "/files/a")
    assert (job.exports, job.tags) == ({"SEED": "7"}, ("d4",))
    assert (job.pass_patterns, job.fail_patterns) == (("^seed=7$", "a{2}"), ("a",))
    assert job.runtime_pattern == "a (?P<value>.) (?P<unit>.)"
    assert job.simulated_time_pattern == "7 (?P<value>.) (?P<unit>.)"


def test_a_missing_key_has_the_default_of_a_specification() -> None:
    job, plain = expanded({"a": {}})["a"], JobSpec(name="a", cmd="x", cwd="/files")
    assert attrs.asdict(job) == attrs.asdict(plain)
    assert (job_paths(job, str(RUN_DIR)).odir, job_paths(job, str(RUN_DIR)).log) == ("/out/run/a", "/out/run/a/job.log")


def test_values_go_into_patterns_as_text() -> None:
    job = expanded({"a": {"matrix": {"v": ["a.b+"]}, "pass_patterns": ["^{v}$"]}})["a.v=a.b+"]
    assert job.pass_patterns == (r"^a\.b\+$",)


def test_variables_are_replaced_in_every_text() -> None:
    table = {
        "cmd": ["{var.sim}", "{env.HOME}", "{seed}", "${env.HOME}"],
        "seeds": [7],
        "needs": ["{var.need}"],
        "odir": "{env.HOME}/{var.sim}",
        "log_path": "{var.sim}.log",
        "cwd": "{env.HOME}/x",
        "exports": {"PATH": "/tools:{env.PATH}", "A": "{var.braces}"},
        "tags": ["{var.sim}"],
        "pass_patterns": ["^{var.dots}$"],
        "fail_patterns": ["{var.dots}"],
        "runtime_pattern": "{var.sim} (?P<value>.) (?P<unit>.)",
        "simulated_time_pattern": "{var.sim} (?P<value>.) (?P<unit>.)",
    }
    definitions = {"sim": "vcs", "need": "build", "dots": "a.b", "braces": "{seed}{var.sim}"}
    variables = Variables(definitions, {"HOME": "/home/me", "PATH": "/bin"})
    job = expanded({"build": {}, "a": table}, variables)["a.seed=7"]
    assert job.cmd == ("vcs", "/home/me", "7", "${env.HOME}")
    assert job.dependencies == ("build",)
    assert (job.odir, job.log_path, job.cwd) == ("/home/me/vcs", "/home/me/vcs/vcs.log", "/home/me/x")
    assert job.exports == {"PATH": "/tools:/bin", "A": "{seed}{var.sim}"}
    assert (job.tags, job.pass_patterns, job.fail_patterns) == (("vcs",), (r"^a\.b$",), (r"a\.b",))
    assert job.runtime_pattern == job.simulated_time_pattern == "vcs (?P<value>.) (?P<unit>.)"
    assert job.secret_cmd


def test_a_command_is_secret_if_a_value_in_it_comes_from_outside() -> None:
    variables = Variables({"a": "x"}, {})
    variables.add_defaults({"var.b": "x"}, Place("f"), "/files")
    jobs = expanded({"a": {"cmd": "{var.a}"}, "b": {"cmd": "{var.b}"}, "c": {"exports": {"A": "{var.a}"}}}, variables)
    assert {job.id: job.secret_cmd for job in jobs.values()} == {"a": True, "b": False, "c": False}


def test_what_is_wrong_with_variables_is_one_message_before_the_first_job_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "JobSpec", never)
    message = wrong({"a": {}, "b": {"tags": ["{var.x}"]}})
    assert (
        message == "f: [jobs.b]: tags has {var.x}, which has no value; expected -D x=VALUE, or a default under [vars]"
    )
    assert (
        wrong({"a": {}}, variables=Variables({"x": "1"}))
        == "-D x: nothing in the job files has {var.x}; they have no variables"
    )


def test_what_stays_as_it_is_in_a_default_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    variables = Variables()
    variables.add_defaults({"var.a": "{file_dir}/{seed}"}, Place("f"), "/files")
    assert expanded({"a": {"cmd": ["{var.a}"]}}, variables)["a"].cmd == ("/files/{seed}",)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["f: [vars]: a has {seed}, which stays as it is; expected it beside the variable, in a job"]


@pytest.mark.parametrize("key", ["odir", "log_path", "cwd"])
def test_a_path_that_becomes_empty_is_an_error(key: str) -> None:
    message = wrong({"a": {key: "{var.a}"}}, variables=Variables({"a": ""}))
    assert message == f'f: [jobs.a]: {key} is "{{var.a}}", which is empty here; expected a path'


def test_no_message_has_a_value_from_outside() -> None:
    """Not even if it makes no specification: a NUL beside it, quotes that it needs."""
    for cmd in ("\0{var.a}", ["x", "\0{var.a}"], "echo `{var.a}`", "echo \\{var.a}"):
        message = wrong({"a": {"cmd": cmd}}, variables=Variables({"a": "hush hush"}))
        assert message.startswith("f: [jobs.a]: ")
        assert "hush" not in message
    assert "hush" not in wrong({"a": {"exports": {"A": "\0{var.a}"}}}, variables=Variables({"a": "hush"}))


def test_relative_paths_begin_in_the_directory_that_the_docs_name() -> None:
    job = expanded({"a": {"cwd": "../sim", "odir": "mine", "log_path": "x/sim.log"}})["a"]
    assert (job.cwd, job.odir, job.log_path) == ("/sim", "/out/run/mine", "/out/run/mine/x/sim.log")


def test_a_need_is_all_jobs_of_a_table_or_one_job() -> None:
    jobs = expanded(
        {
            "build": {"matrix": {"depth": [4, 8]}},
            "sim": {"matrix": {"depth": [4, 8]}, "seeds": [1, 2], "needs": ["build.depth={depth}"]},
            "merge": {"needs": ["sim", "build.depth=4"]},
        }
    )
    assert jobs["sim.depth=8.seed=1"].dependencies == ("build.depth=8",)
    assert jobs["merge"].dependencies == (
        "sim.depth=4.seed=1",
        "sim.depth=4.seed=2",
        "sim.depth=8.seed=1",
        "sim.depth=8.seed=2",
        "build.depth=4",
    )


def test_a_need_that_is_no_job_is_named_with_the_most_similar_one() -> None:
    assert wrong({"build": {}, "a": {"needs": ["biuld"]}}) == (
        'f: [jobs.a]: needs "biuld", which is no job; did you mean "build"?'
    )
    assert "which is no job; there are: a" in wrong({"a": {"needs": ["zzzzz"]}})


def test_the_options_of_a_run_reach_the_jobs() -> None:
    jobs = expanded({"a": {"timeout": "10s"}, "b": {"queue_timeout": 4}}, timeout_multiplier=1.5)
    assert (jobs["a"].timeout, jobs["b"].timeout, jobs["b"].queue_timeout) == (15, None, 4)


@pytest.mark.parametrize(
    "table",
    [
        {"seeds": 10**9},
        {"seeds": "1..1000000000"},
        {"seeds": "0..18446744073709551615"},
        {"matrix": {name: list(range(100)) for name in "abcdef"}},
        {"matrix": {"a": list(range(1000))}, "seeds": 10_000},
    ],
)
def test_too_many_jobs_are_refused_before_the_first_is_made(
    table: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "Cells", never)
    message = wrong({"first": {}, "a": table})
    assert message.startswith("f: [jobs.a]: stands for ")
    assert message.endswith(" jobs; expected at most 1000000 in a run")


def test_too_many_jobs_of_several_tables_are_refused() -> None:
    assert "[jobs.b]: stands for 600000" in wrong({"a": {"seeds": 600_000}, "b": {"seeds": 600_000}})


def test_too_many_dependencies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EDGES", 100)
    assert "more than 100 dependencies" in wrong({"a": {"seeds": 20}, "b": {"seeds": 20, "needs": ["a"] * 6}})


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"a.n=1": {}, "a": {"matrix": {"n": [1]}}}, 'f: [jobs.a]: makes the job "a.n=1", and so does f: [jobs.a.n=1]'),
        ({"a": {"matrix": {"n": [1, "1"]}}}, "f: [jobs.a]: matrix has a value twice"),
        ({"passed": {}}, 'f: [jobs.passed]: a job cannot be called "passed"'),
        ({"results.json": {}}, "f: [jobs.results.json]: a job cannot be called"),
        (
            {"a": {"pass_patterns": ["("]}},
            "f: [jobs.a]: job 'a': pass_patterns: pattern '(' is not a regular expression",
        ),
        ({"a": {"runtime_pattern": "x"}}, "f: [jobs.a]: job 'a': runtime_pattern: pattern 'x' has no group value"),
        ({"a": {"seeds": 2, "odir": "o"}}, 'f: [jobs.a]: the log of job "a.seed='),
        (
            {"a": {"odir": "b"}, "b": {}},
            'f: [jobs.b]: the log of job "b" is that of job "a", /out/run/b/job.log; expected',
        ),
        ({"a": {"cmd": " "}}, "f: [jobs.a]: job 'a': cmd is ' '; expected"),
        ({"a": {"cmd": "x\0"}}, "f: [jobs.a]: job 'a': cmd is"),
        ({"a": {"exports": {"A=B": "1"}}}, "f: [jobs.a]: job 'a': exports is 'A=B'"),
        ({"a": {"odir": "x\0y"}}, "f: [jobs.a]: job 'a': odir is"),
        ({"a": {"matrix": {"v": ["; rm"]}, "cmd": "echo `{v}`"}}, "f: [jobs.a]: {v} is '; rm' here"),
    ],
)
def test_what_cannot_be_a_job_is_one_message(tables: Mapping[str, Any], complaint: str) -> None:
    assert wrong(tables).startswith(complaint)


def test_jobs_that_share_a_directory_have_logs_of_their_own() -> None:
    jobs = expanded({"a": {"seeds": [1, 2], "odir": "o", "log_path": "{id}.log"}})
    assert [job.log_path for job in jobs.values()] == ["/out/run/o/a.seed@1.log", "/out/run/o/a.seed@2.log"]


@pytest.mark.parametrize(
    ("table", "warned"),
    [
        ({"cmd": "./sim +seed={seed}"}, True),
        ({"cmd": ["./sim", "+seed={seed}"]}, True),
        ({"cmd": "./sim +seed=${seed}"}, False),
        ({"cmd": "./sim +seed={seed}", "seeds": 1}, False),
    ],
)
def test_a_command_with_seed_in_a_job_without_seeds_is_warned_about(
    caplog: pytest.LogCaptureFixture, table: Mapping[str, Any], warned: bool
) -> None:
    expanded({"a": table})
    expected = ["f: [jobs.a]: cmd has {seed}, which stays as it is, as the job has no seeds"]
    assert [record.getMessage() for record in caplog.records] == (expected if warned else [])


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=10))
def test_no_name_leads_out_of_the_runs_directory(name: str, value: str) -> None:
    tables = {
        name: {
            "matrix": {"v": [value]},
            "odir": "{run_dir}/{name}/{v}/{id}",
            "log_path": "{name}/{v}.log",
            "cwd": "/base/{name}/{v}",
            "cmd": ["true"],
        }
    }
    (job,) = expanded(tables).values()
    assert job.odir is not None
    assert job.log_path is not None
    assert job.cwd is not None
    assert len(Path(job.odir).relative_to(RUN_DIR).parts) == 3
    assert len(Path(job.log_path).relative_to(job.odir).parts) == 2
    assert len(Path(job.cwd).relative_to("/base").parts) == 2
    tables[name].pop("odir")
    tables[name].pop("log_path")
    (job,) = expanded(tables).values()
    assert Path(job_paths(job, str(RUN_DIR)).odir).parent == RUN_DIR


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"retry": 2}, Retry(2)),
        ({"retry": {"licence": 5, "lost": 1}}, Retry({"licence": 5, "lost": 1})),
        ({"retry": 1, "retry_delay": "2m", "flaky": "fail"}, Retry(1, delay=120, flaky="fail")),
        ({"retry": 1, "retry_delay": 0}, Retry(1, delay=0)),
        ({"retry": 0, "flaky": "fail"}, None),
        ({"retry_delay": "1s"}, None),
    ],
)
def test_how_often_a_job_is_tried(table: dict[str, Any], expected: Retry | None) -> None:
    assert expanded({"a": table})["a"].retry == expected


def test_a_job_of_a_matrix_costs_few_calls_and_little_memory() -> None:
    def of(parameters: int) -> Regression:
        cmd = "sim +seed={seed} {p0} {odir}"
        return regression({"a": {"cmd": cmd, "matrix": {f"p{n}": [0, 1] for n in range(parameters)}, "seeds": "1..2"}})

    small, large = of(4), of(8)
    jobs = 2 * (2**8 - 2**4)
    expansion = Expansion(run_dir=RUN_DIR, seed_base=1)
    calls = calls_of(lambda: expand(large, expansion)) - calls_of(lambda: expand(small, expansion))
    assert calls <= 45 * jobs

    def peak(regression: Regression) -> int:
        tracemalloc.start()
        try:
            expand(regression, expansion)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(large) - peak(small) <= 1000 * jobs
