"""Names of jobs that do harm where they are taken for something else than text."""

from __future__ import annotations

NAMES = [
    "../escape",
    "../../escape",
    "/absolute",
    "a/b/c",
    ".",
    "..",
    "...",
    ".hidden",
    "-rf",
    "--help",
    "$(touch injected)",
    "`touch injected`",
    "; touch injected;",
    "&& touch injected",
    "| touch injected",
    "'; touch injected; '",
    '"; touch injected; "',
    "\\'; touch injected #",
    "${IFS}touch${IFS}injected",
    "new\nline\ntouch injected",
    "tab\tand\rreturn",
    "esc\x1b[2J\x1b]0;title\x07",
    "\x9b2J",
    "\u202eright to left",
    "zero\u200bwidth\ufeff",
    "[red]markup[/red]",
    "%2E%2E",
    "~root",
    "*?[a-z]{a,b}!",
    "x" * 300,
    "žluťoučký 中文 🐎",
]
# A NUL cannot be put into a command, and a lone surrogate only if it stands for a byte; so theirs have no name in it.
UNSPEAKABLE = ["nul\0byte", "lone \ud800 surrogate", "\udcff"]
