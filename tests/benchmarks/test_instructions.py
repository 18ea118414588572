"""Tests of `benchmarks.instructions`: what fails, what is recorded, and that instructions are counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks import environment
from benchmarks.instructions import __main__ as verb
from benchmarks.instructions import counting, record
from benchmarks.instructions.changes import LIMIT, Change, Recorded, fails, updated
from benchmarks.instructions.counting import WORKLOADS, Workload, count, slope, total
from benchmarks.instructions.record import Record
from benchmarks.model import BenchmarkError

HERE = {"python": "3.11", "trio": "0.35"}
TWO = [Workload("a", "a.py", 10, 20), Workload("b", "b.py", 10, 20)]


def change(now: float, expected: float | None = 1000) -> Change:
    return Change("a", "job", expected, now)


# ------------------------------------------------------------------ decisions


@pytest.mark.parametrize(
    ("now", "kind", "bad"),
    [
        (1000, "same", False),
        (1029, "same", False),
        (1031, "rise", True),
        (971, "same", False),
        (969, "fall", False),
        (5000, "rise", True),
    ],
)
def test_a_rise_beyond_the_limit_fails_and_a_fall_is_reported(now: int, kind: str, bad: bool) -> None:
    assert LIMIT == 0.03
    assert change(now).kind == kind
    assert fails([change(1000), change(now)]) is bad
    lines = verb.advice([change(now)])
    assert len(lines) == (kind != "same")
    assert all(line.startswith("error: ") is bad and "--record 'the reason'" in line for line in lines)


def test_a_figure_that_is_not_recorded_fails() -> None:
    assert fails([change(7, None)])
    assert verb.advice([change(7, None)])[0].startswith("error: a: not recorded yet")
    assert str(change(7000, None)) == "a: 7,000 instructions per job, and no figure is recorded"


def test_a_line_says_both_counts_and_the_difference() -> None:
    assert str(change(83_700, 79_684)) == "a: 83,700 instructions per job, expected 79,684 (+5.0 %)"


def test_only_what_has_changed_is_recorded_so_that_figures_do_not_creep() -> None:
    recorded = {"a": Recorded(1000, "first"), "b": Recorded(1000, "first"), "c": Recorded(1000, "first")}
    counted = [Change("a", "job", 1000, 1029), Change("b", "job", 1000, 900.4), Change("d", "job", None, 5)]
    new = {"a": Recorded(1000, "first"), "b": Recorded(900, "why"), "d": Recorded(5, "why")}
    assert updated(recorded, counted, "why", keep_absent=False) == new
    assert updated(recorded, counted, "why", keep_absent=True) == {**new, "c": Recorded(1000, "first")}


# ------------------------------------------------------------------ the file


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "recorded.toml"
    assert record.read(path) == Record({}, {})
    kept = Record({**HERE, "google-re2": '1 "x"'}, {"a": Recorded(1000, 'a "cause": é\\')})
    record.write(path, kept)
    assert record.read(path) == kept
    assert re.findall(r"^a = .*1000", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        "[figures]",
        "[counted_with]",
        "[counted_with]\n[figures]\na = 3",
        "[counted_with]\n[figures]\na = { instructions = 3 }",
        "[counted_with]\n[figures]\na = { instructions = 0, reason = 'x' }",
        "[counted_with]\n[figures]\na = { instructions = 3, reason = ' ' }",
        "no toml",
    ],
)
def test_a_file_that_is_wrong_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recorded.toml"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=r"recorded\.toml: .*; expected the tables counted_with and figures"):
        record.read(path)


def test_the_file_of_this_checkout_has_each_figure() -> None:
    kept = record.read(Path(environment.TREE) / record.FILE)
    assert kept.figures.keys() == {workload.name for workload in WORKLOADS}
    assert "python" in kept.counted_with


# ------------------------------------------------------------------ the commit of the figures


def git(tree: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", str(tree), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout whose last commit left the figures as they are."""
    tree = tmp_path / "tree"
    (tree / record.FILE).parent.mkdir(parents=True)
    (tree / "runtime").mkdir()
    git(tree, "init", "-q")
    record.write(tree / record.FILE, Record(HERE, {"a": Recorded(1000, "first"), "b": Recorded(1000, "first")}))
    (tree / "runtime" / "code.py").write_text("old")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "figures")
    (tree / "runtime" / "code.py").write_text("new")
    git(tree, "commit", "-q", "-a", "-m", "code")
    return tree


