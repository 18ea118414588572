r"""Which line of a log explains a failure: the first that names a cause, and not the last that complains. Pure.

Tools end a log with lines that only repeat that something failed: ``make: *** [sim] Error 1``, ``Exiting due to 2
error(s)``, a table of counts. Those are *complaints*. What explains is a line before them, in one of two forms:

* A line in the form of a tool's error message (`ERRORS`), such as ``UVM_ERROR top.sv(5) @ 7: env [ID] text``.
* If the log has none, a line with a word that tells of a failure (`HINTS`), such as ``data mismatch at 5``, and that
  is no *remark*: ``INFO: error injection is off``.

The forms are those of the tools' public documentation. For a tool of which they find nothing, or the wrong line, a job
has fail patterns, and a job file has named rules.
"""

from __future__ import annotations

import re
from typing import Final

MAX_SEARCHED: Final = 300
"""Bytes of a line that are looked at. Arbitrary: ten times more, and long lines take long; ten times less, and a time
stamp and a path hide what follows."""

ERRORS: Final = (
    r"\bUVM_(?:ERROR|FATAL) [^:]",  # and not the counts at the end, ``UVM_ERROR :    2``
    r"^(?:# )?\*\* (?:Error|Fatal|Failure)\b",  # Questa
    r"^\w+: \*[EF],",  # Xcelium: xmvlog, xmelab, xmsim
    r"^(?:Error|Fatal)-\[",  # VCS
    r"^CMake Error\b",
    r": started at [0-9]",  # VCS: a concurrent assertion
    r"%(?:Error|Fatal)[:-]",  # Verilator
    r"(?:^|: )(?:fatal |internal compiler )?error: |^error\[",  # compilers
    r"(?:^|: )\w+ error: |\bsyntax error\b",  # parsers
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|^\W?(?:Error|Fatal)\b|\b(?:Error|Fatal): ",
    r"^(?: *|E +)[\w.]{0,80}(?:Error|Exception|Failure)(?:: |$)|^E +assert ",  # Python, pytest
    r"\b[Aa]ssert(?:ion)? (?:\S+ )?(?:has )?[Ff]ail|\bAssertion (?:error\b|`)",
    r"\bundefined reference to |\bmultiple definition of |\bcannot find -l|\bundefined symbol",  # linkers
    r"\bNo rule to make target |\bcommand not found\b|\bPermission denied\b|\bNo such file or directory\b",
    r"\berror while loading shared libraries\b|\bcannot execute\b|\bNo space left on device\b",
    r"\bSegmentation fault\b|\bBus error\b|\bIllegal instruction\b|\bFloating point exception\b",
    r"^terminate called |\bpanicked at |Sanitizer: |\bruntime error: |\bstack smashing |\bdouble free ",
)
"""Lines in the form of an error message, as in `JobSpec.fail_patterns`."""

HINTS: Final = (
    r"^%Warning-",  # Verilator ends with an error after them
    (
        r"(?i:\b(?:mis-?match(?:es|ed)?|fail(?:s|ed|ure)?|errors?|fatal|illegal|violat(?:ed|ion)|timed?[ -]?out"
        r"|abort(?:ed)?|cannot|can't|could not|unable to|not found|unexpected|invalid|denied|refused|killed|overflow"
        r"|underflow|deadlock|corrupt(?:ed)?|undefined|undeclared|unknown|watchdog|expired|stuck|hung|panic)\b)"
    ),
)
"""Lines with a word that tells of a failure."""

COMPLAINTS: Final = (
    r"\*\*\* .*\bError [0-9]|\*\*\* \[|\*\*\* Waiting for unfinished jobs|^ninja: build stopped",
    r"\bExiting due to [0-9]|\bVerilog \$(?:stop|finish)|^Aborting\.|\bAborted\b",
    r"\*E,(?:VLGERR|ELBERR)\b|\bError loading design\b|\bcompilation terminated\b|\bld returned [0-9]|^\s*Offending '",
    (
        r"(?i:\b(?:test[\w.]{0,60}|testbench|sim|simulation|jobs?|build|run|regression|compilation|elaboration|checks?)"
        r"(?: has| have)? (?:failed|aborted|unsuccessful|(?:finished|ended|completed|done) with)"
        r"(?: (?:with )?(?:[0-9]{1,9} |some |an? )?errors?\b|[,;:.] ?see\b|[^\w:]{0,20}$))"
    ),
    r"\(result was |\bresults\.xml\b",  # cocotb
    r"(?i:\bnon-?zero (?:exit|return)|\b(?:exit|return|terminat)(?:ed)?(?: with)?(?: error)? (?:code|status)\b)",
    r"(?i:^\W{0,20}[0-9]{1,9} (?:errors?|warnings?|failures?)\b)",
    (
        r"(?i:\b(?!error: (?:[0-9.]{1,20} ?[fpnum]?s\b|[0-9]{1,20}: |0x))"  # no count: ``ERROR: 28081 ps: text``
        r"(?:errors?|warnings?|failures?|UVM_\w{1,20}) ?[:=] {0,9}[0-9])"
    ),
    r"^=+ FAILURES =+$",  # pytest
    r"\bignored\W{0,2}$",
    r"(?i:\b(?:see|check|review) (?:the )?(?:\S{1,40} )?(?:log|above)\b)",
)
"""Lines that say no more than that something failed."""

REMARKS: Final = (
    r"\bUVM_(?:INFO|WARNING)\b|\b(?:INFO|DEBUG|WARN)\b|^\[?[IW]\]|\*[WN],|^Warning-\[",
    r"\b(?:[Ww]arning|WARNING|[Nn]ote|NOTE|Info): ",
    r"(?i:\b(?:0|no|without|zero) (?:errors?|fail|mismatch)|\bexpected errors?\b|\berrors? expected\b)",
    r"^\s*(?:File \"|raise |assert |[|^~])|^Traceback |^\s*[0-9]+ \|",
    r"^-- (?:Performing Test|Looking for) .* - (?:Failed|not found)$",  # CMake tries something
    r"^-- Could NOT find |^-- Configuring incomplete, errors occurred!",
)
"""Lines that have a word for a failure, and tell of none."""

END_REPORTS: Final = (
    r"\bS i m u l a t i o n   R e p o r t\b",  # VCS, Verilator
    r"^Time: [0-9]+ ?[fpnum]?s\s*$",  # VCS
    r"^CPU [Tt]ime: ",  # VCS
    r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 0-9]{1,2} [0-9:]{5,8} (?:\w{1,5} )?[0-9]{4}\s*$",
    r"^(?:# )?(?:End time: |Errors: [0-9])",  # Questa
    r"^TOOL:\s.*\bExiting on ",  # Xcelium
    r"^- Verilator: (?:cpu |\$finish at )",
)
"""Lines with which simulators end, whatever happened."""


def is_complaint(line: str) -> bool:
    """Whether a line says no more than that something failed."""
    return _COMPLAINT.search(line[:MAX_SEARCHED]) is not None


def is_of_end_report(line: str) -> bool:
    """Whether a simulator ends with this line, whatever happened."""
    return _END_REPORT.search(line[:MAX_SEARCHED]) is not None


_COMPLAINT: Final = re.compile("|".join(COMPLAINTS), re.ASCII)
_END_REPORT: Final = re.compile("|".join(END_REPORTS), re.ASCII)
