"""`normalise`: a message without what differs from run to run, so that one cause has one message. Pure.

What differs is replaced by a word that says what was there: numbers (also those at the end of a name or of a part of
it, such as the index of an instance, but for a few names), times, addresses and other hexadecimal values, paths, and
the hierarchy above the last name of an instance. The name of a source file stays, as it tells where to look; its
directory does not. Where something is missing, the place that asks for it goes, too: one header that is gone stops many
files.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from runtime.job.shorten import shorten

MAX_LENGTH: Final = 300
"""Characters of a normalised message. Arbitrary: ten times more, and differences far behind the cause would make two
buckets of one; ten times less, and different failures would look alike."""

_MAX_READ: Final = 600
"""Characters that are normalised: more than `MAX_LENGTH`, as a long path would push the cause out of it. Arbitrary: ten
times more take ten times as long; ten times less cuts messages with long paths."""

_PREFIX: Final = re.compile(
    r"# (?:KERNEL: )?"  # of each line of a transcript
    r"|[^\s:]{1,200}: line [0-9]+: *(?:[0-9]+ )?"  # of a shell: where, and which process
    r"|make\[[0-9]+\](?=: )"
    r"|[\w./+-]{1,200}: (?=[^\s:]{1,200}\.\w{1,9}:[0-9]+: )"  # of a program, before the file and the line
)

_MISSING: Final = (
    *("o such file", "an't find", "annot find", "annot open", "an't open", "annot locate", "ot found", "ot be found"),
    *("ndeclared", "ndefined", "nresolved", "nknown module", "ot declared", "ot been declared", "o module named"),
    "o rule to make",
)
"""What messages have that tell of something missing, but for letters that may be capital."""
_PLACE: Final = re.compile(
    r"(?:^|(?<=\s))[^\s:;,'\"()]+"  # a file, and after it
    r"(?::[0-9]+(?::[0-9]+)?:|\([0-9]+\):|:\(\.\w+\+\w+\):|, [0-9]+(?=\s|$))"  # :1:2: or (1): or :(.text+1): or , 1
    r"|(?:^|(?<=\s))\([^\s()]+,[0-9]+\|[0-9]+\):?"  # (file,1|2)
    r"|^(?:\S*/)?ld(?:\.\w+)?: "
    r"|\b(?:File|Instance): \S+"
)

_PATH: Final = re.compile(r"(?<![\w./$-])(?:\.{0,2}/|[\w.+-]+/)[^:;,'\"()\[\]`]*")
_PLAIN: Final = re.compile(r"[A-Za-z]+/[A-Za-z]+[.!?]?$")
"""Two words, as in ``push/pop``, perhaps at the end of a sentence."""
_SOURCE: Final = re.compile(r"[\w+-]+\.(?:s?vh?|svi|vhdl?|c|cc|cpp|cxx|h|hh|hpp|hxx|py|rs|go|tcl|S|mk)$")
"""The name of a source file at the end of a path."""
_FILE: Final = re.compile(r"[\w.+-]+\.\w+$")
"""The name of any file at the end of a path."""

_INDEX: Final = r"(?:\[[^\]]{0,20}\])*"
_HIERARCHY: Final = re.compile(
    rf"(?<![\w.$])(?:uvm_test_top\.|(?:[A-Za-z_]\w*{_INDEX}\.){{2}})(?:[A-Za-z_]\w*{_INDEX}\.)*"
    r"(?=[A-Za-z_])(?!(?:value|integer)\b)"  # of a signal in Python: its name is before that
)
_NUMBER: Final = re.compile(
    r"(0[xX][0-9a-fA-F_xXzZ]+|(?<!\w)[0-9]*'s?[hHbBdDoO][0-9a-fA-F_xXzZ?]+(?![\w']))"
    r"|(?<!\w)(?:[0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]*(?!\w|[-+][0-9])"
    r"|(?<!\w)(?:[0-9]+[A-F]|[A-F]+[0-9])[0-9A-F]*(?!\w|[-+][0-9])"
    r"|(?<!\w)[01xXzZuU]{2,}(?!\w)"
    r"|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
)
"""With a prefix, as ``0x1f`` and ``8'hx``, which is the group; or without: some values have letters, some none."""
_OF_NAME: Final = re.compile(
    r"(?<=[A-Za-z])[0-9]+(?=[A-Za-z])|(?<=AXI)[345](?![0-9])|(?<=[Cc][Rr][Cc])(?:8|16|24|32|64)(?![0-9])"
)
"""Digits that belong to a name: those between letters, as in ``cc1plus``, and those of ``AXI4`` and ``crc16``. Others
at the end of a name, or of a part of it, may be the index of an instance."""
_UNKNOWN_VALUE: Final = re.compile(r"(?<==)[0-9a-fA-FxXzZ]{1,64}(?!\w)")
_VARIES: Final = re.compile(r"[0-9./='-]")
"""A character that each text has which varies."""

