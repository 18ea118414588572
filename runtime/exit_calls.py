"""Calls of `os._exit` and `os.exec*` by code that is not ours: they raise, where they would end the whole program.

They end a process without a word, with whatever exit code they like: a launcher that calls ``os._exit(0)`` would end a
run without its results, and the exit code would say that all have passed. (Typically half of a fork that mistakes
itself for the child.) So in a thread in which such code is called, and in the command line in each, these functions
raise an error, which fails that call alone. In a process that was forked they do what they always do.

This is a courtesy to code that means no harm, no protection: code in C that calls ``exit`` or ``_exit``, and code that
has imported the name before, ends the process all the same. Against that only a process of its own helps (`isolated`).
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, NoReturn

exit_now: Final[Callable[[int], NoReturn]] = os._exit
"""Ends this process at once: for code of ours."""

_NAMES: Final = ("_exit", "execv", "execve")
"""Functions of `os`; those with other names of their kind call one of these."""

_lock: Final = threading.Lock()
_originals: Final[dict[str, Any]] = {}
_threads: Final[weakref.WeakKeyDictionary[threading.Thread, int]] = weakref.WeakKeyDictionary()
"""Threads in which these functions raise, each with its process: a forked child has a copy of this."""
_programs: Final[set[int]] = set()
"""Processes in which they raise in each thread."""


class EndOfProcessError(SystemExit):
    """Raised instead of the end of the process. A `SystemExit`, so that ``except Exception`` does not swallow it."""


def raise_everywhere() -> None:
    """Let these functions raise in each thread of this process: for a program, never for a library."""
    with _lock:
        _programs.add(os.getpid())
        _install()


def raise_in(thread: threading.Thread) -> None:
    """Let these functions raise in a thread, until that ends."""
    with _lock:
        _threads[thread] = os.getpid()
        _install()


def restore_if_unused() -> None:
    """Put the functions back as they were, unless they are to raise somewhere yet."""
    with _lock:
        if not _programs and not any(thread.is_alive() for thread in _threads):
            _uninstall()


def _install() -> None:
    if not _originals:
        for name in _NAMES:
            _originals[name] = getattr(os, name)
            setattr(os, name, _raising(name, _originals[name]))


def _uninstall() -> None:
    for name, original in _originals.items():
        if getattr(getattr(os, name), "__wrapped__", None) is original:  # else somebody else has put his in its place
            setattr(os, name, original)
    _originals.clear()


def _raising(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def end(*args: Any, **rest: Any) -> Any:
        pid, thread = os.getpid(), threading.current_thread()
        if pid not in _programs and _threads.get(thread) != pid:
            return original(*args, **rest)
        what = f"os.{name}({args[0]!r})" if args else f"os.{name}()"
        if thread not in _threads:  # else it is the reason why a call fails
            import logging  # here, as whoever asks for help waits for this module

            logging.getLogger("runtime").warning("%s was called in the thread %s, and was refused", what, thread.name)
        msg = f"{what} was called, which would end the whole run without results; an isolated launcher may do that"
        raise EndOfProcessError(msg)

    return end
