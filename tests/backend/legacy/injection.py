"""Exceptions that are raised in a thread from outside, at whatever line it is."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable


class _Cleared(Exception):  # noqa: N818 - an end, and no error
    pass


def inject(thread: threading.Thread, error: type[BaseException] = SystemExit) -> None:
    """Raise an exception in a thread, as soon as it runs Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error))


def take_back(threads: Iterable[threading.Thread]) -> None:
    """Take back what was injected and not raised yet. Called at the end of each test that injects.

    CPython 3.11 notes for the whole interpreter that an exception is pending, and only raising one clears that. As long
    as it is noted, a thread that has a trace function does not get beyond the first line of a call. So one is raised.
    """
    for thread in threads:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), None)
    try:
        inject(threading.current_thread(), _Cleared)
        while True:
            pass
    except _Cleared:
        pass