def test_the_base_is_the_commit_that_changed_the_figures(tree: Path, tmp_path: Path) -> None:
    commit = record.base_commit(tree)
    assert commit == git(tree, "rev-parse", "HEAD~1")
    (base := tmp_path / "base").mkdir()
    record.export(tree, commit, base)
    assert (base / "runtime" / "code.py").read_text() == "old"


def test_a_history_without_the_base_commit_is_an_error(tree: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tree}", str(shallow))
    with pytest.raises(BenchmarkError, match="the history is shallow"):
        record.base_commit(shallow)
    with (tree / record.FILE).open("a") as file:
        file.write("\n")
    with pytest.raises(BenchmarkError, match="has changes that are not committed"):
        record.base_commit(tree)
    with pytest.raises(BenchmarkError, match=r"git status fails: .*not a git repository"):
        record.base_commit(tmp_path)


# ------------------------------------------------------------------ the verb

Counts = dict[str, float]


@pytest.fixture
def counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The trees whose instructions were counted: 1,000 for each figure with old code, 1,050 with new."""
    trees: list[Path] = []

    def pretend(tree: Path, workloads: Sequence[Workload], on_run: Callable[[str], None]) -> Counts:
        trees.append(tree)
        factor = {"old": 1.0, "new": 1.05}[(tree / "runtime" / "code.py").read_text()]
        return {workload.name: 1000 * factor for workload in workloads}

    monkeypatch.setattr(verb, "count", pretend)
    monkeypatch.setattr(verb, "WORKLOADS", TWO)
    monkeypatch.setattr(verb, "counted_with", lambda: HERE)
    return trees


def test_counts_are_compared_with_recorded_figures(
    tree: Path, counted: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb.guard(tree, TWO, None) == 1
    assert counted == [tree]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "a: 1,050 instructions per job, expected 1,000 (+5.0 %)"
    assert printed[-1].startswith("error: a, b: more than 3 % above the expected count.")


def test_a_rise_with_a_reason_is_recorded_and_passes_from_then_on(tree: Path, counted: list[Path]) -> None:
    assert verb.guard(tree, TWO[:1], "a new promise") == 0
    kept = record.read(tree / record.FILE).figures
    assert kept == {"a": Recorded(1050, "a new promise"), "b": Recorded(1000, "first")}
    assert verb.guard(tree, TWO[:1], None) == 0


def test_with_another_interpreter_the_commit_of_the_figures_is_counted_too(
    tree: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "counted_with", lambda: {**HERE, "python": "3.12"})
    far_off = {"a": Recorded(77, "first"), "b": Recorded(9999, "first")}  # figures of another interpreter say nothing
    record.write(tree / record.FILE, Record(HERE, far_off))
    (tree / "runtime" / "code.py").write_text("old")
    git(tree, "commit", "-q", "-a", "-m", "figures")
    assert verb.guard(tree, TWO, None) == 0
    (tree / "runtime" / "code.py").write_text("new")
    git(tree, "commit", "-q", "-a", "-m", "code")
    assert verb.guard(tree, TWO, None) == 1
    assert len(counted) == 4
    assert "The figures were recorded with another python: " in capsys.readouterr().out
    with pytest.raises(BenchmarkError, match="leave out --only"):
        verb.guard(tree, TWO[:1], "why")
    assert verb.guard(tree, TWO, "why") == 0
    assert record.read(tree / record.FILE).figures == {"a": Recorded(1050, "why"), "b": Recorded(1050, "why")}


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--record", " "], "argument --record: ' '; expected why the figures have changed, in one line"),
        (["--only", "typo"], "argument --only: invalid choice: 'typo'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        verb.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(rf"error: {re.escape(printed)}.* \(see .* --help\)\n", capsys.readouterr().err)


def test_without_valgrind_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert verb.main([]) == 1
    assert "apt install valgrind" in capsys.readouterr().err


# ------------------------------------------------------------------ counting


def test_the_slope_leaves_out_what_both_sizes_cost() -> None:
    assert slope(TWO[0], 5_000, 6_000) == 100
    with pytest.raises(BenchmarkError, match="a: 5,000 instructions for 10, and 5,000 for 20"):
        slope(TWO[0], 5_000, 5_000)


def test_the_total_is_read_from_cachegrinds_output() -> None:
    assert total("events: Ir\nfn=x\n1 2\nsummary: 1234\n") == 1234
    with pytest.raises(BenchmarkError, match="no line 'summary: NUMBER'"):
        total("fn=x\n1 2\n")


FAKE_VALGRIND = """#!/bin/sh
for word; do
    case $word in
        --cachegrind-out-file=*) out=${word#*=} ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
"$@" || exit
echo "summary: $((1000 + 7 * $5))" > "$out"
"""


def test_each_workload_is_run_in_both_sizes_with_the_samples_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "valgrind").write_text(FAKE_VALGRIND)
    (tmp_path / "valgrind").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    samples = tmp_path / "tree" / "benchmarks" / "samples"
    samples.mkdir(parents=True)
    code = f"""
import os, pathlib, sys
size = int(sys.argv[1])
assert (os.environ["PYTHONHASHSEED"], os.environ["PYTHONPATH"]) == ("0", {str(tmp_path / "tree")!r})
assert sys.argv[2:] == ["--option"]
assert size < 30, "too much"
with open({str(tmp_path / "runs")!r}, "a") as file: print(size, file=file)
print('{{"x": 1}}')
"""
    (samples / "a.py").write_text(code)
    runs: list[str] = []
    assert count(tmp_path / "tree", [Workload("a", "a.py", 10, 20, ["--option"])], runs.append) == {"a": 7}
    assert sorted(runs) == ["a, 10: 1,070 instructions", "a, 20: 1,140 instructions"]
    assert sorted((tmp_path / "runs").read_text().split()) == ["10", "10", "20"]  # the first compiles
    with pytest.raises(BenchmarkError, match=r"(?s)^a: a sample failed.*too much"):
        count(tmp_path / "tree", [Workload("a", "a.py", 10, 30, ["--option"])], runs.append)


@pytest.mark.slow
def test_local_jobs_start_where_pidfd_open_is_not_known() -> None:
    code = (
        "import errno, os\n"
        "def refused(*_):\n    raise OSError(errno.ENOSYS, 'Function not implemented')\n"
        "os.pidfd_open = refused\n"
        "from benchmarks.instructions import program\n"
        "program.main()\n"
    )
    sample = str(environment.HERE / "samples" / "spawn.py")
    done = subprocess.run(
        [sys.executable, "-c", code, "10", sample, "3", "2", "tree"],
        check=False,
        capture_output=True,
        text=True,
        cwd=environment.TREE,
        env={**os.environ, "PYTHONPATH": environment.TREE},
    )
    assert done.returncode == 0, done.stderr
    assert "jobs_per_second" in done.stdout


def test_versions_name_all_that_counts_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "valgrind").write_text("#!/bin/sh\necho valgrind-7\n")
    (tmp_path / "valgrind").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = counting.counted_with()
    assert found["valgrind"] == "valgrind-7"
    assert found["python"] == " ".join(sys.version.split())
    assert found.keys() >= {"libc", "processor", "cpus", "trio", "attrs", "google-re2", "hyperscan"}
