"""`take_signals_as_usual`: what a new process does, as whoever started the runtime may have blocked or ignored some."""

from __future__ import annotations

import signal


def take_signals_as_usual() -> None:
    """Unblock all signals of this process, and ignore none, but for two that Python ignores and undoes in children.

    For a process of its own, before anything else runs in it: an embedding program's signals are its own.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
