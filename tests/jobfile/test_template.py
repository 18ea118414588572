from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.jobfile.template import (
    ShellTemplate,
    Template,
    placeholders,
    substitute,
    substitute_in_shell,
    variables_in,
)

VALUES = {"seed": "7", "name": "smoke", "depth": "4", "var.sim": "vcs", "env.TOP": "/top"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("+seed={seed} +n={name}", "+seed=7 +n=smoke"),
        ("{unknown} {} {{seed}} ${seed} {seed", "{unknown} {} {7} ${seed} {seed"),
        ("awk '{print $1}' {3} {see}", "awk '{print $1}' {3} {see}"),
        ("$({seed})", "$(7)"),
        ("{var.sim} -y {env.TOP}/lib", "vcs -y /top/lib"),
        ("${env.TOP} {env.top} {var.}", "${env.TOP} {env.top} {var.}"),
        ("{{var.sim}} {sim} {TOP} {x.sim} {var.sim.x}", "{vcs} {sim} {TOP} {x.sim} {var.sim.x}"),
        ("none", "none"),
    ],
)
def test_known_names_are_replaced_and_nothing_else(text: str, result: str) -> None:
    assert substitute(text, VALUES) == result
    assert substitute_in_shell(text, VALUES) == result


def test_a_plain_value_is_inserted_even_where_the_quotes_are_ambiguous() -> None:
    assert substitute_in_shell("x=`echo {seed}` # it's {name}", VALUES) == "x=`echo 7` # it's smoke"


@pytest.mark.parametrize(
    "command",
    [
        "echo `echo {v}`",
        'echo "$(echo {v})"',
        "cat <<EOF\n{v}\nEOF",
        "true # it's {v}",
        "#{v}",
        "echo ${x:-'{v}'}",
        "echo $'a' {v}",
        "echo $((1)) {v}",
        "echo ${x:-{v}}",
        'echo "${x:-{v}}"',
        "echo \"${x:-'a'}\" {v}",
        """echo "${x#"a"}" '{v}'""",
    ],
)
def test_a_value_that_needs_quotes_is_refused_where_they_are_ambiguous(command: str) -> None:
    with pytest.raises(ValueError, match="write the cmd as a list"):
        substitute_in_shell(command, {"v": "a b"})


@pytest.mark.parametrize("command", ["echo `{var.v}`", "echo \\{var.v}", "echo ${x:-{var.v}}"])
def test_the_value_of_a_variable_is_in_no_message(command: str) -> None:
    with pytest.raises(ValueError, match=r"\{var\.v\}.* is text that is not shown here") as caught:
        substitute_in_shell(command, {"var.v": "hush hush"})
    assert "hush" not in str(caught.value)


def test_variables_are_found_as_often_as_they_stand_there() -> None:
    text = "{var.a}{env.B} ${var.c} {var.a} {d} {var.e-f.g} {var.} {var.x y} {vars.x} {var. x}"
    assert variables_in(text) == ["var.a", "env.B", "var.a", "var.e-f.g", "var."]
    assert placeholders(text) == {"d"}


def test_a_value_that_needs_quotes_is_refused_after_a_backslash() -> None:
    with pytest.raises(ValueError, match="backslash"):
        substitute_in_shell("echo \\{v}", {"v": "a b"})
    assert substitute_in_shell("echo \\\\{v}", {"v": "a b"}) == "echo \\\\'a b'"


NASTY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.text(
    st.sampled_from("$`\"'\\ \n;&|()<>*?~#!{}a-"), max_size=12
)


@given(NASTY, NASTY)
@settings(max_examples=60)
def test_no_value_becomes_shell_syntax_wherever_it_stands(first: str, second: str) -> None:
    command = r"""x=1; printf '%s\0' {a} "{a}" '{a}' p{a}q "it's {b}" 'say "{b}"' "\"{a}" '\'{b} "${x}$x"{a}'' a#{b}"""
    done = subprocess.run(
        ["/bin/sh", "-c", substitute_in_shell(command, {"a": first, "b": second})],
        capture_output=True,
        check=True,
    )
    expected = [first, first, first, f"p{first}q", f"it's {second}", f'say "{second}"', f'"{first}', f"\\{second}"]
    expected += [f"11{first}", f"a#{second}"]
    assert done.stdout.decode() == "".join(f"{word}\0" for word in expected)
    assert done.stderr == b""


