"""What is a signal called? It imports nothing of this project: a signal may come while that is imported."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM``, ``SIGRTMIN+3``, or ``signal 99`` if it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number in signal.valid_signals() else f"signal {number}"
