"""Tests of ``make shape``: the figures of a small package that is written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import shape

BASE = '''
"""A module."""
from typing import Any


class Base:
    """It has a private attribute."""

    def __init__(self) -> None:
        self._secret = 1

    def _hook(self) -> Any:
        """It does nothing."""


class Here(Base):
    def use(self):
        return self._secret  # in one file, so it does not count
'''
DERIVED = """
import os

from package.base import Base


class Derived(Base):
    def __init__(self):
        self._own = 2

    def work(self, other):
        self._own += 1
        self._hook()
        os._exit(0)  # of a module that is not ours
        return self._secret + other._hidden


class Last(Derived):
    pass
"""
LARGE = """
import attrs


class Eight:
    def __init__(self):
        self.a = self.b = self.c = self.d = self.e = self.f = self.g = self.h = 0


class Nine(Eight):
    __slots__ = ("i",)


class Ten(Nine):
    '"Nobody is handed one."'

    j: int


@attrs.frozen
class Record:
    a: int; b: int; c: int; d: int; e: int; f: int; g: int; h: int; i: int


def work(nine: Nine, ten: Ten) -> None:
    "In the file that defines them, it does not count."
"""
HANDED = """
from collections.abc import Callable

import attrs

from package import large
from package.large import Eight, Nine, Record, Ten


class User:
    def __init__(self, eight: Eight, record: Record | None) -> None:
        self.ten: Ten = Ten()  # it is this object's own

    def make(self, other: Callable[[], Ten]) -> Ten:
        "Makes one, or lets another one do it."


@attrs.frozen
class Holder:
    nines: list[large.Nine]
"""
TWICE = """
def first(items):
    total = 0
    for item in items:
        if item.ready:
            total += item.size
        else:
            total -= 1
    return total


def second(things):
    count = 10
    for thing in things:
        if thing.ready:
            count += thing.size
        else:
            count -= 2
    return count


def third(things):
    count = 10
    for thing in things:
        if thing.done:
            count += thing.size
        else:
            count -= 2
    return count
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    root.mkdir()
    files = {"base": BASE, "derived": DERIVED, "handed": HANDED, "large": LARGE, "twice": TWICE}
    for name, text in {"__init__": "", **files}.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
    return root


def test_each_figure_of_a_package(package: Path) -> None:
    found = shape.figures(package)
    assert found["files"] == "6"
    assert found["depth of inheritance"] == "3 (Last)"
    assert found["objects of over 8 fields handed to other files"] == "1, and 1 records"
    assert found["Any"] == "1"
    assert found["lines with a comment"].startswith("3 ")
    assert found["logic of 6 lines that is repeated"] == "1"


def test_comments_docstrings_and_blank_lines_are_not_lines_of_code(package: Path) -> None:
    (module,) = (module for module in shape.read_package(package) if module.name == "package.base")
    assert shape.count_lines(module) == (8, 1)


def test_a_private_attribute_of_a_base_counts_only_across_files(package: Path) -> None:
    found = [each.text for each in shape.reaches(shape.find_classes(shape.read_package(package)))]
    assert found == ["Derived uses Base._hook", "Derived uses Base._secret"]


def test_a_private_attribute_of_another_object_counts(package: Path) -> None:
    assert [each.text for each in shape.foreign_uses(shape.read_package(package))] == ["other._hidden"]


def test_a_large_object_counts_where_another_file_is_given_it(package: Path) -> None:
    modules = shape.read_package(package)
    nine, record = shape.handed(modules, shape.find_classes(modules))
    assert (nine.name, sorted(nine.fields), nine.is_record) == ("package.large.Nine", list("abcdefghi"), False)
    assert (record.name, len(record.fields), record.is_record) == ("package.large.Record", 9, True)
    assert nine.users == record.users == (package / "handed.py",)


def test_logic_is_the_same_whatever_its_names_and_values(package: Path) -> None:
    (group,) = shape.repeats(shape.read_package(package))
    assert [each.line for each in group] == [3, 13]


def test_a_directory_without_a_package_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        shape.main([str(tmp_path)])
    assert raised.value.code == 2
    assert f"{tmp_path} has no __init__.py" in capsys.readouterr().err


def test_two_packages_are_shown_side_by_side(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape.main([str(package), "--baseline", str(package)])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("files"))
    assert line.split()[1:] == ["6", "6"]
