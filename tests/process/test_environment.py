from __future__ import annotations

import os
import subprocess

import pytest

from runtime.process import inherited_environment, render_environment


def test_what_an_outer_make_left_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j8 --jobserver-auth=3,4")
    monkeypatch.setenv("KEPT", "yes")
    inherited = inherited_environment()
    left_out = ("MAKE", "MFLAGS", "PWD", "OLDPWD")  # the last two name the directory of the runtime, not of the job
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
