from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobfile import variables as module
from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.variables import MAX_CHAIN, MAX_VALUE, Value, Variables


def variables(
    defaults: Mapping[str, str] | None = None,
    definitions: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Variables:
    made = Variables(definitions, environment)
    made.add_defaults(defaults or {}, Place("f.toml"), "/files")
    return made


def wrong(name: str, made: Variables) -> str:
    with pytest.raises(InputError) as caught:
        made.value(name, Place("f.toml: [jobs.a]: cmd"))
    return str(caught.value)


def test_a_value_is_that_of_the_command_line_or_of_the_environment_else_the_default() -> None:
    defaults = {"var.a": "file", "var.b": "file", "env.A": "file", "env.B": "file"}
    made = variables(defaults, {"a": "line"}, {"A": "environment", "a": "another"})
    found = {name: made.value(name, Place("")) for name in defaults}
    assert found == {
        "var.a": Value("line", is_secret=True),
        "var.b": Value("file", is_secret=False),
        "env.A": Value("environment", is_secret=True),
        "env.B": Value("file", is_secret=False),
    }


def test_a_value_that_is_set_to_nothing_is_set() -> None:
    made = variables({"var.a": "x", "env.A": "x"}, {"a": ""}, {"A": ""})
    assert made.value("var.a", Place("")).text == made.value("env.A", Place("")).text == ""


def test_a_default_may_contain_other_variables_and_is_secret_if_they_are() -> None:
    defaults = {"var.all": "{var.tools}:{env.PATH}", "var.tools": "{var.root}/bin", "var.root": "/tools"}
    made = variables(defaults, environment={"PATH": "/bin"})
    assert made.value("var.all", Place("")) == Value("/tools/bin:/bin", is_secret=True)
    assert made.value("var.tools", Place("")) == Value("/tools/bin", is_secret=False)


def test_a_value_is_not_searched_for_variables() -> None:
    made = variables({"var.b": "{var.a}", "var.c": "{env.A}"}, {"a": "{var.b}"}, {"A": "{env.A}"})
    found = [made.value(name, Place("")).text for name in ("var.a", "var.b", "var.c")]
    assert found == ["{var.b}", "{var.b}", "{env.A}"]
    made = variables({"var.c": "{var.a}{var.b}"}, {"a": "{var.b}", "b": "x"})
    assert made.value("var.c", Place("")).text == "{var.b}x"


def test_the_text_of_a_placeholder_can_be_written_in_two_pieces() -> None:
    made = variables({"var.open": "{", "var.text": "{var.open}env.PATH}"}, environment={"PATH": "/bin"})
    assert made.value("var.text", Place("")).text == "{env.PATH}"


def test_the_directory_of_its_file_is_the_only_other_placeholder_of_a_default() -> None:
    made = variables({"var.a": "{file_dir}/{run_dir}"}, {"b": "{file_dir}"})
    assert made.value("var.a", Place("")) == Value("/files/{run_dir}", is_secret=False)
    assert made.value("var.b", Place("")).text == "{file_dir}"


def test_a_default_that_nothing_needs_is_not_evaluated() -> None:
    defaults = {"var.a": "{env.MISSING}", "var.b": "{var.b}", "var.c": "{var.a}"}
    assert variables(defaults, {"c": "1"}).value("var.c", Place("")).text == "1"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("var.widht", "has {var.widht}, which has no value; did you mean {var.width}?"),
        ("var.WIDTH", "has {var.WIDTH}, which has no value; did you mean {var.width}?"),
        ("var.dep", "has {var.dep}, which has no value; did you mean {var.depth}?"),
        ("var.zz", "has {var.zz}, which has no value; expected -D zz=VALUE, or a default under [vars]"),
        ("env.PTAH", "has {env.PTAH}, which is not set in the environment; did you mean {env.PATH}?"),
        ("env.path", "has {env.path}, which is not set in the environment; did you mean {env.PATH}?"),
        ("env.TOLS", "has {env.TOLS}, which is not set in the environment; did you mean {env.TOOLS}?"),
        (
            "env.ZZ",
            "has {env.ZZ}, which is not set in the environment; expected it there, or a default under [vars.env]",
        ),
        ("var.a-b", "has {var.a-b}; expected a name of letters, digits and _ behind var."),
        ("var.", "has {var.}; expected a name of letters, digits and _ behind var."),
        ("var.1", "has {var.1}; expected a name of letters, digits and _ behind var."),
        ("env.a.b", "has {env.a.b}; expected a name of letters, digits and _ behind env."),
        ("var." + "x" * 10**6, "has {var.xxx"),
    ],
)
def test_a_variable_without_a_value_is_named_with_the_most_similar_one(name: str, complaint: str) -> None:
    defaults = {"var.width": "8", "env.TOOLS": "/tools"}
    message = wrong(name, variables(defaults, {"depth": "4"}, {"PATH": "/bin", "a.b": "hush"}))
    assert message.startswith(f"f.toml: [jobs.a]: cmd {complaint}")
    assert "hush" not in message


