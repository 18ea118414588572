"""`whole_message`: a message of several lines, from the line of the log that explains a failure. Pure.

The line alone is often the same for many causes: the lines around it tell them apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Final

_BLOCK: Final = re.compile(r"(?:Error|Fatal|Warning)-\[")
"""The first line of a message of VCS, which goes on to an empty line."""
_HEADER: Final = re.compile(r".*(?:at time [0-9.]+ ?\w*|\(time [^()]*\))\s*$")
"""The first line of a message of VCS or Xcelium, which tells where and when. The text is in the lines after it."""
_LABELLED: Final = re.compile(r"(?:#\s)?\s+(?:[A-Z][\w ]{0,20}|what\(\)): ")
"""A further line of a message of Questa, Xcelium or C++: ``#    Time: 5 ns  Scope: tb.dut``, ``  what():  map::at``.
The counts of Questa's end report, ``# Errors: 1``, are less indented."""
_INDENTED: Final = re.compile(r"\s+\S")
_CMAKE: Final = re.compile(r"CMake Error .*:\s*$")
"""The first line of a message of CMake: where. The text is indented."""
_CRASH: Final = re.compile(r"Segmentation fault|\bSIGSEGV\b|AddressSanitizer: SEGV")
_FRAME: Final = re.compile(r"(?:# )?\s*#([0-9]{1,9}):? +(?:0x[0-9a-fA-F]+ in )?([^\s(?]+)")
"""A line of a stack, as gdb, VCS, Questa and sanitizers write it: the number, and the function if it is known."""
_HANDLER: Final = "<signal"
"""How ``<signal handler called>`` begins. The frames before it are those of what shows the stack."""
_SHOWS_STACK: Final = re.compile(r"_*(?:waitpid|wait4|raise|abort|kill)\b")
"""The first frame of a stack whose signal handler is not among the lines."""
_BARE_EXCEPTION: Final = re.compile(r"\s*[\w.]*(?:Error|Exception|Failure)\s*$")
"""The last line of a traceback, of an exception without a message: the lines before tell what was done."""
_BARE_VALUES: Final = re.compile(
    r"\s*(?:E +)?(?:[\w.]*AssertionError: assert|ValueError: invalid literal for int\(\) with base [0-9]+)\b"
    r"|E +assert\b"
)
"""The same of one whose message has no more than values: ``AssertionError: assert 3 == 4``."""
_NO_CODE: Final = re.compile(r"[\s^~]*$")
"""A line of a traceback that marks a part of the one before."""


def whole_message(context: Sequence[str], index: int) -> str:
    """Return the message of which a line is the first."""
    line = context[index]
    before, after = context[max(0, index - 4) : index], context[index + 1 : index + 5]
    if _BLOCK.match(line):
        return " ".join([line, *itertools.takewhile(str.strip, after)])
    if _HEADER.match(line):
        after = after[: 1 if line.startswith(("Error", "Fatal")) else 2]  # VCS does not tell the scope again
        return " ".join([line, *itertools.takewhile(str.strip, after)])
    if _BARE_EXCEPTION.match(line):
        return " ".join([*before, line])
    if (values := _BARE_VALUES.match(line)) is not None and (code := _failing_code(before)):
        return " ".join([*code, values[0]])
    if _CMAKE.match(line):
        return " ".join([line, *itertools.takewhile(_INDENTED.match, after)])
    if _CRASH.search(line) and (function := _crashed_function(context[index + 1 :])) is not None:
        return f"{line.rstrip(' .')} in {function}"
    return " ".join([line, *itertools.takewhile(_LABELLED.match, after)])


def _failing_code(before: Sequence[str]) -> list[str]:
    """Return the end of a traceback, or the line that pytest marks, of the lines before an exception; else nothing."""
    for at in range(len(before) - 1, -1, -1):
        if before[at].startswith(">"):
            return list(before[at:])
        if before[at].lstrip().startswith("Traceback "):
            before = before[at + 1 :]
            break
    if not any(line.lstrip().startswith('File "') for line in before):
        return []
    return [line for line in before if not _NO_CODE.match(line)]


def _crashed_function(after: Sequence[str]) -> str | None:
    """Return the function that crashed, of the lines after the message; `None` if they do not tell."""
    frames = [(int(found[1]), found[2]) for line in after if (found := _FRAME.match(line)) is not None]
    for (_, function), (_, caller) in itertools.pairwise(frames):
        if function == _HANDLER:
            return caller
    number, function = frames[0] if frames else (1, "")
    return function if number == 0 and not _SHOWS_STACK.match(function) else None
