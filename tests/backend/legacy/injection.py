"""Raises exceptions in other threads, at whatever line they are."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable


class _Cleared(Exception):  # noqa: N818 - not an error, but the end of a loop
    pass


def inject(thread: threading.Thread, error: type[BaseException] = SystemExit) -> None:
    """Raise an exception in a thread, as soon as it runs Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error))


def take_back(threads: Iterable[threading.Thread]) -> None:
    """Withdraw injected exceptions that were not raised yet. Called at the end of each test that injects.

    CPython 3.11 has one flag per interpreter for pending exceptions, and only raising one clears it. While it is set, a
    thread with a trace function does not get beyond the first line of a call. So one is raised here.
    """
    for thread in threads:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), None)
    try:
        inject(threading.current_thread(), _Cleared)
        while True:
            pass
    except _Cleared:
        pass
