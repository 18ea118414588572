from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from runtime.backend.batch.tokens import array_name, job_token, run_prefix

ANY = st.text(st.characters(), max_size=20)
NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@given(ANY, ANY, st.integers(0, 10**6))
def test_names_are_of_letters_that_nobody_quotes(run: str, job: str, attempt: int) -> None:
    token = job_token(run, job, attempt)
    assert NAME.fullmatch(token)
    assert NAME.fullmatch(array_name(run, [token]))
    assert array_name(run, [token]).startswith(run_prefix(run))


def test_a_token_is_a_function_of_run_job_and_attempt() -> None:
    assert job_token("run", "job", 1) == job_token("run", "job", 1)
    tokens = {job_token(*each) for each in (("run", "job", 1), ("run", "job", 2), ("run", "other", 1), ("b", "job", 1))}
    assert len(tokens) == 4


def test_parts_do_not_run_together() -> None:
    assert job_token("a", "bc", 1) != job_token("ab", "c", 1)
    assert array_name("run", ["ab", "c"]) != array_name("run", ["a", "bc"])


def test_an_array_is_named_after_its_jobs_in_their_order() -> None:
    assert array_name("run", ["a", "b"]) != array_name("run", ["b", "a"])
    assert array_name("run", ["a"]) != array_name("run", ["a", "b"])
    assert array_name("run", ["a"]) != array_name("other", ["a"])


def test_no_run_s_prefix_begins_another_s() -> None:
    prefixes = [run_prefix(str(number)) for number in range(50)]
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)
