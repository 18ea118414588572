from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.regression import RecordedFiles, Regression, load, load_recorded
from runtime.jobfile.variables import Variables
from tests.jobfile.without_lines import without_lines


def files(directory: Path, **contents: str) -> Path:
    """Write files named ``a_toml`` for ``a.toml``; return the path of the first."""
    paths = []
    for name, content in contents.items():
        path = directory / name.replace("_", "/", name.count("_") - 1).replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        paths.append(path)
    return paths[0]


def wrong(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(str(path))
    return without_lines(str(caught.value))


def names(regression: Regression) -> list[str]:
    return [entry.name for entry in regression.entries]


def test_a_jobs_run_if_replaces_both_names_of_it_in_the_defaults(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            defaults.needs_all_dependencies_passing = false
            [jobs.a]
            cmd = "x"
            [jobs.b]
            cmd = "x"
            run_if = "ended"
            """,
    )
    tables = [entry.table for entry in load(str(main)).entries]
    found = [(table.run_if, table.needs_all_dependencies_passing) for table in tables]
    assert found == [(None, False), ("ended", None)]
    both = files(tmp_path, both_toml="defaults = { run_if = 'ended', needs_all_dependencies_passing = true }")
    assert wrong(both).startswith(
        f"{both}: [defaults]: has both run_if and needs_all_dependencies_passing; expected run_if"
    )


def test_a_jobs_own_keys_replace_the_defaults_of_its_file(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            [defaults]
            timeout = "10m"
            tags = ["x", "y"]
            exports = { A = "1" }
            [jobs.a]
            cmd = "true"
            [jobs.b]
            cmd = "true"
            timeout = 5
            tags = ["z"]
            exports = { B = "2" }
        """,
    )
    a, b = (entry.table for entry in load(str(main)).entries)
    assert (a.timeout, a.tags, a.exports) == (600, ("x", "y"), {"A": "1"})
    assert (b.timeout, b.tags, b.exports) == (5, ("z",), {"B": "2"})  # replaced, not merged


def test_the_name_of_a_file_is_its_key_or_its_stem(tmp_path: Path) -> None:
    first = files(tmp_path, fifo_toml="[jobs.a]\ncmd = 'x'", other_json='{"name": "own", "jobs": {"a": {"cmd": "x"}}}')
    assert load(str(first)).name == "fifo"
    assert load(str(tmp_path / "other.json")).name == "own"


def test_includes_are_followed_with_their_own_directories_and_defaults(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            include = ["more/*.toml"]
            [defaults]
            weight = 2
            [resources]
            licence = 4
            [jobs.a]
            cmd = "x"
        """,
        more_c_toml="[backends.local]\nmax_parallelism = 3\n[jobs.c]\ncmd = 'x'",
        more_b_toml="include = ['deep/d.json']\n[resources]\nlicence = 4\ndisk = 'unlimited'\n[jobs.b]\ncmd = 'x'",
        more_deep_d_json='{"jobs": {"d": {"cmd": "x"}}}',
    )
    regression = load(str(main))
    assert names(regression) == ["a", "b", "d", "c"]
    assert [entry.table.weight for entry in regression.entries] == [2, None, None, None]
    assert [entry.directory for entry in regression.entries] == [
        tmp_path,
        tmp_path / "more",
        tmp_path / "more/deep",
        tmp_path / "more",
    ]
    assert regression.resources == {"licence": 4, "disk": None}
    assert regression.backends["local"][0] == {"max_parallelism": 3}


def test_the_variables_of_all_files_belong_to_the_run(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            include = ["other.toml"]
            [vars]
            width = 8
            is_fast = true
            env.TOOLS = "/tools"
            [jobs.a]
            cmd = "x"
        """,
        other_toml="vars = { width = '8', ratio = 0.5 }\n[jobs.b]\ncmd = 'x'",
    )
    variables = load(str(main), variables=Variables({"width": "9"}, {"A": "1"})).variables
    found = {name: variables.value(name, Place("")).text for name in sorted(variables.names())}
    assert found == {"env.TOOLS": "/tools", "var.is_fast": "true", "var.ratio": "0.5", "var.width": "9"}
    assert variables.value("env.A", Place("")).text == "1"
    assert variables.given() == [("env.A", "1"), ("var.width", "9")]


def test_a_list_may_be_named_by_a_variable_of_a_file_that_comes_later(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            include = ["more/other.toml"]
            defaults.matrix = { test = { file = "{var.suite}.txt" }, n = [1] }
            [jobs.a]
            cmd = "x"
            [jobs.b]
            cmd = "x"
            matrix = {}
        """,
        more_other_toml="vars.suite = 'nightly'\n[jobs.c]\ncmd = 'x'\nmatrix = { test = { glob = '*.txt' } }",
        nightly_txt="one\ntwo\n",
        more_list_txt="",
    )
    regression = load(str(main))
    assert {entry.name: entry.matrix for entry in regression.entries} == {
        "a": {"test": ("one", "two"), "n": (1,)},
        "b": {},
        "c": {"test": ("list.txt",)},
    }
    (tmp_path / "nightly.txt").unlink()
    assert wrong(main) == (
        f"{main}: [jobs.a]: matrix.test.file: {tmp_path}/nightly.txt: cannot be read: No such file or directory"
    )


def test_the_options_of_backends_may_have_variables(tmp_path: Path) -> None:
    content = "[vars]\nqueue = 'long'\n[backends.slurm]\npartition = '{var.queue}'\n[jobs.a]\ncmd = 'x'"
    main = files(tmp_path, main_toml=content)
    assert load(str(main)).backends["slurm"][0] == {"partition": "long"}
    assert load(str(main), variables=Variables({"queue": "short"})).backends["slurm"][0] == {"partition": "short"}
    main.write_text(content.replace("var.queue", "var.qeue"))
    assert wrong(main).startswith(
        f"{main}: [backends.slurm]: partition has {{var.qeue}}, which has no value; did you mean "
    )


def test_without_others_the_variables_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUST_A_TEST", "1")
    regression = load(str(files(tmp_path, a_toml="[jobs.a]\ncmd = 'x'")))
    assert regression.variables.value("env.JUST_A_TEST", Place("")).text == "1"


def test_a_file_that_two_files_include_is_read_once(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="include = ['a.toml', 'b.toml', '[ab].toml']",
        a_toml="include = ['c.toml']",
        b_toml="include = ['./c.toml']",
        c_toml="[jobs.c]\ncmd = 'x'",
    )
    assert names(load(str(main))) == ["c"]


def test_files_that_include_each_other_are_an_error_with_the_path(tmp_path: Path) -> None:
    main = files(tmp_path, a_toml="include = ['b.toml']", b_toml="include = ['c.toml']", c_toml="include = ['b.toml']")
    b, c = tmp_path / "b.toml", tmp_path / "c.toml"
    assert wrong(main) == f'{c}: include "b.toml" closes a cycle of files: {main} -> {b} -> {c} -> {b}'
    itself = files(tmp_path, self_toml="include = ['*.toml']")
    assert "closes a cycle" in wrong(itself)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("missing.toml", "matches no file"),
        ("nothing/*.toml", "matches no file"),
        ("/etc/*.toml", "expected a path relative to the file"),
        ("a\\u0000b", "include"),
        ("", "names no file"),
        ("./", "names no file"),
        ("..", "is a directory"),
        ("a**b/*", "include"),
        ("sub", "is a directory"),
    ],
)
def test_a_bad_include_is_named(tmp_path: Path, pattern: str, complaint: str) -> None:
    (tmp_path / "sub").mkdir()
    main = files(tmp_path, main_toml=f'include = ["{pattern}"]')
    message = wrong(main)
    assert message.startswith(str(tmp_path))
    assert complaint in message


def test_what_is_wrong_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    main = files(tmp_path, main_toml="include = ['b.toml']", b_toml="[jobs.x]\ncmd = 1")
    assert wrong(main).startswith(f"{tmp_path / 'b.toml'}: [jobs.x]: cmd is 1")


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ("[jobs.a]\ncmd = 'y'", "other.toml: [jobs.a]: the job is defined twice; first in "),
        ("[resources]\nlicence = 5", "other.toml: [resources] licence has another limit than in "),
        ("[backends.local]\nmax_parallelism = 2", "other.toml: [backends.local]: has other options than "),
        ("[vars]\nwidth = 9", "other.toml: [vars]: width has another default than in "),
    ],
)
def test_files_that_contradict_each_other_are_an_error(tmp_path: Path, other: str, complaint: str) -> None:
    main = files(
        tmp_path,
        main_toml="""
            include = ["other.toml"]
            [resources]
            licence = 4
            [backends.local]
            max_parallelism = 1
            [vars]
            width = 8
            [jobs.a]
            cmd = "x"
        """,
        other_toml=other,
    )
    assert wrong(main).startswith(f"{tmp_path}/{complaint}")
    assert "main.toml" in wrong(main)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "has no jobs; expected a table [jobs.NAME]"),
        ("[jobs.a]\ntimeout = 3", "[jobs.a]: has no cmd"),
        ("[defaults]\ntimeot = 3\n[jobs.a]\ncmd = 'x'", '[defaults]: unknown key "timeot"; did you mean "timeout"?'),
        ("[jobs.'']\ncmd = 'x'", '[jobs.""]: the name is empty; expected a name'),
        (
            "[jobs.smoke.fast]\ncmd = 'x'",
            '[jobs.smoke]: unknown key "fast"; for a name with a dot, write [jobs."smoke.fast"]',
        ),
        ("[jobs.'a b']\ncmd = 1", '[jobs."a b"]: cmd is 1'),
        ("vars = 1", "vars is 1; expected a table of names and values"),
        ("[vars]\na-b = 1", "vars.a-b is 1; expected a name of letters, digits and _, which does not begin with a"),
        ("[vars]\n1 = 1", "vars.1 is 1; expected a name of letters"),
        ("[vars]\n'' = 1", 'vars."" is 1; expected a name of letters'),
        ("[vars]\na = [1]", "vars.a is [1]; expected text, a number, or true or false"),
        ("[vars]\na.b = 1", "vars.a is a table; expected text, a number, or true or false"),
        ("[vars]\nenv = 'x'", 'vars.env is "x"; expected a table'),
        ("[vars.env]\n'a b' = 1", 'vars.env."a b" is 1; expected a name of letters'),
        ("[vars.env]\nA = 1979-05-27", "vars.env.A is 1979-05-27; expected text, a number"),
        ("[variables]\na = 1", 'unknown key "variables"; did you mean "vars"?'),
        ("[jobs.a]\ncmd = 'x'\nvars = {}", '[jobs.a]: unknown key "vars"'),
        ("jbos = 1", 'unknown key "jbos"; did you mean "jobs"?'),
    ],
)
def test_what_is_wrong_with_a_file_is_one_message(tmp_path: Path, content: str, complaint: str) -> None:
    main = files(tmp_path, main_toml=content)
    assert wrong(main).startswith(f"{main}: {complaint}")


def test_json_lines_are_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [{"name": "a", "cmd": "x"}, {"name": "b c", "cmd": ["x"], "needs": ["a"], "seeds": [1]}]
    regression = load("-", io.BytesIO("\n".join(map(json.dumps, lines)).encode()))
    assert names(regression) == ["a", "b c"]
    assert regression.name == "standard input"
    assert regression.entries[1].directory == tmp_path
    assert regression.entries[1].table.seeds == (1,)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (b"", "standard input: has no jobs"),
        (b'{"cmd": "x"}', "<stdin>:1: name is missing; expected the job's name"),
        (b'{"name": "", "cmd": "x"}', '<stdin>:1: name is ""'),
        (
            b'{"name": "a", "cmd": "x"}\n{"name": "a", "cmd": "x"}',
            "<stdin>:2: job a: the job is defined twice; first in <stdin>:1",
        ),
        (b'\n{"name": "a", "cmd": 1}', "<stdin>:2: job a: cmd is 1"),
        (b'{"name": "a"}', "<stdin>:1: job a: has no cmd"),
    ],
)
def test_a_bad_line_is_one_message(lines: bytes, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        load("-", io.BytesIO(lines))
    assert str(caught.value).startswith(complaint)


def test_without_a_standard_input_there_are_no_jobs() -> None:
    with pytest.raises(InputError, match="has no jobs"):
        load("-", None)


def test_what_was_recorded_says_the_same_when_the_files_are_gone(tmp_path: Path) -> None:
    main = files(
        tmp_path,
        main_toml="""
            include = ["sub/*"]
            [vars]
            x = "1"
            [defaults]
            timeout = 3
            [backends.local]
            max_parallelism = 3
            [jobs.a]
            cmd = "{var.x} {var.y} {env.Z}"
            matrix = { n = { file = "list.txt" } }
            """,
        sub_b_json='{"vars": {"y": "{file_dir}/y"}, "resources": {"r": 2}, "jobs": {"b": {"cmd": "x"}}}',
        list_txt="one\ntwo\n",
    )
    given = {"environment": {"Z": "z"}, "definitions": {"x": "2"}}
    first = load(str(main), variables=Variables(**given))
    for path in sorted(tmp_path.rglob("*.*")):
        path.unlink()
    again = load_recorded(first.recorded, Variables(**given))
    assert (again.name, again.resources, again.recorded) == (first.name, first.resources, first.recorded)
    assert [(each.name, each.table, each.directory, each.matrix) for each in again.entries] == [
        (each.name, each.table, each.directory, each.matrix) for each in first.entries
    ]
    assert again.backends["local"][0] == {"max_parallelism": 3}
    assert again.variables.value("var.y", Place("")).text == f"{tmp_path}/sub/y"


def test_recorded_json_lines_are_of_the_directory_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = load("-", io.BytesIO(b'\n{"name": "a", "cmd": "x"}\n{"name": "b", "cmd": "y"}\n'))
    monkeypatch.chdir("/")
    again = load_recorded(first.recorded, Variables())
    assert [(each.name, each.table, each.directory) for each in again.entries] == [
        (each.name, each.table, tmp_path.resolve()) for each in first.entries
    ]


@pytest.mark.parametrize("texts", [{}, {"/a.toml": ""}, {"/a.toml": "[jobs"}, {"/a.json": "3"}, {"-": "\ud800"}])
def test_what_was_not_recorded_so_is_one_message(texts: dict[str, str]) -> None:
    with pytest.raises(InputError):
        load_recorded(RecordedFiles(texts=texts), Variables())


def test_a_mistake_in_what_was_recorded_does_not_cost_its_job_alone() -> None:
    texts = {"/a.toml": '[jobs.a]\ncmd = "x"\n[jobs.b]\ncmd = "y"\nsceds = 3\n'}
    with pytest.raises(InputError, match=r"^/a\.toml:5: .*sceds"):
        load_recorded(RecordedFiles(texts=texts), Variables())
