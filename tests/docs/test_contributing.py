"""What CONTRIBUTING.md, SECURITY.md and the workflows name is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tools.oldest import oldest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]
VERBS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("path", [*PAGES, ROOT / ".github" / "workflows" / "checks.yml"], ids=lambda path: path.name)
def test_each_verb_and_each_link_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    assert set(re.findall(r"(?:`|run: |^)make ([a-z-]+)", text, re.MULTILINE)) <= VERBS
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_workflows_test_each_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    assert f"python: {named}".replace("'", '"') in text


def test_the_oldest_versions_are_those_that_are_allowed() -> None:
    assert list(oldest(PROJECT["project"])) == [
        *("trio==0.31.*", "attrs==23.2.*", "outcome==1.3.*", "rich==13.7.*", "cattrs==24.1.*")
    ]


def test_notes_are_of_the_kinds_that_there_are() -> None:
    kinds = [each["directory"] for each in PROJECT["tool"]["towncrier"]["type"]]
    notes = [path.name for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
    assert [name for name in notes if not re.fullmatch(rf"\+[\w-]+\.({'|'.join(kinds)})\.md", name)] == []
    assert PROJECT["tool"]["towncrier"]["start_string"].strip() in (ROOT / "CHANGELOG.md").read_text("utf-8")
