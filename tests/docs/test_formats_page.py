"""docs/formats.md: each example is what a run writes, but for times and names of directories; each option is listed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runtime.cli.format_options import FORMATS
from runtime.journal import replay
from runtime.report.metrics import HELP, PREFIX
from runtime.report.run_summary import run_summary, summary_variables
from tests.cli.program import call

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
LANGUAGES = {
    "events": "jsonl",
    "junit": "xml",
    "metrics": "text",
    "trace": "json",
    "step-summary": "markdown",
    "on-end": "json on-end",
}
"""How the example of each format is marked in the page."""

VARYING = (
    (r"/[^\s\"'<;&]*?/results/\d{8}-\d{6}-[0-9a-f]{6}", "/here/results/RUN"),
    (r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN"),
    (r"(\"directory\" value=\")[^\"]*", r"\1/here"),
    (r"cd [^ ]* &", "cd DIRECTORY &"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\d+\.\d+(?:e-\d+)?|\d+e-\d+", "SECONDS"),
    (r'("(?:seed_base|seconds)": )[^,]*', r"\1NUMBER"),
    (r'("(?:directory|run_dir)": ")/[^"]*', r"\1/here"),
    (r'("results": ")[^"]*', r"\1/here"),
    (r'("(?:ts|dur)": )\d+|("pid": )\d{2,}', r"\1\2NUMBER"),
    (r'(?m)"machine": .*$', "MACHINE"),
    (r"process \d+ on [^\"]*|(?<=\"host\": \")[^\"]*", "HOST"),
    (r'(?m)^\{"ph": "C".*\n', ""),  # how many differ depends on the times
    (r"(?m)^.*peak_memory.*\n", ""),  # which is not always known
    (r"\*\* `.*`", "** `MESSAGE`"),  # as it is normalised
    (r"(seed_base\W+value=\")\d+", r"\1SEED"),
)
"""Patterns of what differs from run to run, and what stands for it in the comparison."""


def example(language: str) -> str:
    (_, text) = re.findall(rf"^(`{{3,}}){language}\n(.*?)^\1$", PAGE, re.DOTALL | re.MULTILINE)[0]
    return str(text)


def comparable(text: str) -> str:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


@pytest.mark.slow
def test_each_example_is_what_a_run_writes(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text(example("toml"))
    options = [*(f"--{name}={name}" for name in LANGUAGES if name != "on-end"), "--on-end", "sh -c 'cat > on-end'"]
    done = call(tmp_path, "run", "night.toml", "-q", "--max-parallel", "1", *options)
    assert (done.code, done.err) == (1, "")
    for name, language in LANGUAGES.items():
        assert comparable((tmp_path / name).read_text()) == comparable(example(language)), name


def test_each_event_is_listed_with_its_keys() -> None:
    table = PAGE.partition("| `type` | what happened |")[2].partition("\n\n")[0]
    schema = json.loads((Path(__file__).parents[2] / "runtime" / "report" / "events.schema.json").read_text("utf-8"))
    listed: dict[str, set[str]] = {}
    for types, keys in re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", table, re.MULTILINE):
        listed |= {name: set(re.findall(r"`(\w+)`", keys)) for name in re.findall(r"`(\w+)`", types)}
    kinds = {name: set(kind["properties"]) for name, kind in schema["$defs"].items() if "properties" in kind}
    assert listed == {name: keys - {"type", "at"} for name, keys in kinds.items()}


def test_each_variable_of_the_summary_is_listed() -> None:
    summary = run_summary(replay([], "/run"), 0)
    section = PAGE.partition("## A command when the run has ended")[2]
    counts = {name for name in summary_variables(summary) if name.startswith("JOB_RUNTIME_JOBS_")}
    listed = set(re.findall(r"`(JOB_RUNTIME_\w+)`", section)) | counts
    assert listed == {*summary_variables({**summary, "name": "x"})}


def test_each_metric_is_listed() -> None:
    table = PAGE.partition("| metric | labels |")[2].partition("\n\n")[0]
    assert re.findall(rf"`{PREFIX}(\w+)`", table) == [*HELP]


def test_each_format_is_listed() -> None:
    assert re.findall(r"^\| `--([a-z-]+) FILE` \|", PAGE, re.MULTILINE) == ["events", *FORMATS]
