from __future__ import annotations

import os
import re
from pathlib import Path

import outcome
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobfile import matrix as module
from runtime.jobfile import read
from runtime.jobfile.errors import InputError
from runtime.jobfile.matrix import Matrices
from runtime.jobfile.place import Place
from runtime.jobfile.schema import JobTable, structure
from runtime.jobfile.values import Listing, Scalar
from runtime.jobfile.variables import Variables


def values(directory: Path, variables: Variables | None = None, **test: str) -> tuple[object, ...]:
    table = structure({"matrix": {"n": [1, 2], "test": test}}, JobTable, Place(""))
    found = Matrices(variables or Variables()).values(table.matrix, directory, Place("f: [jobs.a]"))
    assert list(found) == ["n", "test"]
    assert found["n"] == (1, 2)
    return found["test"]


def wrong(directory: Path, variables: Variables | None = None, **test: str) -> str:
    with pytest.raises(InputError) as caught:
        values(directory, variables, **test)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("f: [jobs.a]: matrix.test.")
    return message.removeprefix("f: [jobs.a]: matrix.test.")


def planted(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "content",
    [
        b"fast\n# slow ones\n\n  deep one \n#x\nx#y",
        b"\xef\xbb\xbffast\r\n\r\ndeep one\r\nx#y\r\n",
    ],
)
def test_the_lines_of_a_file_are_values(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tests.txt").write_bytes(content)
    assert values(tmp_path, file="tests.txt") == ("fast", "deep one", "x#y")


def test_names_of_files_are_values(tmp_path: Path) -> None:
    planted(tmp_path, "t/b.sv", "t/a.sv", "t/c.txt", "t/deep/d.sv", "t/.hidden.sv", "t/.git/e.sv", "other/f.sv")
    (tmp_path / "t" / "g.sv").mkdir()
    assert values(tmp_path, glob="t/*.sv") == ("t/a.sv", "t/b.sv", "t/g.sv")
    assert values(tmp_path, glob="t/*.sv", value="name") == ("a.sv", "b.sv", "g.sv")
    assert values(tmp_path, glob="t/**/*.sv", value="stem") == ("a", "b", "d", "g")
    assert values(tmp_path, glob="t/*/") == ("t/deep", "t/g.sv")
    assert values(tmp_path, glob="t/.*.sv") == ("t/.hidden.sv",)
    assert values(tmp_path / "t", glob="../other/*") == ("../other/f.sv",)
    assert values(tmp_path, glob=f"{tmp_path}/t/?.sv")[:1] == (f"{tmp_path}/t/a.sv",)


def test_names_of_lists_may_have_variables(tmp_path: Path) -> None:
    (tmp_path / "nightly.txt").write_text("a\n")
    planted(tmp_path, "t/b.sv")
    variables = Variables({"suite": "nightly"}, {"T": f"{tmp_path}/t"})
    assert values(tmp_path, variables, file="{var.suite}.txt") == ("a",)
    assert values(Path("/"), variables, glob="{env.T}/*", value="name") == ("b.sv",)
    assert values(tmp_path / "t", variables, file="{file_dir}/../{var.suite}.txt") == ("a",)
    assert wrong(tmp_path, variables, file="{var.siute}.txt") == (
        "file has {var.siute}, which has no value; did you mean {var.suite}?"
    )
    variables.check_definitions()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "/list: has no values; expected one a line"),
        (b"# nothing\n\n", "/list: has no values; expected one a line"),
        (b"a\n\nb\na\n", '/list:4: "a" stands twice; first in line 1'),
        (b"a\nb\0c\n", "/list:2: has a NUL character; expected text"),
        (b"a\n\xff\n", "/list:2: not UTF-8: byte 0xff"),
    ],
)
def test_a_wrong_list_is_named_with_its_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "list").write_bytes(content)
    assert wrong(tmp_path, file="list").startswith(f"file: {tmp_path}{complaint}")


