"""Each comment that silences ruff or mypy names its rule and gives a reason, on the same line."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path for folder in ("runtime", "tests", "benchmarks", "examples", "tools") for path in (ROOT / folder).rglob("*.py")
)
SILENT = re.compile(r"#\s*(noqa|type: ignore)")
WITH_A_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w|# type: ignore\[[a-z-]+(, [a-z-]+)*\]\s+# \w")


def without_reason(source: list[str]) -> list[str]:
    if not any(map(SILENT.search, source)):
        return []  # to look for tokens takes fifty times as long
    lines = iter([f"{line}\n" for line in source])
    comments = [token for token in tokenize.generate_tokens(lambda: next(lines, "")) if token.type == tokenize.COMMENT]
    return [
        f"{token.start[0]}: {token.string}"
        for token in comments
        if SILENT.match(token.string) and not WITH_A_REASON.match(token.string)
    ]


def test_all_files_are_found() -> None:
    assert len(FILES) > 400


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa",
        "x = 1  # noqa: E731",
        "x = 1  # noqa: E731 -",
        "x = 1  # type: ignore",
        "x = 1  # type: ignore[arg-type]",
        "x = 1  # type: ignore[arg-type] why",
    ],
)
def test_a_missing_reason_is_found(line: str) -> None:
    assert len(without_reason([line])) == 1
    good = ["x = 1  # noqa: E731, S101 - as it is", "y = 1  # type: ignore[arg-type, misc]  # why", "z = '# noqa'"]
    assert without_reason(good) == []


def test_each_ignore_has_a_reason() -> None:
    found = {str(path.relative_to(ROOT)): without_reason(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}
