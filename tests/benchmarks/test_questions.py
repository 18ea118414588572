"""Tests of `benchmarks.questions` and `benchmarks.samples`: each question has its contenders, and samples check their
results.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import attrs
import pytest
import trio

from benchmarks import environment
from benchmarks.environment import ours, peer
from benchmarks.model import PEAK, BenchmarkError
from benchmarks.questions import QUESTIONS
from benchmarks.samples import scheduler
from benchmarks.sampling import take_sample
from runtime.cli.gc_threshold import raise_gc_threshold


@pytest.fixture(autouse=True)
def _peers_are_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [environment, *(sys.modules[ask.__module__] for ask in QUESTIONS.values())]:
        monkeypatch.setattr(module, "dvsim_python", lambda: "/dvsim/python", raising=False)
        monkeypatch.setattr(module, "need_programs", lambda **_: None, raising=False)
        monkeypatch.setattr(module, "need_space", lambda *_, **__: None, raising=False)
        monkeypatch.setattr(module, "check_machine", lambda: None, raising=False)
        monkeypatch.setattr(module, "need_module", lambda _: None, raising=False)
        monkeypatch.setattr(module, "compiled", lambda source: f"/compiled/{source}", raising=False)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_has_the_contenders_of_its_figures(name: str, quick: bool) -> None:
    question = QUESTIONS[name](quick)
    assert question.name == name
    contenders = {contender.name: contender for contender in question.contenders}
    assert len(contenders) == len(question.contenders)
    used = set()
    for figure in question.figures:
        assert figure.name.startswith(name)
        assert contenders[figure.ours].tree is not None
        used |= {figure.ours, *figure.peers.values()}
    assert used == contenders.keys()
    for contender in contenders.values():
        assert Path(contender.command[1]).is_file()


def test_figures_have_names_of_their_own() -> None:
    names = [figure.name for ask in QUESTIONS.values() for figure in ask(True).figures]
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "measures"),
    [
        ("scheduler.py", ("100", "--as-cli"), {"jobs_per_second", "microseconds_per_job"}),
        ("scheduler.py", ("100", "--width", "7"), {"jobs_per_second", "microseconds_per_job"}),
        ("journal.py", ("100", "--cost", "journal"), {"microseconds_per_job", "jobs_per_second"}),
        ("journal.py", ("100", "--cost", "lines"), {"microseconds_per_job", "jobs_per_second"}),
        ("journal.py", ("100",), {"load_seconds", "bytes_per_job"}),
        ("journal.py", ("100", "--lines"), {"load_seconds", "bytes_per_job"}),
        ("display.py", ("100",), {"display_percent", "cpu_seconds", "picture_seconds", "change_seconds"}),
        ("adapter.py", ("100",), {"microseconds_per_job"}),
        ("adapter_stall.py", ("5",), {"longest_gap_ms"}),
        ("adapter_stall.py", ("5", "--idle"), {"longest_gap_ms"}),
        ("adapter_isolated.py", ("1",), {"longest_gap_ms"}),
        ("adapter_isolated.py", ("1", "--isolated"), {"longest_gap_ms"}),
        ("adapter_kill.py", ("3",), {"seconds"}),
        ("log.py", ("20",), {"megabytes_per_second"}),
        ("log.py", ("1", "--re2"), {"megabytes_per_second"}),
        ("log.py", ("1", "--grep"), {"megabytes_per_second"}),
        ("log.py", ("1", "--read"), {"megabytes_per_second"}),
        ("log.py", ("1", "--limit"), {"megabytes_per_second"}),
        ("spawn.py", ("5", "2", "tree"), {"jobs_per_second", "cpu_ms_per_job"}),
        ("spawn.py", ("5", "2", "group"), {"jobs_per_second", "cpu_ms_per_job"}),
        ("cli.py", ("3", "--fake", "--in-process"), {"jobs"}),
        ("cli.py", ("3", "--lines"), {"jobs_per_second", "cpu_ms_per_job", "command_mb", "first_ms", "kb_per_job"}),
        ("output.py", ("1",), {"megabytes_per_second", "seconds"}),
        ("output.py", ("1", "--shell"), {"megabytes_per_second", "seconds"}),
        ("start.py", ("1", "-c", "from runtime import *"), {"cpu_ms", "wall_ms"}),
        ("start.py", ("1", "-m", "runtime", "--help"), {"cpu_ms", "wall_ms"}),
    ],
)
def test_a_program_of_ours_checks_its_run_and_prints_numbers(
    script: str, arguments: tuple[str, ...], measures: set[str]
) -> None:
    printed = take_sample(ours("ours", script, *arguments))
    assert printed.keys() == {*measures, PEAK}
    assert all(value > 0 for value in printed.values())


@pytest.mark.slow
def test_a_program_that_starts_others_checks_that_they_passed() -> None:
    printed = take_sample(peer("xargs", "spawn_programs.py", "xargs", 3, 2))
    assert printed.keys() == {"jobs_per_second", "cpu_ms_per_job", PEAK}
    with pytest.raises(BenchmarkError, match="AssertionError"):
        take_sample(peer("c", "spawn_programs.py", "c", "/bin/false", 3, 2))
    printed = take_sample(peer("make", "commands.py", "make", 3, 2))
    assert printed.keys() == {"jobs_per_second", "cpu_ms_per_job", "command_mb", "first_ms", PEAK}


@pytest.mark.slow
def test_a_peer_of_the_scheduler_checks_its_results() -> None:
    for command in (("trio_loop.py", 20), ("graphs.py", "graphlib", 20)):
        printed = take_sample(peer("peer", *command))
        assert printed.keys() == {"jobs_per_second", "microseconds_per_job", PEAK}


@pytest.mark.slow
def test_a_program_that_starts_interpreters_checks_that_they_end_well() -> None:
    with pytest.raises(BenchmarkError, match="AssertionError"):
        take_sample(ours("ours", "start.py", 1, "-c", "import no_such_module"))


@pytest.mark.slow
def test_a_verdict_without_the_engine_that_is_measured_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "hyperscan.py").write_text("raise ImportError")
    contender = ours("ours", "log.py", 1)
    path = f"PYTHONPATH={tmp_path}:{environment.TREE}"
    with pytest.raises(BenchmarkError, match="AssertionError"):
        take_sample(attrs.evolve(contender, command=["env", path, *contender.command]))


def test_as_the_command_line_runs_is_as_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds: list[tuple[int, ...]] = []
    monkeypatch.setattr(gc, "set_threshold", lambda *given: thresholds.append(given))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    raise_gc_threshold()
    trio.run(scheduler.as_cli, scheduler.make_specs(10), 0)
    assert len(thresholds) == 2
    assert len(set(thresholds)) == 1


@pytest.mark.slow
def test_a_log_that_goes_through_this_process_is_noticed() -> None:
    with pytest.raises(BenchmarkError, match=r"AssertionError: 1\d{6} bytes went through Python"):
        take_sample(ours("ours", "output.py", 1, "^ERROR"))
