"""The signals of a process that runs other people's Python: as usual, but for those that are sent to everybody."""

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
"""What systemd sends to each process of a service, Slurm to each of an allocation, and Grid Engine to each of a job."""


def take_signals_as_usual() -> None:
    """Unblock all signals of this process, and ignore none, but for two that Python ignores and undoes in children.

    For a process of its own, before anything else runs in it: an embedding program's signals are its own.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def survive_signals_to_all() -> None:
    """Let no signal of `SENT_TO_ALL` end this process: it ends when its parent has no more use for it.

    They are handled, not ignored or blocked, as a program that is started here would inherit that. What is forked here,
    and becomes no other program, has them as usual again: so `multiprocessing.Process.terminate` works.
    """
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
            if signal.getsignal(number) is _survive:  # and not what a launcher has installed
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        unblock()

    # Blocked meanwhile: a signal that comes to a child before it has the defaults would be lost.
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=have_defaults)


def _survive(*_: object) -> None:
    """Do nothing."""
