"""The version of the index is increased when what it remembers of the same journal changes."""

from __future__ import annotations

import zlib

from runtime.history.rows import SCHEMA, VERSION
from runtime.job import FailureKind, JobStatusInfo
from runtime.report.buckets import bucket_of

MESSAGES = [
    "UVM_ERROR /proj/dv/scoreboard.sv(87) @ 1204 ns: uvm_test_top.env.sb [SB] read 0xdead, expected 0xbeef",
    "UVM_FATAL @ 17ps: uvm_test_top.env_3.agent[2].drv [NOVIF] no virtual interface",
    "Error-[SE] Syntax error at /home/u/rtl/top.v, 12: token is 'end'",
    "xmsim: *E,ASRTST (./tb.sv,44): (time 100 NS) Assertion tb.dut.check has failed",
    "%Error: top.sv:17: Verilog $stop, seed 1817326557",
    "AssertionError: count is 17; expected 18, at 2026-01-02 03:04:05",
    "exit code 3",
    "gcc: cannot execute 'cc1plus' for crc16 of AXI4 port axi_3",
    "UVM_ERROR @ 5: pool [POOL] never constructed/allocated.",
    "assert dut.fifo.level.value == 4",
    "CMake Error at CMakeLists.txt:22 (find_package):\n  Boost is missing.",
    "due to a signal: Segmentation fault\n#0  0x7f in step (n=3)",
    '  File "/a/test_fifo.py", line 3, in test_level\nAssertionError: assert 3 == 4',
    "# ** Fatal: (vsim-3601) bad\n# Errors: 1, Warnings: 0",
]

KNOWN = {2: 3774931924, 3: 2418781162}
"""By version, the checksum of the schema and of the buckets of these messages; of an old version, of those it had."""


def test_the_version_is_increased_with_every_change_of_the_schema_and_of_what_buckets_are() -> None:
    lines = [text.split("\n") for text in MESSAGES]
    reasons = [JobStatusInfo(context[0], None, context, FailureKind.EXIT_CODE) for context in lines]
    content = "\n".join([SCHEMA, *(bucket_of(reason).message for reason in reasons)])
    # If this fails, indexes have buckets that new runs have not: increase VERSION, and add a line to KNOWN.
    assert zlib.crc32(content.encode()) == KNOWN[VERSION]
