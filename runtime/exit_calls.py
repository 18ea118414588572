"""Makes `os._exit` and `os.exec*` raise in code of users, where they would end the whole program.

These functions end a process at once, with any exit code. A launcher that calls ``os._exit(0)`` would end a run without
results, and the exit code would say that all jobs passed. (Typically it is the parent after a fork, taking itself for
the child.) So in a thread that calls launchers, and in the command line in every thread, these functions raise an
error, which fails that call alone. In a process that was forked they work as usual.

This catches mistakes; it is no protection. C code that calls ``exit`` or ``_exit``, and code that imported a function
before, still ends the process. Only a process of their own for the launchers protects against that (``isolated``).
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

exit_now: Final[Callable[[int], NoReturn]] = os._exit
"""The original `os._exit`, which ends this process at once, for the runtime itself."""
exec_now: Final = os.execve
"""The original `os.execve`, which replaces this process by another program, for the runtime itself."""

_NAMES: Final = ("_exit", "execv", "execve")
"""The functions of `os` that are replaced; the other ``exec`` functions call one of these."""

_lock: Final = threading.Lock()
_originals: Final[dict[str, Callable[..., object]]] = {}
_threads: Final[weakref.WeakKeyDictionary[threading.Thread, int]] = weakref.WeakKeyDictionary()
"""The threads in which these functions raise, each with the pid: a forked child inherits this, and must not raise."""
_programs: Final[set[int]] = set()
"""The pids of processes in which they raise in every thread."""


class EndOfProcessError(SystemExit):
    """Raised instead of the end of the process. A `SystemExit`, so that ``except Exception`` does not swallow it."""


def raise_everywhere() -> None:
    """Make these functions raise in every thread of this process. For a program, never for a library."""
    with _lock:
        _programs.add(os.getpid())
        _install()


def raise_in(thread: threading.Thread) -> None:
    """Make these functions raise in a thread, until it ends."""
    with _lock:
        _threads[thread] = os.getpid()
        _install()


def restore_if_unused() -> None:
    """Restore the original functions, unless they must still raise in some thread."""
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
        # Other code may have replaced the function since; to restore ours would undo that.
        if getattr(getattr(os, name), "__wrapped__", None) is original:
            setattr(os, name, original)
    _originals.clear()


def _raising(name: str, original: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(original)
    def end(*args: P.args, **rest: P.kwargs) -> T:
        pid, thread = os.getpid(), threading.current_thread()  # the pid differs in a forked child, which may exit
        if pid not in _programs and _threads.get(thread) != pid:
            return original(*args, **rest)
        what = f"os.{name}({args[0]!r})" if args else f"os.{name}()"
        if thread not in _threads:  # a launcher's call fails with this error as its reason, so it needs no warning
            import logging  # here, as ``--help`` imports this module and must be fast

            logging.getLogger("runtime").warning("%s was called in the thread %s, and was refused", what, thread.name)
        msg = f"{what} was called, which would end the whole run without results; an isolated launcher may do that"
        raise EndOfProcessError(msg)

    return end
