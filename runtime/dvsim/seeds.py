"""`draw_seeds_from`: seeds of tests that are the same again when a run is resumed.

DVSim draws them one after the other, in an order that another process does not have: a regression keeps its tests in a
set. Here each follows from the seed base, the flow, the test, and its number alone.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from dvsim.job.deploy import RunTest
from dvsim.sim import flow


def draw_seeds_from(seed_base: int) -> None:
    """Let all that DVSim draws at random follow from `seed_base`; seeds on its command line stay as they are."""
    random.seed(seed_base)  # of builds, and of its fake backend

    def make_test(index: int, test: Any, build_job: Any, sim_cfg: Any) -> Any:
        if not RunTest.seeds and RunTest.fixed_seed is None:
            text = f"{seed_base}\0{sim_cfg.variant_name}\0{test.name}\0{index}"
            RunTest.seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest())]  # the next test takes the first
        return RunTest(index, test, build_job, sim_cfg)

    flow.RunTest = make_test
