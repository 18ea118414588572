"""Signal handling of a helper process that runs other people's Python: the defaults, except for broadcast signals."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

SENT_TO_ALL: Final = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""Broadcast signals: systemd sends them to all processes of a service, Slurm of an allocation, Grid Engine of a job."""


def restore_default_signals() -> None:
    """Unblock all signals, and ignore none except the two that Python ignores, and restores in children.

    Only for a helper process, before other code runs in it: the signals of an embedding program are its own.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def survive_signals_to_all() -> None:
    """Survive the signals of `SENT_TO_ALL`: the parent decides when this process ends."""
    # Handled, not ignored or blocked, which a program that is started here would inherit. A forked child that executes
    # no other program gets the defaults again, so that `multiprocessing.Process.terminate` works.
    for number in SENT_TO_ALL:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _survive)
    mask = threading.local()

    def block() -> None:
        mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, SENT_TO_ALL)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask.before)

    def have_defaults() -> None:
        for number in SENT_TO_ALL:
            if signal.getsignal(number) is _survive:  # not a handler that a launcher has installed
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        unblock()

    # Blocked during the fork: a signal that reaches the child before it has the defaults would be lost.
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=have_defaults)


def _survive(*_: object) -> None:
    """Do nothing."""
