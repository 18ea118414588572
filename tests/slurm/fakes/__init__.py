"""A Slurm that is none: for what a real controller will not do on demand.

`FakeSlurm` puts `sbatch`, `squeue`, `scancel`, `scontrol` and `sacct` in front of everything else on the `PATH`. They
speak as those of Slurm 22.05 do (`tests/slurm/test_fakes.py` tells both the same stories), and job scripts really run,
each in a session of its own. A test steers it while it runs::

    with FakeSlurm() as slurm:
        slurm.next("sbatch", Hang(done=True))        # the job is there, and nobody is told
        slurm.fail_node("n1")
        assert slurm.count("squeue") == 3

The road of a call: `client` (the program) → `slurm` (a thread that serves it, and does what the test ordered) →
`commands` (arguments and words) → `controller` (what a job goes through) → `nodes` (processes).
"""

from tests.slurm.fakes.faults import Act, Answer, Edit, Hang, Only, Say, Stop
from tests.slurm.fakes.slurm import FakeSlurm

__all__ = ("Act", "Answer", "Edit", "FakeSlurm", "Hang", "Only", "Say", "Stop")