def test_a_variable_without_a_value_in_a_default_is_found_there() -> None:
    made = variables({"var.a": "{var.b}", "var.b": "{env.MISSING}", "env.C": "{var.d}"})
    assert wrong("var.a", made).startswith("f.toml: [vars]: b has {env.MISSING}, which is not set")
    assert wrong("env.C", made).startswith("f.toml: [vars.env]: C has {var.d}, which has no value")


def test_a_default_that_contains_itself_is_an_error_with_the_path() -> None:
    made = variables({"var.a": "{var.b}", "var.b": "x{env.C}", "env.C": "{var.b}", "env.D": "{env.D}"})
    assert wrong("var.a", made) == "f.toml: [vars]: b contains itself: {var.b} -> {env.C} -> {var.b}"
    assert wrong("env.D", made) == "f.toml: [vars.env]: D contains itself: {env.D} -> {env.D}"


def test_a_variable_of_the_environment_may_be_extended_under_its_own_name() -> None:
    made = variables({"var.PATH": "/tools:{env.PATH}"}, environment={"PATH": "/bin"})
    assert made.value("var.PATH", Place("")).text == "/tools:/bin"


def test_a_long_chain_of_defaults_is_an_error() -> None:
    def chain(length: int) -> Variables:
        links = {f"var.v{number}": f"{{var.v{number + 1}}}" for number in range(length - 1)}
        return variables({**links, f"var.v{length - 1}": "end"})

    assert chain(MAX_CHAIN).value("var.v0", Place("")).text == "end"
    place = f"f.toml: [vars]: v{MAX_CHAIN}"
    assert (
        wrong("var.v0", chain(100_000))
        == f"{place} is the last of more than {MAX_CHAIN} defaults that contain each other"
    )


def test_defaults_that_multiply_end_at_the_longest_value() -> None:
    names = [f"var.v{number}" for number in range(40)]
    bomb = {name: f"{{{before}}}" * 10 for before, name in itertools.pairwise(names)}
    message = wrong(names[-1], variables({names[0]: "0123456789", **bomb}))
    assert message == "f.toml: [vars]: v5 has 1000000 characters; expected at most 131072, as a program gets no more"


@pytest.mark.parametrize("source", ["default", "definition", "environment"])
def test_a_value_that_is_longer_than_a_program_gets_is_an_error(source: str) -> None:
    name = "env.A" if source == "environment" else "var.A"
    for length in (MAX_VALUE, MAX_VALUE + 1):
        text = "x" * length
        made = {
            "default": variables({name: text}),
            "definition": variables(definitions={"A": text}),
            "environment": variables(environment={"A": text}),
        }[source]
        if length <= MAX_VALUE:
            assert made.value(name, Place("")).text == text
        else:
            place = "[vars]: A" if source == "default" else f"[jobs.a]: cmd has {{{name}}}, whose value"
            expected = "has 131073 characters; expected at most 131072, as a program gets no more"
            assert wrong(name, made) == f"f.toml: {place} {expected}"


