from __future__ import annotations

import pytest

from runtime.backend.batch.system import Phase
from runtime.backend.slurm.states import STATES, state_of
from runtime.job import FailureKind

BASE = """BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING SUSPENDED
TIMEOUT"""
FLAGS = """COMPLETING CONFIGURING EXPEDITING LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD
RESIZING RESV_DEL_HOLD REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED UPDATE_DB"""


def test_every_word_of_slurm_s_documentation_has_a_meaning_and_no_other() -> None:
    assert set(STATES) == {*BASE.split(), *FLAGS.split()}
    assert all(state.phase is not Phase.UNKNOWN for state in STATES.values())


def test_only_an_end_has_a_kind() -> None:
    assert all(state.phase is Phase.ENDED for state in STATES.values() if state.kind is not None)


@pytest.mark.parametrize(
    ("word", "phase", "kind"),
    [
        ("COMPLETED", Phase.ENDED, None),
        ("FAILED", Phase.ENDED, None),
        ("TIMEOUT", Phase.ENDED, FailureKind.TIMEOUT),
        ("NODE_FAIL", Phase.ENDED, FailureKind.NODE_FAILURE),
        ("OUT_OF_MEMORY", Phase.ENDED, FailureKind.OUT_OF_MEMORY),
        ("PREEMPTED", Phase.ENDED, FailureKind.PREEMPTED),
        ("CANCELLED by 1000", Phase.ENDED, FailureKind.CANCELLED),
        ("CANCELLED+", Phase.ENDED, FailureKind.CANCELLED),
        ("REQUEUED", Phase.PENDING, None),
        ("SUSPENDED", Phase.RUNNING, None),
        ("COMPLETING", Phase.ENDING, None),
        ("TELEPORTING", Phase.UNKNOWN, None),
        ("", Phase.UNKNOWN, None),
        ("completed", Phase.UNKNOWN, None),
    ],
)
def test_words_mean_what_they_say(word: str, phase: Phase, kind: FailureKind | None) -> None:
    assert (state_of(word).phase, state_of(word).kind) == (phase, kind)


def test_only_the_end_of_a_script_by_a_signal_may_be_that_of_its_memory() -> None:
    assert state_of("FAILED", "JobLaunchFailure").may_be_memory
    assert not any(state.may_be_memory for state in STATES.values())
    assert not state_of("CANCELLED", "JobLaunchFailure").may_be_memory