def test_only_a_regular_file_of_a_bounded_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert (
        wrong(tmp_path, file="fifo")
        == f"file: {tmp_path}/fifo: is no regular file; expected a file that has a value a line"
    )
    assert wrong(tmp_path, file="missing").endswith("/missing: cannot be read: No such file or directory")
    assert wrong(tmp_path, file=".").endswith(": cannot be read: Is a directory")
    assert re.search(": cannot be read: .*embedded null", wrong(tmp_path, file="a\0b"))  # Pythons say it differently
    assert wrong(tmp_path, Variables({"a": ""}), file="{var.a}").startswith(
        "file is empty; expected the name of a file"
    )
    monkeypatch.setattr(read, "MAX_LIST_BYTES", 1 << 20)
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 20) + 1)  # sparse
    assert wrong(tmp_path, file="large").endswith("/large: is larger than 1 MiB; expected a value a line")


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("none/*", 'glob is "none/*", which matches no file in /'),
        ("a\0b", 'glob is "a'),
        ("a**b", 'glob is "a**b"'),  # an error up to Python 3.12, and a pattern that matches nothing from 3.13 on
        ("/", 'glob is "/"; expected a path relative to the job file'),
        ("./", 'glob is "./"; expected a path relative to the job file'),
        ("*/" * 5000, 'glob is "*/*/*'),
        ("[", 'glob is "["'),
        ("**" * 200, 'glob is "***'),
    ],
)
def test_a_wrong_glob_is_named(tmp_path: Path, pattern: str, complaint: str) -> None:
    assert wrong(tmp_path, glob=pattern).startswith(complaint)


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    planted(tmp_path, "a/x.sv", "b/x.sv", "b/x.v")
    assert wrong(tmp_path, glob="*/*.sv", value="name") == (
        'glob: "a/x.sv" and "b/x.sv" have one name, "x.sv"; expected value = "path"'
    )
    assert wrong(tmp_path, glob="b/*", value="stem").startswith('glob: "b/x.sv" and "b/x.v" have one stem, "x"; ')


def test_a_glob_that_matches_too_many_files_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOUND", 3)
    planted(tmp_path, "a", "b", "c")
    assert values(tmp_path, glob="*") == ("a", "b", "c")
    planted(tmp_path, "d")
    assert wrong(tmp_path, glob="*") == 'glob is "*": it matches more than 3 files'


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    planted(tmp_path, "a/x.sv")
    for name in ("one", "two", "three"):
        (tmp_path / "a" / name).symlink_to("..")
    assert values(tmp_path, glob="**/x.sv") == ("a/x.sv",)


def test_a_list_of_many_tables_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("a\n")
    matrices, times = Matrices(Variables()), []

    def counted(path: Path) -> list[tuple[int, str]]:
        times.append(path)
        return read.read_list(path)

    monkeypatch.setattr(module, "read_list", counted)
    table = structure({"matrix": {"test": {"file": "list"}}}, JobTable, Place(""))
    for _ in range(3):
        assert matrices.values(table.matrix, tmp_path, Place("")) == {"test": ("a",)}
    assert len(times) == 1


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from(["a", "b", "#", "\n", "\r", " ", "\x0c"])).map("".join).map(str.encode)
)
def test_any_bytes_are_values_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    found = outcome.capture(values, path.parent, file="any.txt")
    if isinstance(found, outcome.Error):
        assert isinstance(found.error, InputError)
        assert str(found.error).startswith(f"f: [jobs.a]: matrix.test.file: {path}:")
    else:
        assert b"\0" not in content or b"#" in content
        lines = [line.strip() for line in content.decode("utf-8-sig").split("\n")]
        assert list(found.value) == [line for line in lines if line and line[0] != "#"]


@given(
    st.text(max_size=20)
    | st.lists(st.sampled_from(["*", "**", "/", ".", "..", "[", "]", "?", "a", "!", "\0"])).map("".join)
)
def test_any_glob_is_values_or_one_error(tmp_path_factory: pytest.TempPathFactory, pattern: str) -> None:
    directory = tmp_path_factory.getbasetemp() / "globbed" / "in"
    planted(directory, "a", "a.a")
    if not pattern or pattern.startswith("/") or ".." in pattern:  # elsewhere there may be any number of files
        return
    found = outcome.capture(values, directory, glob=pattern)
    if isinstance(found, outcome.Error):
        assert isinstance(found.error, InputError)
        assert str(found.error).startswith("f: [jobs.a]: matrix.test.glob is ")
    else:
        assert {str(value).partition("/")[0] for value in found.value} <= {"a", "a.a", "."}


def test_what_was_listed_can_be_given_again(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a\nb\n")
    (tmp_path / "x.sv").touch()
    matrix: dict[str, tuple[Scalar, ...] | Listing] = {
        "one": Listing("file", "list.txt"),
        "two": Listing("glob", "*.sv"),
        "three": Listing("glob", "*.sv", "stem"),
        "four": (1, 2),
    }
    first = Matrices(Variables())
    values = first.values(matrix, tmp_path, Place("f"))
    (tmp_path / "list.txt").unlink()
    (tmp_path / "x.sv").unlink()
    again = Matrices(Variables(), first.lists)
    assert again.values(matrix, tmp_path, Place("f")) == values
    assert again.lists == first.lists
    with pytest.raises(InputError, match=r'f: matrix\.one\.glob: what "\*\.txt" listed was not recorded'):
        again.values({"one": Listing("glob", "*.txt")}, tmp_path, Place("f"))
