from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import completion
from runtime.cli.completion import JOBS, MAX_WORDS, RUNS, SHELLS, completion_lines
from runtime.cli.options import make_parser
from runtime.jobfile.errors import InputError
from tests.cli.conftest import Here
from tests.cli.program import call


def lines(what: str) -> list[str]:
    return list(completion_lines(what, make_parser()))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_all_commands_and_asks_for_runs_and_jobs(shell: str) -> None:
    script = "\n".join(lines(shell))
    for word in ("run", "compare", "completion", "max-parallel", "completion runs", "completion jobs"):
        assert word in script
    if path := shutil.which(shell):
        subprocess.run([path, "-n"], input=script, text=True, check=True)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    ask = """
        complete_line() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            "$(complete -p job-runtime | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" job-runtime "${@: -1}"
            echo "${COMPREPLY[@]}"
        }
        complete_line job-runtime comp
        complete_line job-runtime run --max-p
    """
    script = tmp_path / "script"
    script.write_text("\n".join([*lines("bash"), ask]))
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert [" ".join(sorted(line.split())) for line in done.stdout.splitlines()] == [
        "compare completion",
        "--max-parallel",
    ]


def test_words_are_names_of_runs_and_ids_of_jobs_of_the_latest(tmp_path: Path, here: Here) -> None:
    (tmp_path / "a.toml").write_text('[jobs.a]\ncmd = "true"\nseeds = [7]\n[jobs."b $(touch x) c"]\ncmd = "true"\n')
    assert here("completion", "jobs").out == ""
    assert here("completion", "runs").out == "latest\n"
    assert call(tmp_path, "run", "a.toml", "-q").code == 0
    assert here("completion", "jobs").out == "a.seed=7\n"
    latest, *others = here("completion", "runs").out.split()
    assert (latest, others) == ("latest", [(tmp_path / "results" / "latest").readlink().name])


def test_a_directory_of_runs_that_cannot_be_read_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "listdir", refuse)
    assert lines(RUNS) == ["latest"]


@pytest.mark.parametrize(
    "word", ["$(x)", "`x`", "a b", "a\n", "-x", "a;b", "~x", "a{b,c}", "a\\", "'", "é", "", "a*", "!x"]
)
def test_a_word_that_means_something_to_a_shell_is_not_offered(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(completion, "_jobs", lambda: iter([word, "a.b=1"]))
    assert lines(JOBS) == ["a.b=1"]


def test_only_so_many_words_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_runs", lambda: (str(number) for number in range(10**9)))
    assert len(lines(RUNS)) == MAX_WORDS


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(InputError) as caught:
        lines("bash")
    expected = "completion needs the extra completion: pip install '.[completion]' in a checkout (there is no shtab)"
    assert str(caught.value) == expected
