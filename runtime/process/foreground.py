"""Writing to a terminal from the background, where that may stop the writer.

The system sends SIGTTOU to the process group of whoever writes there with ``stty tostop``, or changes the terminal's
modes. Ignoring the signal would be inherited by what other people's code starts; so it is blocked, in the thread that
writes, while it writes. And as the person does not want to see output from the background, it is left out.
"""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager


def is_foreground(fd: int) -> bool:
    """Whether the terminal `fd` belongs to our process group now, or is none that could belong to another."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def is_output_unwanted(fd: int) -> bool:
    """Whether a write to `fd` would stop this process: a terminal with ``tostop``, and we are in its background."""
    try:
        return bool(termios.tcgetattr(fd)[3] & termios.TOSTOP) and not is_foreground(fd)
    except termios.error:
        return False


@contextmanager
def without_stop() -> Iterator[None]:
    """Let what this thread does to a terminal not stop the process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
