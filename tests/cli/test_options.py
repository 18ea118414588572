from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from runtime.cli import options as module
from runtime.cli.options import hide_values, parse
from runtime.jobfile.expand import RESERVED, Expansion, expand
from runtime.jobfile.regression import load
from runtime.jobfile.schema import JOB_KEYS
from runtime.jobfile.values import PLACEHOLDERS
from tests.cli.program import ROOT

DOCS = (ROOT / "docs" / "job-files.md").read_text("utf-8")


def test_the_defaults_of_a_run() -> None:
    options = parse(["run", "f.toml"])
    assert vars(options) == {
        "command": "run",
        "file": "f.toml",
        "define": [],
        "select": [],
        "reseed": None,
        "fixed_seed": None,
        "seed_base": None,
        "timeout_multiplier": 1.0,
        "dry_run": False,
        "backend": None,
        "pythonpath": [],
        "max_parallel": None,
        "resource": [],
        "on_missing_resource": "error",
        "out": Path("results"),
        "keep_going": False,
        "fail_fast": False,
        "max_failures": None,
        "drain": False,
        "max_odirs": None,
        "mem_free": None,
        "disk_free": None,
        "resume": None,
        "rerun": None,
        "each_bucket": False,
        "keep_builds": False,
        "keep": None,
        "without_needs": False,
        "exclude": [],
        "print_interval": 10.0,
        "verbose": 0,
        "quiet": False,
        "log_file": None,
        "on_end": None,
        "events": None,
        "junit": None,
        "metrics": None,
        "trace": None,
        "step_summary": None,
    }


def test_options_are_read() -> None:
    options = parse(
        [
            *("run", "-", "--select", "a*", "--select", "b", "--resource", "x=3", "--resource", "a=b=unlimited", "-vv"),
            *("--seed-base", "0", "--timeout-multiplier", "0.5", "--max-parallel", "0", "--print-interval", "0.5"),
        ]
    )
    assert options.select == ["a*", "b"]
    assert options.resource == [("x", 3), ("a=b", None)]
    assert (options.seed_base, options.timeout_multiplier, options.max_parallel) == (0, 0.5, 0)
    assert (options.verbose, options.print_interval) == (2, 0.5)


@pytest.mark.parametrize("words", [["-D", "sim=a=b"], ["-Dsim=a=b"], ["-vqDsim=a=b"], ["-D", "sim=x", "-D", "sim=a=b"]])
def test_a_variable_is_defined(words: list[str]) -> None:
    assert dict(parse(["run", "f", *words, "-D", "empty="]).define) == {"sim": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("hush", "argument -D: 'hush' is given; expected NAME=VALUE"),
        ("a-b=hush", "argument -D: the name 'a-b' is given; expected NAME=VALUE"),
        ("=hush", "argument -D: the name '' is given; expected NAME=VALUE"),
        ("1=hush", "argument -D: the name '1' is given; expected NAME=VALUE"),
    ],
)
def test_what_defines_no_variable_is_one_line(capfd: pytest.CaptureFixture[str], word: str, said: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["run", "f", "-D", word])
    assert caught.value.code == 2
    error = capfd.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "=hush" not in error


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["run", "f", "-D", "a=hush"], ["run", "f", "-D", "a=***"]),
        (["run", "f", "-Da=hush"], ["run", "f", "-Da=***"]),
        (["run", "-vqDa=hush", "f", "-D", "a=x=hush"], ["run", "-vqDa=***", "f", "-D", "a=***"]),
        (
            ["run", "hush", "-D", "a=hush", "-D", "b=", "-D", "c=hush"],
            ["run", "hush", "-D", "a=***", "-D", "b=", "-D", "c=***"],
        ),
        (["run", "f", "-D", "a=a=hush", "-D", "a=hush"], ["run", "f", "-D", "a=***", "-D", "a=***"]),
    ],
)
def test_a_command_line_is_shown_without_the_values_of_variables(words: list[str], hidden: list[str]) -> None:
    assert hide_values(words, parse(words).define) == hidden


def commands() -> dict[str, argparse.ArgumentParser]:
    # What argparse makes of the options is seen in attributes that it calls its own.
    (subparsers,) = [each for each in module.make_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(subparsers.choices)


@pytest.mark.parametrize("command", commands())
def test_every_option_is_in_the_reference(command: str) -> None:
    for action in commands()[command]._actions:
        assert not action.option_strings or any(f"`{name}" in DOCS for name in action.option_strings), action


def test_every_key_placeholder_and_reserved_name_is_in_the_reference() -> None:
    missing = [key for key in JOB_KEYS if f"`{key}`" not in DOCS]
    missing += [name for name in PLACEHOLDERS if f"{{{name}}}" not in DOCS]
    missing += [name for name in RESERVED if f"`{name}`" not in DOCS]
    assert missing == []


def test_the_examples_of_the_reference_are_right(tmp_path: Path) -> None:
    example, *parts = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.toml").write_text("[jobs.other]\ncmd = 'true'")
    (tmp_path / "fifo.toml").write_text(example)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "nightly.txt").write_text("fast\n")
    (tmp_path / "tests" / "first.sv").touch()
    jobs = expand(load(str(tmp_path / "fifo.toml")), Expansion(run_dir=tmp_path, seed_base=1))
    assert [job.name for job in jobs].count("smoke") == 40
    for number, part in enumerate(part for part in parts if "\n[" in f"\n{part}"):  # which show some keys of a file
        (tmp_path / f"{number}.toml").write_text(part)
        assert expand(load(str(tmp_path / f"{number}.toml")), Expansion(run_dir=tmp_path, seed_base=1))
    lines = [line for line in DOCS.splitlines() if line.startswith('{"name"')]
    assert [json.loads(line)["name"] for line in lines] == ["build", "smoke"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jobs.toml", "--select", "-dash"], "and -dash looks like an option; expected --select=-dash"),
        (["--out", "--x", "jobs.toml"], "and --x looks like an option; expected --out=--x"),
        (["jobs.toml", "--select"], "argument --select: expected one argument (see"),
        (["-jobs.toml"], "FILE, and -jobs.toml looks like an option; expected ./-jobs.toml"),
        (["--resume", "-jobs.toml"], "FILE, and -jobs.toml looks like an option; expected ./-jobs.toml"),
        (["--rerun", "jobs.toml"], "expected jobs.toml --rerun, or --rerun=RUN jobs.toml"),
        (["--out", "jobs.toml"], "the following arguments are required: FILE (see"),
    ],
)
def test_what_looks_like_an_option_is_told_how_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("jobs.toml", "-jobs.toml"):
        (tmp_path / name).touch()
    with pytest.raises(SystemExit) as caught:
        module.parse(["run", *words])
    assert caught.value.code == 2
    error = capfd.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert module.parse(["run", "./-jobs.toml", "--select=-dash"]).select == ["-dash"]
