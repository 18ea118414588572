"""Slurm's commands on this machine: what is wrong with them is reported once, when the backend opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.slurm import SlurmBackend
from runtime.errors import BackendBrokenError

NO_SOURCE = """\
scontrol: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
scontrol: error: fetch_config: DNS SRV lookup failed
scontrol: error: _establish_config_source: failed to fetch config
scontrol: fatal: Could not establish a configuration source
"""
"""What Slurm 22.05 prints without a configuration file."""
NO_FILE = """\
scontrol: error: s_p_parse_file: cannot stat file /none: No such file or directory, retrying in 1sec up to 60sec
scontrol: error: ClusterName needs to be specified
scontrol: fatal: Unable to process configuration file
"""
"""What it prints if SLURM_CONF names a file that does not exist."""
NOT_REACHED = """\
scontrol: error: _fetch_child: failed to fetch remote configs: Unable to contact slurm controller (connect failure)
scontrol: fatal: Could not establish a configuration source
"""
"""What it prints if the configuration comes from a controller that is down."""


def install(directory: Path, said: str, patch: pytest.MonkeyPatch) -> None:
    """Put an scontrol on the `PATH` that fails with these words."""
    program = directory / "scontrol"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}END\nexit 1\n")
    program.chmod(0o755)
    patch.setenv("PATH", f"{directory}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("printed", "reason"),
    [(NO_SOURCE, "configuration source"), (NO_FILE, "cannot stat file /none")],
    ids=["source", "file"],
)
async def test_a_slurm_that_is_not_configured_is_an_error_when_the_backend_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, reason: str
) -> None:
    install(tmp_path, printed, monkeypatch)
    send, receive = trio.open_memory_channel[Any](1)
    with send, receive:
        with pytest.raises(BackendBrokenError, match=f"Slurm is not configured here: .*{reason}.*SLURM_CONF") as caught:
            async with SlurmBackend(tmp_path / "run").open(send):
                pass
    assert "\n" not in str(caught.value)


async def test_a_controller_that_gives_no_configuration_is_one_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, NOT_REACHED, monkeypatch)
    send, receive = trio.open_memory_channel[Any](1)
    with send, receive:
        async with SlurmBackend(tmp_path / "run").open(send) as backend:
            assert backend.limits.version == "unknown"
