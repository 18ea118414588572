"""Tests of the question `slurm`: the error where there can be no Slurm, and its programs on a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from benchmarks.cleanup import Stopped
from benchmarks.environment import MEMORY, dvsim, ours, peer
from benchmarks.model import PEAK, BenchmarkError, Contender
from benchmarks.questions import slurm as module
from benchmarks.sampling import take_sample
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.cluster_paths import of_this_program


def test_a_machine_without_slurm_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_machine() -> None:
        raise ClusterError("there is no sbatch")

    monkeypatch.setattr(module, "check_machine", check_machine)
    with pytest.raises(BenchmarkError, match=r"^there is no sbatch$"):
        module.question(True)


def test_an_end_of_the_cluster_that_a_signal_interrupts_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        environment: Final = {"SLURM_CONF": "conf", "PATH": "path"}
        ends = 0

        def __enter__(self) -> Interrupted:
            return self

        def __exit__(self, *_: object) -> None:
            self.ends += 1
            if self.ends == 1:
                raise Stopped(15)

    interrupted = Interrupted()
    monkeypatch.setattr(Cluster, "create", lambda _: interrupted)
    with pytest.raises(Stopped), module.a_cluster() as variables:
        assert variables == {"SLURM_CONF": "conf", "PATH": "path", "TMPDIR": MEMORY}
    assert interrupted.ends == 2


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
def test_its_setup_is_a_cluster_and_a_directory_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = of_this_program().with_name("another-0-1")  # this program may have one already
    monkeypatch.setattr(module, "of_this_program", lambda: directory)
    with module.a_cluster() as variables:
        assert variables.keys() == {"SLURM_CONF", "PATH", "TMPDIR"}
        assert variables["TMPDIR"] == MEMORY
        assert directory in Path(variables["SLURM_CONF"]).parents
        assert directory.exists()
    assert not directory.exists()


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    "contender", [ours("ours", "slurm.py", 3), peer("array", "slurm_array.py", 3)], ids=["ours", "array"]
)
def test_a_program_checks_its_run_and_prints_numbers(slurm: Cluster, contender: Contender) -> None:
    printed = take_sample(contender)
    assert printed.keys() == {"ms_per_job", PEAK}
    assert printed["ms_per_job"] > 0


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
def test_so_does_the_one_of_dvsim(slurm: Cluster) -> None:
    assert take_sample(dvsim("dvsim", "dvsim_slurm.py", 2))["ms_per_job"] > 0
