from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.process import EnvironmentDumps, inherited_environment, job_variables, render_environment
from runtime.process.identity import identity_variables, render_identity

if TYPE_CHECKING:
    from runtime.process.identity import Identity


def test_what_an_outer_make_left_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j8 --jobserver-auth=3,4")
    monkeypatch.setenv("KEPT", "yes")
    inherited = inherited_environment()
    left_out = (
        "MAKE",
        "MFLAGS",
        "PWD",
        "OLDPWD",
        "JOB_RUNTIME_ID",
        "JOB_RUNTIME_ATTEMPT",
        "JOB_RUNTIME_SEED",
    )  # the last two name the directory of the runtime, not of the job
    assert inherited == {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    assert inherited["KEPT"] == "yes"
    given = {"MFLAGS": "", "MAKELEVEL": "1", "MAKEOVERRIDES": "", "MAKEFLAGS": "", "MAKEFILES": "x"}
    assert inherited_environment(given) == {"MAKEFILES": "x"}


def test_a_rendered_environment_can_be_read_back_by_a_shell() -> None:
    environment = {"B": "two\nlines; `exit 3` $(exit 4) 'q'", "A": "", "NOT_TEXT": "\udcff"}
    rendered = render_environment(environment)
    assert rendered.startswith(b"A=''\nB=")
    script = b'set -e\n%s\nprintf %%s "$A|$B|$NOT_TEXT"' % rendered
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    assert done.stdout == b"|two\nlines; `exit 3` $(exit 4) 'q'|\xff"


def test_a_job_is_told_which_attempt_at_which_job_it_is() -> None:
    told = {"JOB_RUNTIME_ID": "smoke.seed=7", "JOB_RUNTIME_ATTEMPT": "2", "JOB_RUNTIME_SEED": "7"}
    assert job_variables("smoke.seed=7", 2, 7) == told
    assert job_variables("a", exports={"B": "c"}) == {"JOB_RUNTIME_ID": "a", "JOB_RUNTIME_ATTEMPT": "1", "B": "c"}
    assert job_variables("a", 1, 7, {**told, "JOB_RUNTIME_SEED": "mine"}) == {**told, "JOB_RUNTIME_SEED": "mine"}


@pytest.mark.parametrize("job_id", ["a\0b", "a\ud800", "x" * (1 << 16) + "x", "é" * (1 << 15) + "é"])
def test_an_id_that_no_program_can_be_given_is_left_out(job_id: str) -> None:
    assert job_variables(job_id) == {"JOB_RUNTIME_ATTEMPT": "1"}


@pytest.mark.parametrize("job_id", ["é\udcff", "\n", "x" * (1 << 16), "é" * (1 << 15)])
def test_any_other_id_is_told(job_id: str) -> None:
    done = subprocess.run(["printenv", "JOB_RUNTIME_ID"], env=job_variables(job_id), capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == f"{job_id}\n"


def test_the_job_that_started_the_runtime_is_not_told_to_its_jobs() -> None:
    assert inherited_environment({**job_variables("outer", 2, 3), "KEPT": "yes"}) == {"KEPT": "yes"}


@pytest.mark.parametrize("variables", [{}, {"C": "'1'", "D": ""}, {"B": "3", "C": "1"}])
def test_a_dump_has_what_a_job_inherits_and_adds_each_once(variables: dict[str, str]) -> None:
    inherited = {"A": "1", "B": "2"}
    dumps = EnvironmentDumps(inherited)
    lines = dumps.of(variables).decode().splitlines()
    assert sorted(lines) == [
        f"{name}={shlex.quote(value)}" for name, value in sorted({**inherited, **variables}.items())
    ]


@given(st.tuples(st.none() | st.binary(), st.integers(1), st.none() | st.integers()))
def test_a_shim_quotes_as_everybody_does(identity: Identity) -> None:
    told = {os.fsdecode(name): os.fsdecode(value) for name, value in identity_variables(identity).items()}
    assert render_identity(identity) == render_environment(told)
