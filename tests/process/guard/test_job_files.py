from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.process.guard.job_files import start


def test_a_program_is_looked_up_in_the_path_of_its_environment(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("no program")
    output = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        path = {b"PATH": b"/no/such/place:" + os.fsencode(tmp_path) + b":/bin:/usr/bin"}
        pid = start([b"sh", b"-c", b"echo $0 $#"], path, output)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(FileNotFoundError) as missing:
            start([b"no-such-program"], path, output)
        assert missing.value.filename == b"no-such-program"
        with pytest.raises(PermissionError) as refused:
            start([b"refused"], path, output)
        assert refused.value.filename == b"refused"
    finally:
        os.close(output)
    assert (tmp_path / "out").read_text() == "sh 0\n"
