"""The command ``import``: what a job file runs that was made of a list or a makefile, beside the shell and make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.imports import Imported, Target, parse_data_base, write_imported
from runtime.cli.main import main
from runtime.job import safe_id
from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import RESERVED, Expansion, expand
from runtime.jobfile.regression import RecordedFiles, load_recorded
from runtime.jobfile.variables import Variables
from runtime.jobfile.writing import job_file_text
from tests.cli.program import call

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
HARD = st.one_of(TEXTS, st.sampled_from(["{seed}", "${seed}", "{var.x}", "{id}{odir}", '"', "\\", "\x7f\x1f"]))


NAMES = TEXTS.filter(lambda name: name.strip(".") and safe_id(name) not in RESERVED)  # Hypothesis knows our constants


@given(st.dictionaries(NAMES, st.lists(HARD, min_size=1), min_size=1, max_size=3))
def test_a_job_file_says_what_it_was_made_of(commands: dict[str, list[str]]) -> None:
    text = job_file_text({name: {"cmd": ["prog", *words]} for name, words in commands.items()}, notes=["two\nlines"])
    recorded = RecordedFiles(texts={"/made/jobs.toml": text}, directory=Path("/made"))
    jobs = expand(load_recorded(recorded, Variables()), Expansion(run_dir=Path("/run"), seed_base=1), warn=False)
    assert {job.name: list(job.cmd)[1:] for job in jobs} == commands


def results(directory: Path, file: str, *words: str) -> dict[str, tuple[str, str]]:
    """Run a job file; return the status and the output of each job."""
    from json import loads

    call(directory, "run", file, "-q", *words)
    found = loads((directory / "results" / "latest" / "results.json").read_text())["jobs"]
    return {job["id"]: (job["status"], Path(job["log"]).read_text()) for job in found}


def test_a_list_of_commands_does_what_the_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "echo a | tr a b",
        "",
        "# a comment",
        "exit 3",
        "echo {seed} \"$HOME\" '{id}'",
        "echo {} >made; cat made",
        "echo `echo {odir}`$(echo '{id}')",
    ]
    (tmp_path / "list").write_text("\n".join(lines))
    monkeypatch.setenv("SHELL", "/bin/sh")
    done = call(tmp_path, "import", "list", "list", "-o", "jobs.toml")
    note = "values for {}, which GNU parallel replaces by arguments: it stays as it is."
    assert (done.code, done.out, done.err) == (0, "", f"job-runtime: not in the job file: {note}\n")
    head = (tmp_path / "jobs.toml").read_text().splitlines()[:2]
    assert head == ["# Made by job-runtime import, of list.", f"# Not here: {note}"]
    expected = {}
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            shell = subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
            expected[f"line{number}"] = ("passed" if shell.returncode == 0 else "failed", shell.stdout)
    assert results(tmp_path, "jobs.toml") == expected
    again = call(tmp_path, "import", "list", "list", "-o", "jobs.toml")
    assert (again.code, again.err.splitlines()[-1]) == (
        2,
        "job-runtime: -o is jobs.toml, which exists; expected the name of a new file",
    )


MAKEFILE = """\
.PHONY: all check
all: app check
\t@echo all
app: one.o two.o | dir
\tcat one.o two.o >dir/app && cp dir/app app
%.o: %.c
\tcp $< $@; echo compile $< >>log
dir:
\tmkdir dir
check: app
\t@grep -q two app && echo checked >>log
unused:
\tfalse
"""


def test_a_makefile_does_what_make_does(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Makefile").write_text(MAKEFILE)
        for part in ("one", "two"):
            (tmp_path / name / f"{part}.c").write_text(f"{part}\n")
    done = call(tmp_path, "import", "make", "-C", "ours", "-o", "jobs.toml")
    assert (done.code, done.out, done.err) == (0, "", "")
    found = results(tmp_path, "jobs.toml")
    assert {job: status for job, (status, _) in found.items()} == dict.fromkeys(
        ["one.o", "two.o", "dir", "app", "check", "all"], "passed"
    )
    subprocess.run(["make", "-C", str(tmp_path / "theirs")], check=True, capture_output=True)
    ours, theirs = (
        {path.name: sorted(path.read_text().splitlines()) for path in (tmp_path / name).iterdir() if path.is_file()}
        for name in ("ours", "theirs")
    )
    assert ours == theirs
    assert ours["log"].count("checked") == 1  # a phony target runs once
    assert [status for status, log in results(tmp_path, "jobs.toml", "--select", "app").values()] == ["passed"] * 4
    assert ours["log"] == sorted((tmp_path / "ours" / "log").read_text().splitlines())  # nothing was built again


def test_variables_on_the_command_line_of_make_are_no_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Makefile").write_text("all: run$(WIDTH)\nrun$(WIDTH):\n\ttrue\n")
    assert main(["import", "make", "WIDTH=4"]) == 0
    out, _ = capfd.readouterr()
    assert f'[jobs.run4]\ncmd = ["make", "-C", "{tmp_path}", "WIDTH=4", "run4"]\n' in out


def test_rules_of_make_s_data_base() -> None:
    text = (
        "x\n# Files\n\n# Not a target:\n.c.o:\n#  recipe to execute (built-in):\n\n"
        "a: b | c\n#  Phony target (prerequisite of .PHONY).\n#  recipe to execute (from 'm', line 1):\n\techo\n\n"
        "d:: e\n#  commands to execute\n\techo\n\nb:\n\n"
        "v: WIDTH = 4\nv: NAME := x\nv: a\n#  recipe to execute (from 'm', line 9):\n\techo\n\n"
        "# files hash-table stats:\n"
    )
    rules, odd = parse_data_base(text)
    assert rules == {
        "a": Target(("b", "c"), True, True), "d": Target(("e",), True, False), "b": Target((), False, False),
        "v": Target(("a",), True, False),
    }  # fmt: skip
    assert odd == ["d"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "none"], "none: No such file or directory; expected a file with a command a line"),
        (["list", "empty"], "empty has no jobs; expected at least one"),
        (["list", "latin"], "latin: line 2 is not UTF-8; expected a command a line, in UTF-8"),
        (["list", "nul"], "nul: line 2 has a NUL character; expected a command a line, which has none"),
        (["list", "empty", "-o", "none/jobs.toml"], "empty has no jobs"),
        (
            ["list", "one", "-o", "none/jobs.toml"],
            "-o is none/jobs.toml: cannot be written: No such file or directory; expected",
        ),
        (["make", "nothing"], "expected a makefile that make -n takes"),
        (["dvsim", "--", "x.hjson"], "dvsim is not installed beside "),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text("\n# nothing\n")
    (tmp_path / "latin").write_bytes(b"echo a\necho \xe4\n")
    (tmp_path / "nul").write_bytes(b"echo a\necho \0b\n")
    (tmp_path / "one").write_text("true\n")
    monkeypatch.chdir(tmp_path)
    assert main(["import", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_what_no_job_file_can_say_is_told_without_the_place_in_a_file_that_is_not_written() -> None:
    jobs = {"a": {"cmd": "true", "seeds": -1}}
    with pytest.raises(InputError, match=r"^no job file can say what a list says: \[jobs\.a\]: seeds is -1; ") as info:
        write_imported(Imported(jobs=jobs, source="a list"), None)
    assert "jobs.toml" not in str(info.value)


def test_a_name_with_control_characters_is_escaped_in_the_comment_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "esc\x1b[2J\x7f\udcff\nname = 3"
    Path(name).write_text("true\n")
    assert main(["import", "list", name]) == 0
    assert capfd.readouterr().out.splitlines()[:2] == [
        r"# Made by job-runtime import, of esc\x1b[2J\x7f\udcff",
        "# name = 3.",
    ]
