"""The corpus of failing logs, in `corpus`, and how well buckets separate their causes. Imports nothing of the runtime.

So DVSim's environment can import it, too: `tests.dvsim.programs.buckets` measures DVSim's buckets on the same logs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

CORPUS: Final = Path(__file__).parent / "corpus"
UVM: Final = (r"^UVM_ERROR\s[^:].*$", r"^UVM_FATAL\s[^:].*$")
FAIL_PATTERNS: Final[Mapping[str, Sequence[str]]] = {
    "uvm": UVM,
    "vcs": (*UVM, r"^Error-.*$", r"^\s*Offending '.*'", r"^Error: .*$"),
    "xcelium": (*UVM, r"\*E,.*$"),
    "questa": (*UVM, r"\*\* (?:Error|Fatal)"),
    "verilator": (r"%Error",),
    "cocotb": (r"^\w*Error", r"FAIL", r"failed"),
    "compiler": (r"error:", r"Error [0-9]"),
}
"""Fail patterns as a site has them, by tool. Those for UVM and VCS are as OpenTitan's are."""


class FailingLog(NamedTuple):
    """A log of the corpus."""

    cause: str
    tool: str
    exit_code: int
    text: str


class Quality(NamedTuple):
    """How well buckets separate causes."""

    logs: int
    causes: int
    buckets: int
    purity: float
    """The part of the logs that are in a bucket in which their cause is the most frequent one."""
    most: int
    """The most buckets that one cause has."""
    faults: Sequence[str]
    """The buckets with several causes, and the causes with more than two buckets, as text."""

    def __str__(self) -> str:
        return (
            f"{self.logs} logs, {self.causes} causes, {self.buckets} buckets, purity {self.purity:.3f},"
            f" at most {self.most} buckets for one cause"
        )


def failing_logs(*names: str) -> Iterator[FailingLog]:
    """Yield the logs of these files of the corpus, by default of all."""
    for path in sorted(CORPUS.glob("*.txt")):
        if names and path.name not in names:
            continue
        for part in path.read_text("utf-8").split("@@@ ")[1:]:
            head, _, text = part.partition("\n")
            cause, tool, code = head.split()
            yield FailingLog(cause, tool.removeprefix("tool="), int(code.removeprefix("exit=")), text)


def quality(found: Sequence[tuple[str, str]]) -> Quality:
    """Return how well buckets separate causes.

    Args:
        found: of each log the cause and the bucket.
    """
    causes: dict[str, Counter[str]] = defaultdict(Counter)
    buckets: dict[str, Counter[str]] = defaultdict(Counter)
    for cause, bucket in found:
        causes[cause][bucket] += 1
        buckets[bucket][cause] += 1
    pure = sum(members.most_common(1)[0][1] for members in buckets.values())
    mixed = [f"{bucket!r} has {dict(members)}" for bucket, members in buckets.items() if len(members) > 1]
    split = [f"{cause} is in {list(parts)}" for cause, parts in causes.items() if len(parts) > 2]
    most = max(map(len, causes.values()))
    return Quality(len(found), len(causes), len(buckets), pure / len(found), most, [*mixed, *split])
