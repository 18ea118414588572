"""The log of the question `log`, for programs of both environments: nothing has failed, and it ends with a pass."""

from __future__ import annotations

from pathlib import Path

FAILING = (
    r"^UVM_ERROR\s[^:].*$",
    r"^UVM_FATAL\s[^:].*$",
    "^Assert failed: ",
    r"^\s*Offending '.*'",
    r"^Error-\[.*\]$",
)
PASSING = ("^TEST PASSED",)

_LINES = 10_000
_LINE = "UVM_INFO @ %d ns: (scoreboard.sv:%d) [uvm_test_top.env.scoreboard] item %d received and compared\n"


def write(path: Path, megabytes: int) -> int:
    """Write it; return its size in bytes."""
    piece = "".join(_LINE % (97 * number, number % 800, number) for number in range(_LINES)).encode()
    with path.open("wb") as file:
        for _ in range(max(1, megabytes * 1_000_000 // len(piece))):
            file.write(piece)
        file.write(b"TEST PASSED\n")
        return file.tell()
