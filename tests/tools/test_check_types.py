"""Tests of ``make types``: what is read in a report of basedpyright. Making one takes too long for a test."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tools import check_types


def symbol(name: str, *messages: str) -> dict[str, Any]:
    return {"name": name, "isTypeKnown": not messages, "diagnostics": [{"message": message} for message in messages]}


def report(known: int, ambiguous: int, *symbols: dict[str, Any]) -> dict[str, Any]:
    counts = {"withKnownType": known, "withAmbiguousType": ambiguous, "withUnknownType": 0}
    return {"typeCompleteness": {"exportedSymbolCounts": counts, "symbols": symbols}}


INFERRED = symbol("runtime.A.size", 'Type is missing type annotation\n  Inferred type is "int"')
FOLLOWS = symbol("runtime.use", 'Type of parameter "a" is partially unknown\n  Parameter type is "A"')


def test_what_follows_from_another_symbol_is_not_named() -> None:
    found = check_types.incomplete(report(1, 2, symbol("runtime.B"), INFERRED, FOLLOWS))
    assert list(found) == ["runtime.A.size: Type is missing type annotation"]


@pytest.mark.parametrize(
    ("given", "code", "printed"),
    [
        (report(3, 0, symbol("runtime.B")), 0, "3 of 3 symbols have a complete type\n"),
        (report(0, 0), 1, "0 of 0 symbols have a complete type\n"),
        (
            report(1, 2, INFERRED, FOLLOWS),
            1,
            "runtime.A.size: Type is missing type annotation\n1 of 3 symbols have a complete type\n",
        ),
    ],
    ids=["complete", "no package", "incomplete"],
)
def test_only_a_complete_package_passes(
    given: dict[str, Any],
    code: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(words, code, json.dumps(given).encode())

    monkeypatch.setattr(subprocess, "run", run)
    assert check_types.main() == code
    assert capsys.readouterr().out == printed