def test_two_files_may_have_one_default_but_not_two() -> None:
    made = variables({"var.a": "1", "env.B": "1"})
    made.add_defaults({"var.a": "1"}, Place("g.toml"), "/files")
    with pytest.raises(InputError) as caught:
        made.add_defaults({"var.a": "2"}, Place("h.toml"), "/files")
    assert str(caught.value) == "h.toml: [vars]: a has another default than in f.toml: [vars]"
    with pytest.raises(InputError, match=r"another default"):
        variables({"var.a": "{file_dir}"}).add_defaults({"var.a": "{file_dir}"}, Place("more/f.toml"), "/files/more")
    with pytest.raises(
        InputError, match=re.escape("h.toml: [vars.env]: B has another default than in f.toml: [vars.env]")
    ):
        made.add_defaults({"env.B": "2"}, Place("h.toml"), "/files")


@pytest.mark.parametrize(
    ("defaults", "asked", "complaint"),
    [
        (
            {"var.width": "8"},
            ["var.width"],
            '-D widht: nothing in the job files has {var.widht}; did you mean "width"?',
        ),
        ({"var.x": "8"}, [], "-D widht: nothing in the job files has {var.widht}; they have: x"),
        ({}, ["env.PATH"], "-D widht: nothing in the job files has {var.widht}; they have no variables"),
        (
            {"var.widht": "8"},
            [],
            "-D widht: nothing in the job files has {var.widht}, although f.toml: [vars] has a default for it",
        ),
    ],
)
def test_a_value_of_the_command_line_that_no_job_has_is_an_error(
    defaults: Mapping[str, str], asked: list[str], complaint: str
) -> None:
    made = variables(defaults, {"widht": "hush"}, {"PATH": "/bin"})
    for name in asked:
        made.value(name, Place(""))
    with pytest.raises(InputError) as caught:
        made.check_definitions()
    assert str(caught.value) == complaint


def test_a_value_of_the_command_line_is_used_in_a_default_that_a_job_has() -> None:
    made = variables({"var.a": "{var.b}"}, {"b": "1"})
    assert made.value("var.a", Place("")).text == "1"
    made.check_definitions()


def test_what_was_asked_for_and_came_from_outside_is_told() -> None:
    defaults = {"var.a": "{env.A}{env.D}", "var.b": "1", "var.c": "1", "env.D": "1"}
    made = variables(defaults, {"b": "line"}, {"A": "x", "B": "never asked for"})
    for name in ("var.b", "var.a", "var.c"):
        made.value(name, Place(""))
    assert made.given() == [("env.A", "x"), ("var.b", "line")]


NAMES = st.sampled_from(["var.a", "var.b", "var.c", "env.A", "env.B"])
TEXTS = st.lists(
    NAMES.map(lambda name: f"{{{name}}}") | st.sampled_from(["x", "{", "}", "$", "{seed}", ""]), max_size=4
)
DEFAULTS = st.dictionaries(NAMES, TEXTS.map("".join))


@given(
    DEFAULTS,
    st.dictionaries(st.sampled_from("abc"), TEXTS.map("".join)),
    st.dictionaries(st.sampled_from("AB"), st.text()),
)
def test_each_variable_has_what_the_definition_says_or_is_one_error(
    defaults: dict[str, str], definitions: dict[str, str], environment: dict[str, str]
) -> None:
    """Compared with the definition: what is given as it is, else the default with all its variables replaced."""
    sources = {f"var.{name}": text for name, text in definitions.items()}
    sources |= {f"env.{name}": text for name, text in environment.items()}

    def defined(name: str, depth: int = 0) -> str:
        if name in sources:
            return sources[name]
        if depth > len(defaults):
            raise LookupError  # it contains itself
        return re.sub(r"(?<!\$)\{((?:var|env)\.\w+)\}", lambda found: defined(found[1], depth + 1), defaults[name])

    made = variables(defaults, definitions, environment)
    for name in ("var.a", "var.b", "var.c", "env.A", "env.B"):
        try:
            expected = defined(name)
        except LookupError:
            assert wrong(name, made).startswith("f.toml: [")
        else:
            assert made.value(name, Place("")).text == expected


def test_a_similar_name_is_not_searched_among_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_NAMES", 1)
    made = variables({"var.width": "1", "var.depth": "1"})
    assert wrong("var.widht", made).endswith("expected -D widht=VALUE, or a default under [vars]")
