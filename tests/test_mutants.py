"""The list of planted bugs: each has a patch, and its tests exist."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.mutants.planting import end_leftovers

ROOT = Path(__file__).resolve().parent.parent
LIST = tomllib.loads((ROOT / "tests" / "mutants" / "mutants.toml").read_text())
GROUPS: dict[str, list[str]] = LIST["tests"]


def test_each_patch_is_listed_once_and_each_mutant_has_a_patch_and_a_group() -> None:
    patches = {path.stem for path in (ROOT / "tests" / "mutants").glob("*.patch")}
    assert patches == set(LIST["mutant"])
    assert {mutant["tests"] for mutant in LIST["mutant"].values()} == set(GROUPS)


def test_no_process_of_a_mutant_outlives_its_judgement(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # a program that has just begun has no words yet
        end_leftovers(tmp_path)
    assert process.returncode == -signal.SIGKILL


TEXT = "".join(
    path.read_text() for folder in ("tests", "runtime/testing") for path in sorted((ROOT / folder).rglob("*.py"))
).lower()


def unknown_words(arguments: list[str]) -> list[str]:
    """Return the words after ``-k`` that occur in no test and in no check of a conformance suite."""
    chosen = arguments[arguments.index("-k") + 1] if "-k" in arguments else ""
    words = [word for word in re.findall(r"\w+", chosen) if word not in ("and", "or", "not")]
    return [word for word in words if word.lower() not in TEXT]


def test_each_group_names_tests_that_exist() -> None:
    """A word that no test has any longer, because that was renamed, selects nothing."""
    gone = "x" * 9
    assert unknown_words(["tests/test_mutants.py", "-k", f"exist or {gone}"]) == [gone]
    found = {name: unknown_words(arguments) for name, arguments in GROUPS.items()}
    assert {name: words for name, words in found.items() if words} == {}
    paths = {
        word.partition("::")[0] for arguments in GROUPS.values() for word in arguments if word.startswith("tests/")
    }
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