# Of words that were replaced. Each begins with a constant, for which `re` searches fast.
_TIME: Final = re.compile(r"<n> ?[fpnumFPNUM][sS]\b")
_AT_TIME: Final = re.compile(r"@ ?<(?:n|time)>(?: [fpnum]?s\b)?")
_SIGNED: Final = re.compile(r"(?<![\w)\]>])[-+]<n>")
_SEVERAL: Final = re.compile(r"<n>(?:[,:/_ -]{1,3}<n>)+")
_LETTERS: Final = re.compile(r"\b(got|expected) [a-fxzXZ]{1,64}\b")
"""A hexadecimal value without a digit, or one that is not known."""


@lru_cache(maxsize=4096)
def normalise(message: str) -> str:
    """Return a message of at most `MAX_LENGTH` characters, with a word in angle brackets for each text that varies."""
    message = message.lstrip()[:_MAX_READ]
    if (prefix := _PREFIX.match(message)) is not None:
        message = message[: prefix.start() + 4 * message.startswith("make")] + message[prefix.end() :]
    fold = _fold
    for words in _MISSING:
        if words in message:
            message, fold = _PLACE.sub("", message), _fold_but_files
            break
    message = " ".join(map(fold, message.split()))
    message = _AT_TIME.sub("@ <time>", _TIME.sub("<time>", message))
    if "-<n>" in message or "+<n>" in message:
        message = _SIGNED.sub("<n>", message)
    if "got " in message or "expected " in message:
        message = _LETTERS.sub(r"\1 <n>", message)
    return shorten(_SEVERAL.sub("<n>", message), MAX_LENGTH)


# Most words of a message are in many others.
@lru_cache(maxsize=4096)
def _fold(word: str) -> str:
    return _folded(word, _SOURCE) if _VARIES.search(word) else word


@lru_cache(maxsize=4096)
def _fold_but_files(word: str) -> str:
    return _folded(word, _FILE) if _VARIES.search(word) else word


def _folded(word: str, file: re.Pattern[str]) -> str:
    """Return a word without what varies; of a path whose end is a `file`, the name stays."""
    if "/" in word:
        word = _PATH.sub(lambda found: _file_name(found[0], file), word)
    if "." in word:
        word = _HIERARCHY.sub("<hier>.", word)
    word = _NUMBER.sub(_number, word)
    if "=" in word:
        word = _UNKNOWN_VALUE.sub("<n>", word)
    return word.replace("-.--", "<n>")


def _file_name(path: str, file: re.Pattern[str]) -> str:
    if _PLAIN.match(path):
        return path
    name = file.search(path)
    return "<path>" if name is None else name[0]


def _number(found: re.Match[str]) -> str:
    if found[1] is not None:
        return "<hex>"
    name = _OF_NAME.match(found.string, found.start())
    return name[0] if name is not None and name.end() == found.end() else "<n>"
