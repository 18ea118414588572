from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.job_options import option_words, recorded_options
from runtime.cli.options import parse
from runtime.jobfile.errors import InputError

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
OPTIONS = st.fixed_dictionaries(
    {
        "--timeout-multiplier": st.floats(1e-5, 1e5).map(str),
        "--on-missing-resource": st.sampled_from(["ignore", "warn"]),
    },
    optional={
        "--reseed": st.integers(1, 2**64 - 1).map(str),
        "--backend": TEXTS,
        "--max-parallel": st.integers(0, 9).map(str),
        "--max-odirs": st.integers(0, 9).map(str),
        "--mem-free": st.integers(1, 9).map("{}GiB".format),
        "--disk-free": st.integers(1, 9).map(str),
    },
)
LIMITS = st.tuples(TEXTS, st.sampled_from(["0", "7", "unlimited"])).map("=".join)


@given(OPTIONS, st.lists(LIMITS, max_size=3), st.lists(TEXTS, max_size=2))
def test_what_was_recorded_is_what_was_said(options: dict[str, str], limits: list[str], paths: list[str]) -> None:
    many = [("--resource", limit) for limit in limits] + [("--pythonpath", f"/{path}") for path in paths]
    words = [f"{option}={value}" for option, value in [*options.items(), *many]]
    said = parse(["run", "f.toml", *words])
    again = parse(["run", "f.toml", *option_words(recorded_options(said))])
    assert vars(again) | {"pythonpath": []} == vars(said) | {"pythonpath": []}
    assert again.pythonpath == [str(Path(path)) for path in said.pythonpath]


def test_relative_directories_become_absolute_and_the_defaults_are_recorded() -> None:
    found = recorded_options(parse(["run", "f.toml", "--pythonpath", "a", "--pythonpath", "/b"]))
    assert found == {
        "--pythonpath": f"{Path.cwd()}/a\0/b",
        "--timeout-multiplier": "1.0",
        "--on-missing-resource": "error",
    }


def test_another_option_is_not_taken() -> None:
    with pytest.raises(InputError, match='"--log-file", which this version does not know'):
        option_words({"--reseed": "1", "--log-file": "/etc/passwd"})
