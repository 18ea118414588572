"""A fake Slurm, for faults that a real controller does not produce on demand.

`FakeSlurm` has programs `sbatch`, `squeue`, `scancel`, `scontrol` and `sacct` for the front of the `PATH`. Their output
is that of Slurm 22.05 (`tests/slurm/test_fakes.py` runs the same tests on both), and job scripts really run, each in a
session of its own. A test controls it while it runs::

    with FakeSlurm() as slurm:
        slurm.next("sbatch", Hang(done=True))        # the job is accepted, and sbatch does not return
        slurm.fail_node("n1")
        assert slurm.count("squeue") == 3

The path of a call: `client` (the program) → `slurm` (a thread that serves it, and does what the test ordered) →
`commands` (arguments and output) → `controller` (the states of jobs) → `nodes` (processes).
"""

from tests.slurm.fakes.faults import Act, Answer, Edit, Hang, Only, Say, Stop
from tests.slurm.fakes.slurm import FakeSlurm

__all__ = ("Act", "Answer", "Edit", "FakeSlurm", "Hang", "Only", "Say", "Stop")
