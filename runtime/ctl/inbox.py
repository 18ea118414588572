"""`Inbox`: the requests that are put into the directory of a run, as the run takes and answers them.

::

    ctl:  ID.new ──fsync, rename──► ID.request        the run:  ID.request ──read, unlink──► done ──► ID.answer

The directory belongs to the user of the run, and has no permissions for others; the owner of each file is checked all
the same. A job runs as that user, so it can ask as well, as it can send signals to the runtime. What it cannot do is
make the runtime hang, crash or grow: no link is followed, nothing but a regular file is read, and of everything there
is a largest amount. A request is removed before it is carried out, so it is never carried out twice.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
from contextlib import suppress
from itertools import islice
from typing import Final

import attrs

from runtime import rooted
from runtime.ctl.messages import MAX_CONTENT, Answer, RunRequest
from runtime.roots import RootedPath

DIRECTORY_NAME: Final = "ctl.requests"
"""The name of the directory in its run directory."""
REQUEST: Final = ".request"
ANSWER: Final = ".answer"
"""The ends of the names of files in it; before them there is the id of the request."""

_NAME: Final = re.compile(rf"([0-9a-f]{{32}}){re.escape(REQUEST)}")
_DIRECTORY_MODE: Final = 0o700
_ANSWER_MODE: Final = 0o600

MAX_ENTRIES: Final = 1000
"""Entries of the directory that are looked at. Arbitrary: ten times as many, which only a job would make, cost a second
of CPU time a minute; a tenth, and answers that nobody has read may hide requests."""
MAX_TAKEN: Final = 10
"""Requests that are taken at once. Arbitrary: a person sends one; ten times as many could delay other work."""
MAX_TOTAL: Final = 4 << 20
"""Bytes of requests that are carried out in all, because the journal keeps each. Arbitrary: one every minute, for a
week. Ten times as many, and a job could make the runtime grow by 100 MB."""
MIN_COUNTED: Final = 256
"""Bytes that each request counts at least: about what its record takes."""


@attrs.frozen
class Received:
    """A request that was taken."""

    id: str
    by: str
    """Who sent it, for people: the owner of its file, and the host that it names."""
    request: RunRequest | None
    """`None` if it is not to be carried out."""
    problem: str = ""
    """Why not."""


class Inbox:
    """The directory of the requests to one run. Every method blocks, and is called by one thread at a time.

    Args:
        run: the run directory.
    """

    def __init__(self, run: RootedPath) -> None:
        self._path: Final = run.below(DIRECTORY_NAME)
        self._identity = (0, 0)
        """Device and inode of the directory that was made."""
        self._owners: set[int] = set()
        """The user ids whose requests are carried out."""
        self._left = MAX_TOTAL

    def _make(self) -> None:
        fd = self._path.make_new_directory(_DIRECTORY_MODE)
        try:
            made = os.fstat(fd)
        finally:
            os.close(fd)
        self._identity = (made.st_dev, made.st_ino)
        # File systems that map users, as NFS with root_squash does, give our files to another user.
        self._owners = {0, os.geteuid(), made.st_uid}

    def take(self) -> list[Received]:
        """Remove and return requests, `MAX_TAKEN` at most.

        The first call makes the directory, and removes what an earlier process of the run has left there. If a job has
        removed it, it is made again.

        Raises:
            OSError: if the directory cannot be made or read, or another one has its name.
        """
        if not self._owners:
            self._path.remove()
        try:
            # Opened each time: a file system of a network asks its server then, so that new files are seen.
            directory = self._path.open_to_list()
        except FileNotFoundError:
            self._make()
            return []
        try:
            found = os.fstat(directory)
            if (found.st_dev, found.st_ino) != self._identity:
                raise OSError(errno.ESTALE, "is not the directory that this run has made", str(self._path))
            with os.scandir(directory) as entries:
                names = [_NAME.fullmatch(entry.name) for entry in islice(entries, MAX_ENTRIES)]
            received = (self._take(directory, name[0], name[1]) for name in names if name is not None)
            return list(islice((each for each in received if each is not None), MAX_TAKEN))
        finally:
            os.close(directory)

    def _take(self, directory: int, name: str, request_id: str) -> Received | None:
        """Remove and return a request; `None` for what is none, or cannot be removed."""
        content, owner = b"", -1
        try:
            fd = rooted.open_regular(directory, name)
        except OSError:
            pass  # a link, a FIFO, a directory, or it was withdrawn; removed below, if that is possible
        else:
            with open(fd, "rb", buffering=0) as file:
                owner = os.fstat(fd).st_uid
                content = _read(file.fileno())
        try:
            rooted.unlink(directory, name)
        except OSError:
            return None  # the next call would carry it out again
        return None if owner < 0 else self._received(request_id, owner, content)

    def _received(self, request_id: str, owner: int, content: bytes) -> Received:
        user = _user_name(owner)
        if owner not in self._owners:
            return Received(request_id, f"ctl of {user}", None, f"it was sent by {user}; expected the owner of the run")
        self._left -= max(len(content), MIN_COUNTED)
        if self._left < 0:
            return Received(request_id, f"ctl of {user}", None, "this process of the run has had too many requests")
        try:
            request = RunRequest.from_content(content)
        except ValueError as exc:
            return Received(request_id, f"ctl of {user}", None, f"the request cannot be read: {exc}")
        where = f" on {request.host}" if request.host else ""
        return Received(request_id, f"ctl of {user}{where}", request)

    def answer(self, request_id: str, answer: Answer) -> None:
        """Write the answer to a request.

        Raises:
            OSError: if that fails.
        """
        self._path.below(f"{request_id}{ANSWER}").replace(answer.to_content(), _ANSWER_MODE)

    def close(self) -> None:
        """Remove the directory, unless somebody has still to read an answer, or a job has put anything there."""
        with suppress(OSError):
            self._path.remove_empty()


def _read(fd: int) -> bytes:
    """Return at most `MAX_CONTENT` bytes, and one more if there are more; nothing if it cannot be read."""
    try:
        return os.pread(fd, MAX_CONTENT + 1, 0)
    except OSError:
        return b""


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return f"the user {uid}"
