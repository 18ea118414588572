"""One module per question. The function `question` of each returns the `Question`, in its full or its quick size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.model import Question
from benchmarks.questions import (
    adapter,
    adapter_isolated,
    adapter_kill,
    adapter_stall,
    cli,
    display,
    imports,
    journal,
    log,
    output,
    scheduler,
    slurm,
    spawn,
)

QUESTIONS: Final[Mapping[str, Callable[[bool], Question]]] = {
    "scheduler": scheduler.question,
    "journal": journal.question,
    "display": display.question,
    "adapter": adapter.question,
    "adapter_stall": adapter_stall.question,
    "adapter_isolated": adapter_isolated.question,
    "adapter_kill": adapter_kill.question,
    "spawn": spawn.question,
    "cli": cli.question,
    "log": log.question,
    "output": output.question,
    "slurm": slurm.question,
    "import": imports.question,
}
"""In the order in which they are asked."""
