"""`use_utf8`: the command line uses UTF-8 for all texts, whatever the locale says.

A job file is UTF-8, and its texts go to programs byte for byte. File names, variables and arguments come from the
system as bytes, and go back unchanged. Both hold at once only if Python decodes all of them as UTF-8, which it does in
UTF-8 mode, and by default from Python 3.15 on. In a locale with another encoding a word of a job file would be encoded
in that, or could not be encoded at all. The mode is chosen when Python starts, so the command line starts itself again,
as the first thing that it does. Its jobs do not inherit the mode.

All conversions between text and bytes are those of `os.fsencode` and `os.fsdecode`. In a program that embeds the
library they follow the locale, as in `subprocess`.
"""

from __future__ import annotations

import codecs
import locale
import os
import sys
from typing import Final

_MODE: Final = ("-X", "utf8")


def use_utf8() -> None:
    """Make UTF-8 the encoding of all texts; if need be, by replacing this process with one in UTF-8 mode."""
    if sys.flags.utf8_mode:
        _print_in_locale_encoding()
    elif sys.getfilesystemencoding() != "utf-8":
        _restart()


def _restart() -> None:
    """Replace this process with the same program in UTF-8 mode; return if that is not possible."""
    words = sys.orig_argv
    if getattr(sys, "frozen", False) or not sys.executable or not words or "utf8" in sys._xoptions:
        return  # there is no interpreter to start, or the mode was set explicitly: never start in a loop
    try:
        os.execv(sys.executable, [sys.executable, *_MODE, *words[1:]])
    except OSError:
        return


def _print_in_locale_encoding() -> None:
    """Let standard output and error use the terminal's encoding, unless the user has chosen one."""
    if os.environ.get("PYTHONIOENCODING"):
        return
    try:
        encoding = codecs.lookup(locale.getencoding()).name
    except LookupError:
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.encoding != encoding:
            stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]  # it is a text file
