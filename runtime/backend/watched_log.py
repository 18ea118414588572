"""`WatchedLog`: the log of a job that runs, as threads look at it. A link is never followed, a FIFO not waited for."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import attrs

from runtime.backend.log_clock import Look
from runtime.job import JobSpec
from runtime.process import is_out_of_resources
from runtime.verdict import LogFollower, LogPath, last_line, log_status, real_path

_SAYS_NOTHING: Final = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors of a file system, which tell nothing about a log; all others mean that there is none."""


@attrs.frozen
class Searched:
    """What was found of the line from which a job runs."""

    found: bool
    given_up: str | None = None
    """Why the log is not searched any longer; `None` if it is."""


class WatchedLog:
    """A log that is being written. The methods block, but for `paths` and `close`; none raises.

    Args:
        job: whose log it is.
        path: where it is.
        make_follower: returns what searches it for the job's `timeout_from`. Blocks.
    """

    def __init__(self, job: JobSpec, path: LogPath, make_follower: Callable[[JobSpec, LogPath], LogFollower]) -> None:
        self._job = job
        self._path = path
        self._make_follower = make_follower
        self._follower: LogFollower | None = None
        self._searching = threading.Lock()
        self._closed = False

    def paths(self) -> Sequence[str]:
        """Return the paths whose file systems have to answer."""
        return (real_path(self._path),)

    def look(self, *, with_last_line: bool) -> Look | None:
        """Return what the log is like now; `None` if that cannot be found out."""
        try:
            status = log_status(self._path)
            text = ""
            if with_last_line:
                with suppress(OSError):  # the job has replaced it just now
                    text = last_line(self._path, raw=self._job.raw_lines)
            return Look((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), text)
        except OSError as exc:
            return None if exc.errno in _SAYS_NOTHING or is_out_of_resources(exc) else Look(None)
        except Exception:  # noqa: BLE001 - as in `search`
            return None

    def search(self) -> Searched:
        """Search what was written since the last call for the line from which the job runs."""
        with self._searching:
            try:
                if self._follower is None:
                    self._follower = self._make_follower(self._job, self._path)
                return Searched(self._follower.look())
            except (OSError, MemoryError):  # there may be a log, or what is short, next time
                return Searched(found=False)
            except Exception as exc:  # noqa: BLE001 - a look ends well whatever the job has put in the place of its log
                return Searched(found=False, given_up=str(exc) or repr(exc))
            finally:
                if self._closed:  # during this call
                    self.close()

    def close(self) -> None:
        """Release what the search holds, as soon as it does not go on. Idempotent."""
        self._closed = True
        if self._follower is not None:
            self._follower.close()
