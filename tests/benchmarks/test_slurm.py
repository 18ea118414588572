"""Tests of the question `slurm`: what it says where there can be no Slurm, and its programs on a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from benchmarks.ending import Stopped
from benchmarks.environment import MEMORY, dvsim, ours, peer
from benchmarks.model import PEAK, BenchmarkError, Contender
from benchmarks.questions import slurm as module
from benchmarks.turns import take_sample
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.cluster_paths import of_this_program


def test_a_machine_without_slurm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_machine() -> None:
        raise ClusterError("there is no sbatch")

    monkeypatch.setattr(module, "check_machine", check_machine)
    with pytest.raises(BenchmarkError, match=r"^there is no sbatch$"):
        module.question(True)


def test_an_ending_that_a_signal_disturbs_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Disturbed:
        environment: Final = {"SLURM_CONF": "conf", "PATH": "path"}
        ends = 0

        def __enter__(self) -> Disturbed:
            return self

        def __exit__(self, *_: object) -> None:
            self.ends += 1
            if self.ends == 1:
                raise Stopped(15)

    disturbed = Disturbed()
    monkeypatch.setattr(Cluster, "create", lambda _: disturbed)
    with pytest.raises(Stopped), module.a_cluster() as variables:
        assert variables == {"SLURM_CONF": "conf", "PATH": "path", "TMPDIR": MEMORY}
    assert disturbed.ends == 2


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
def test_its_surroundings_are_a_cluster_and_a_place_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    place = of_this_program().with_name("another-0-1")  # this program may have one already
    monkeypatch.setattr(module, "of_this_program", lambda: place)
    with module.a_cluster() as variables:
        assert variables.keys() == {"SLURM_CONF", "PATH", "TMPDIR"}
        assert variables["TMPDIR"] == MEMORY
        assert place in Path(variables["SLURM_CONF"]).parents
        assert place.exists()
    assert not place.exists()


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    "contender", [ours("ours", "slurm.py", 3), peer("array", "slurm_array.py", 3)], ids=["ours", "array"]
)
def test_a_program_checks_its_run_and_says_numbers(slurm: Cluster, contender: Contender) -> None:
    said = take_sample(contender)
    assert said.keys() == {"ms_per_job", PEAK}
    assert said["ms_per_job"] > 0


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
def test_so_does_the_one_of_dvsim(slurm: Cluster) -> None:
    assert take_sample(dvsim("dvsim", "dvsim_slurm.py", 2))["ms_per_job"] > 0
