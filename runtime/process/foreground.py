"""Write to a terminal from a background process group without being stopped.

The kernel sends SIGTTOU to a background process group that writes to a terminal with ``stty tostop``, or changes the
terminal's modes. If the signal were ignored, programs that are started here would inherit that; so it is blocked in the
writing thread during the write. Output that ``tostop`` would stop is omitted: the user does not want to see it.
"""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager


def is_foreground(fd: int) -> bool:
    """Whether this process group has the foreground of the terminal `fd`. True if it is another terminal, or none."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def would_stop_writer(fd: int) -> bool:
    """Whether a write to `fd` would stop this process, in the background of a terminal with ``tostop``."""
    try:
        return bool(termios.tcgetattr(fd)[3] & termios.TOSTOP) and not is_foreground(fd)
    except termios.error:
        return False


@contextmanager
def without_stop() -> Iterator[None]:
    """Block SIGTTOU in this thread for a block, so that its use of a terminal does not stop the process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
