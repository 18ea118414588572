"""Check what local jobs need of the platform when a backend opens; one line names what is missing."""

from __future__ import annotations

import errno
import os
from typing import Final

PAGE: Final = "docs/platform.md"


def missing() -> str | None:
    """Return a message about what is missing for local jobs, and how to get it; `None` if nothing is."""
    pidfd_open = getattr(os, "pidfd_open", None)
    if pidfd_open is None:
        return f"local jobs need Linux, and a Python that has os.pidfd_open: see {PAGE}"
    try:
        os.close(pidfd_open(os.getpid()))
    except OSError as exc:
        if exc.errno in _BUSY:
            return None  # the call exists
        return (
            f"the system refuses pidfd_open ({exc.strerror}); expected Linux 5.3 or later, and a container whose "
            f"seccomp profile allows it: see {PAGE}"
        )
    try:
        known = os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        known = False
    if not known or not os.path.exists("/proc/self/stat"):
        return (
            "there is no /proc that shows the processes of this system, and without it those of a job cannot be found; "
            f"expected mount -t proc proc /proc, in this PID namespace: see {PAGE}"
        )
    return None


_BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of a system that is out of resources, which are no fault of the platform."""
