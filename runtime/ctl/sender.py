"""Sends a request to a run through its directory, and waits for the answer. Blocks."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable
from typing import Final

from runtime import rooted
from runtime.ctl.inbox import ANSWER, DIRECTORY_NAME, REQUEST
from runtime.ctl.messages import MAX_CONTENT, Answer, RunRequest
from runtime.roots import RootedPath

ANSWER_TIMEOUT: Final = 15.0
"""Seconds that a run may take to answer. Arbitrary: it looks once a second, and a network file system may need some to
show a new file on another host. Ten times longer, a run that is suspended looks like a hang; ten times shorter, one
that is busy seems to be."""
_INTERVAL: Final = 0.1
"""Seconds between two looks for the answer. Arbitrary: for a person at once; a tenth loads a file server."""
_MODE: Final = 0o644
"""For a request of root to the run of another user, who could not read it. Only that user can open the directory."""


class NoAnswerError(Exception):
    """The run has not answered. The message says whether it may have carried out the request."""


class NotOwnerError(Exception):
    """The run belongs to another user."""


def check_owner(run: RootedPath) -> None:
    """Check that this user may ask the run in a directory.

    Raises:
        NotOwnerError: if it belongs to another user, and this one is not root.
        OSError: if its owner cannot be determined.
    """
    owner = run.status().st_uid
    if os.geteuid() not in (0, owner):
        raise NotOwnerError(f"it belongs to the user {owner}; expected a run of one's own")


class Request:
    """One request to the run in a directory: `send`, then `wait`.

    Args:
        run: the run directory.
        request: what is asked.
    """

    def __init__(self, run: RootedPath, request: RunRequest) -> None:
        self._box: Final = run.below(DIRECTORY_NAME)
        self._id: Final = secrets.token_hex(16)
        self._request: Final = request

    def send(self) -> None:
        """Put the request into the directory.

        Raises:
            ValueError: if the request is too long.
            OSError: if it cannot be written.
        """
        content = self._request.to_content()
        if len(content) > MAX_CONTENT:
            raise ValueError(f"the request has {len(content)} bytes; expected at most {MAX_CONTENT}")
        found = self._box.status()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is no directory", str(self._box))
        new = self._box.below(f"{self._id}.new")
        fd = new.create(_MODE)
        try:
            os.fchmod(fd, _MODE)  # whatever the umask is
            rooted.write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        new.rename(f"{self._id}{REQUEST}")

    def wait(
        self,
        timeout: float = ANSWER_TIMEOUT,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Answer:
        """Wait for the answer, and return it. Without one, or by an exception, the request is withdrawn.

        Args:
            timeout: seconds.
            clock: tells the time, in seconds.
            sleep: waits for so many seconds.

        Raises:
            NoAnswerError: if there is none in time, or none that can be read.
            OSError: if the directory cannot be read.
        """
        end = clock() + timeout
        try:
            while (answer := self._read()) is None:
                if clock() >= end:
                    raise NoAnswerError(self._why(timeout))
                sleep(_INTERVAL)
            return answer
        finally:
            self._withdraw()

    def _read(self) -> Answer | None:
        """Return the answer; `None` if there is none yet."""
        # The directory is opened first: a file system of a network asks its server then.
        try:
            directory = self._box.open_to_list()
        except FileNotFoundError as exc:
            raise NoAnswerError("it has ended before it answered") from exc
        try:
            fd = rooted.open_regular(directory, f"{self._id}{ANSWER}")
        except FileNotFoundError:
            return None
        finally:
            os.close(directory)
        with open(fd, "rb", buffering=0) as file:
            content = file.read(MAX_CONTENT + 1)
        self._box.below(f"{self._id}{ANSWER}").unlink(missing_ok=True)
        try:
            return Answer.from_content(content)
        except ValueError as exc:
            raise NoAnswerError(f"its answer cannot be read: {exc}") from exc

    def _why(self, timeout: float) -> str:
        if self._withdraw():
            return f"it has not looked for requests for {timeout:g} s; the request is withdrawn"
        return f"it has taken the request, and has not answered within {timeout:g} s"

    def _withdraw(self) -> bool:
        """Remove the request; return whether it was still there."""
        try:
            self._box.below(f"{self._id}{REQUEST}").unlink()
        except OSError:
            return False
        return True
