from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.cli.past_runs import opened
from runtime.cli.runs import disk_usage
from runtime.job import FailureKind
from runtime.journal import Kept
from tests.cli.conftest import Here
from tests.cli.past_run import held, write_journal, write_run
from tests.report.results import result
from tests.report.states import records


def names(out: Path) -> set[str]:
    return {entry.name for entry in out.iterdir() if not entry.is_symlink()}


def age(run_dir: Path, days: int) -> None:
    """Let a run have begun so many days ago."""
    from runtime.journal import Begin, encode, read, to_text

    (first, *others) = read(run_dir / "journal.jsonl").records
    assert isinstance(first, Begin)
    import attrs

    older = attrs.evolve(first, at=first.at - days * 86400)
    (run_dir / "journal.jsonl").write_bytes(b"".join(encode(to_text(each)) for each in [older, *others]))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Four runs, of which the last is the newest."""
    directory = tmp_path / "results"
    for days in (4, 3, 2, 1):
        name = f"2026010{5 - days}-000000-abcdef"
        age(write_run(directory, [result("a"), result("b", FailureKind.EXIT_CODE)], name=name), days)
    return directory


def test_runs_are_listed_the_oldest_first(here: Here, out: Path) -> None:
    (out / "not_a_run").mkdir()
    (out / "20260109-000000-abcdef").mkdir()
    done = here("runs")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        *(["2026010" + str(day) + "-000000-abcdef", "ended"] for day in (1, 2, 3, 4)),
        ["20260109-000000-abcdef", "unknown"],
    ]
    assert lines[0].split()[2:4] == ["4", "d"]
    assert lines[0].endswith("1 passed, 1 failed, 0 killed")


def test_without_runs_there_is_nothing_to_list(here: Here, tmp_path: Path) -> None:
    done = here("runs")
    assert (done.code, done.out, done.err) == (0, "", "")
    (tmp_path / "file").touch()
    done = here("runs", "--out", "file")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "expected a directory" in done.err


@pytest.mark.parametrize(("what", "left"), [("1", "4"), ("3", "234"), ("60h", "34"), ("3d", "34"), ("1w", "1234")])
def test_old_runs_are_removed(here: Here, out: Path, what: str, left: str) -> None:
    dry = here("runs", "--prune", what, "--dry-run")
    assert len(names(out)) == 4
    done = here("runs", "--prune", what)
    assert (done.code, done.err) == (0, "")
    assert names(out) == {f"2026010{day}-000000-abcdef" for day in left}
    assert dry.out.count("would be removed") == done.out.count("  removed\n") == 4 - len(left)


@pytest.mark.parametrize("what", ["0", "-1", "x", "1m", "01", "0d", "1.5d", "", "9999999999"])
def test_what_is_no_count_and_no_age_is_one_error(here: Here, out: Path, what: str) -> None:
    done = here("runs", f"--prune={what}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "expected a number of runs from 1, or an age" in done.err
    assert len(names(out)) == 4


def test_a_live_run_and_one_that_another_uses_stay(here: Here, out: Path) -> None:
    oldest, second, third, _ = sorted(out.iterdir())[:4]
    user = records([result("a")], out / "user")
    write_journal(out / "user", [*user[:-1], Kept([0], second.name), user[-1]])
    with held(oldest):
        (oldest / "journal.jsonl").write_bytes((oldest / "journal.jsonl").read_bytes()[:-20])  # its end is not written
        done = here("runs", "--prune", "2")
    assert done.code == 0
    assert names(out) == {oldest.name, second.name, "20260104-000000-abcdef", "user"}
    assert f"{oldest.name}  stays: it is running\n" in done.out
    assert f"{second.name}  stays: the run user uses its directories\n" in done.out
    assert f"{third.name}  removed\n" in done.out


def test_a_run_whose_lock_is_taken_meanwhile_stays(here: Here, out: Path) -> None:
    oldest = min(out.iterdir())
    with held(oldest):  # its journal has an end: a resume has the lock, and has not written yet
        done = here("runs", "--prune", "3")
    assert oldest.exists()
    assert f"{oldest.name}  stays: " in done.out
    assert "is in use" in done.out


def test_a_run_stays_if_the_lock_of_one_that_uses_it_is_taken_meanwhile(here: Here, out: Path) -> None:
    oldest, *_ = sorted(out.iterdir())
    user = records([result("a")], out / "user")
    write_journal(out / "user", [*user[:-1], Kept([0], oldest.name), user[-1]])
    age(out / "user", 3)
    with held(out / "user"):
        done = here("runs", "--prune", "1")
    assert names(out) == {oldest.name, "user", "20260104-000000-abcdef"}
    assert f"{oldest.name}  stays: the run user uses its directories\n" in done.out


def test_what_a_removal_that_was_killed_has_left_is_removed_by_the_next(here: Here, out: Path) -> None:
    (out / ".removed-20250101-000000-abcdef" / "deep").mkdir(parents=True)
    assert here("runs", "--prune", "9").code == 0
    assert ".removed-20250101-000000-abcdef" not in names(out)
    assert len(names(out)) == 4


def test_no_link_of_a_job_is_followed(here: Here, out: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x" * 100_000)
    oldest = min(out.iterdir())
    with opened(oldest) as directory:
        before = disk_usage(directory)
        (oldest / "link").symlink_to(precious)
        assert disk_usage(directory) - before < 50_000
    (out / "20260100-000000-abcdef").symlink_to(precious)
    assert here("runs", "--prune", "1").code == 0
    assert (precious / "file").exists()
    assert (out / "20260100-000000-abcdef").is_symlink()


def test_a_size_is_what_the_files_take_however_deep_they_are(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):  # deeper than Python's stack
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    with opened(tmp_path) as directory:
        assert disk_usage(directory) >= 200_000
        directory.below("d").remove()  # pytest cannot