PIECES = st.lists(
    st.sampled_from(
        ["{seed}", "{var.a}", "{env.A}", "{other}", "${seed}", "{", "}", "$", "x", "{{var.a}}", "{var.a", "%s"]
    ),
    max_size=8,
).map("".join)


@given(PIECES, PIECES | NASTY, PIECES | NASTY)
def test_a_value_is_inserted_once_and_not_searched_again(text: str, first: str, second: str) -> None:
    """Compared with a replacement by hand, from left to right, that never looks at what it has inserted."""
    values = {"var.a": first, "env.A": second, "seed": first + second}
    expected, rest = "", text
    while rest:
        found = next((name for name in values if rest.startswith(f"{{{name}}}")), None)
        if found is not None and not (len(rest) < len(text) and text[len(text) - len(rest) - 1] == "$"):
            expected, rest = expected + values[found], rest[len(found) + 2 :]
        else:
            expected, rest = expected + rest[0], rest[1:]
    assert substitute(text, values) == expected


@given(PIECES, st.sampled_from(["plain", "a b", "'", "%s", ""]), st.sampled_from(["7", "$x", "%(seed)s"]))
def test_a_template_that_is_read_once_gives_the_same_as_a_substitution(text: str, fixed: str, own: str) -> None:
    values = {"var.a": fixed, "env.A": own, "seed": own}
    differing = {"env.A": own, "seed": own}
    template = Template(text, {"var.a": fixed}, differing)
    assert template.fill(differing) == substitute(text, values)
    assert set(template.used) == {name for name in differing if substitute(text, {name: "x"}) != text}
    command = ShellTemplate(text, {"var.a": fixed}, differing)
    try:
        expected = substitute_in_shell(text, values)
    except ValueError as exc:
        with pytest.raises(ValueError, match=re.escape(str(exc))):
            command.fill(differing)
    else:
        assert command.fill(differing) == expected


@given(NASTY)
@settings(max_examples=60)
def test_a_variable_is_one_word_of_a_shell_as_any_other_value(value: str) -> None:
    command = r"""printf '%s\0' {var.a} "{var.a}" '{env.A}' p{env.A}q a={var.a}"""
    replaced = substitute_in_shell(command, {"var.a": value, "env.A": value})
    done = subprocess.run(["/bin/sh", "-c", replaced], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{word}\0" for word in [value, value, value, f"p{value}q", f"a={value}"])


EXPANSIONS = (
    *("${x:-/y}", "${x-/y z}", "${n:-/y}", "${n:=a}", "${x:+a b}", "${x#1}", "${x%%1*}", "${#x}", "${n:-${x:-/y}}"),
    *("${n:-'a } b'}", '${n:-"a } b"}', r"${n:-a\}b}", "'${'", "$$ ", "${?}", r"\${x", "{a b}", "}"),
)
"""Syntax that may stand next to a placeholder, outside of double quotes."""


@given(NASTY, st.sampled_from(EXPANSIONS), st.sampled_from(EXPANSIONS[:9]), st.sampled_from(["/bin/sh", "/bin/bash"]))
@settings(max_examples=150)
def test_a_value_next_to_an_expansion_is_unchanged(value: str, before: str, quoted: str, shell: str) -> None:
    command = f"""x=1; printf '%s\\0' {before} {{v}} "{quoted}{{v}}" '{{v}}'{before}{{v}} "{{v}}"$x"""
    plainly = f"""x=1; printf '%s\\0' {before} "$V" "{quoted}$V" "$V"{before}"$V" "$V"$x"""

    def words(command: str) -> bytes:
        environment = {"V": value, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run([shell, "-c", command], env=environment, capture_output=True, check=True).stdout

    found, expected = words(substitute_in_shell(command, {"v": value})), words(plainly)
    if before == "$$ ":  # the number of the process is another
        found, expected = re.sub(rb"\d+", b"", found), re.sub(rb"\d+", b"", expected)
    assert found == expected
