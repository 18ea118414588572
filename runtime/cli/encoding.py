"""One encoding for all texts: UTF-8, whatever the locale says.

A job file is UTF-8, and what stands there goes to programs byte for byte. Names of files, variables and arguments come
from the system as bytes, and go back as they were. Both hold at once only if Python takes all of them for UTF-8: it
does so in UTF-8 mode, as from Python 3.15 on by itself. In a locale of another encoding a word of a job file would be
written in that (or could not be at all), and nothing could be done about it later: the mode is chosen when Python
starts. So the command line starts itself again, as the first thing that it does. Its jobs do not inherit the mode.

Wherever a text becomes bytes, or bytes a text, `os.fsencode` and `os.fsdecode` say how. A program that uses the library
has them as its locale says, like `subprocess`.
"""

from __future__ import annotations

import codecs
import locale
import os
import sys
from typing import Final

_MODE: Final = ("-X", "utf8")


def use_utf8() -> None:
    """See that texts are UTF-8: replace this process by one in which they are, if need be."""
    if sys.flags.utf8_mode:
        _speak_as_the_locale()
    elif sys.getfilesystemencoding() != "utf-8":
        _start_again()


def _start_again() -> None:
    """Start this program again in UTF-8 mode; return if that is not possible."""
    words = sys.orig_argv
    if getattr(sys, "frozen", False) or not sys.executable or not words or "utf8" in sys._xoptions:
        return  # it is no interpreter that runs us, or it was told already
    try:
        os.execv(sys.executable, [sys.executable, *_MODE, *words[1:]])
    except OSError:
        return


def _speak_as_the_locale() -> None:
    """Write for people in the encoding of their terminal, unless they have chosen one."""
    if os.environ.get("PYTHONIOENCODING"):
        return
    try:
        encoding = codecs.lookup(locale.getencoding()).name
    except LookupError:
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.encoding != encoding:
            stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]  # it is a text file
