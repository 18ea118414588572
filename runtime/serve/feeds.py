"""`Feeds`: the runs that somebody looks at. Each is followed once, however many look.

A viewer is given the newest snapshot, and the next one when it has taken that: there is no queue, so one that is slow
misses snapshots and holds nothing up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from runtime.errors import JournalVersionError
from runtime.journal.follower import follow
from runtime.roots import RootedPath
from runtime.serve.snapshot import RunView

logger: Final = logging.getLogger("runtime.serve")

INTERVAL: Final = 0.5
"""Seconds between two snapshots, at least. Arbitrary: people see no difference; ten times shorter costs ten times the
CPU time, for each viewer."""
FIRST_LOOK: Final = 0.5
"""Seconds after which a run is shown as it was at some earlier time, if its journal is not read to the end. Arbitrary:
ten times longer, and the page of a large run is empty for long; ten times shorter, and small ones flicker."""
LINGER: Final = 10.0
"""Seconds for which a run is still followed after the last look, or kept after its end. Arbitrary: a page makes several
requests, each of which would read the whole journal; ten times longer holds memory for nobody."""
MAX_FEEDS: Final = 16
"""Runs that are followed at a time. Arbitrary: each holds the state of a run, which is some 100 MB for 100,000 jobs."""
LOAD_TIMEOUT: Final = 60.0
"""Seconds in which the journal of a run has to be read. Arbitrary: that of a million jobs takes half of it."""
_NOT_UNDERSTOOD: Final = "its journal cannot be understood"
_IS_READ: Final = "its journal is being read: this is how the run was earlier"


class UnavailableError(Exception):
    """A run cannot be followed, at least not now; the message says why."""


class Feed:
    """A run that is followed.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: RootedPath) -> None:
        self.view: Final = RunView(str(directory))
        self.is_live: bool = True
        """Whether the run may go on. It is not known until `loaded`."""
        self.loaded: Final = trio.Event()
        """All that the journal had was read, or it cannot be read."""
        self.is_shown: Final = trio.Event()
        """There is a snapshot, or there will be none."""
        self.error: str | None = None
        """Why the journal could not be read (to its end)."""
        self.viewers = 0
        self.looked_at: float = trio.current_time()
        """When the last viewer came or left."""
        self.scope: Final = trio.CancelScope()
        self._directory = directory
        self._changed = trio.Event()
        self._version = 0
        self._newest = b""
        self._is_last = False
        """Whether no snapshot comes after the newest one."""
        self._is_broken = False
        """Whether no snapshot can be made."""
        self._published = trio.Event()
        """Set when there is a newer snapshot than the one when it was made."""

    async def run(self) -> None:
        """Follow the run until it ends; make snapshots meanwhile."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._publish, nursery.cancel_scope)
                await self._follow()
        except* Exception:
            # `_follow` raises none. As there: it must end neither this process nor the feeds of other runs.
            logger.debug("%s", self._directory, exc_info=True)
            self.error, self.is_live, self._is_broken = _NOT_UNDERSTOOD, False, True
            for event in (self.loaded, self.is_shown, self._published):
                event.set()

    async def _follow(self) -> None:
        follower = follow(self._directory)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._note_loaded, follower.caught_up)
                async for record in follower:
                    self.view.apply(record)
                    self._changed.set()
                nursery.cancel_scope.cancel()
        except* (OSError, JournalVersionError) as group:
            self.error = str(group.exceptions[0])
        except* Exception:
            # A journal that a job has written must end neither this process nor the feeds of other runs.
            logger.debug("%s", self._directory, exc_info=True)
            self.error = _NOT_UNDERSTOOD
        self.is_live = False
        self.loaded.set()
        self._changed.set()

    @trio.lowlevel.enable_ki_protection
    async def _note_loaded(self, caught_up: trio.Event) -> None:
        await caught_up.wait()
        self.loaded.set()
        self._changed.set()

    @trio.lowlevel.enable_ki_protection
    async def _publish(self, scope: trio.CancelScope) -> None:
        """Make a snapshot when something has changed, and not again for `INTERVAL`."""
        with trio.move_on_after(FIRST_LOOK):
            await self.loaded.wait()
        while not (self.loaded.is_set() or self.view.state.segments):  # no record was read yet
            self._changed = trio.Event()
            await self._changed.wait()
        while not self._is_last:
            self._changed = trio.Event()
            note = self.error or ("" if self.loaded.is_set() else _IS_READ)
            self._newest = self.view.snapshot(time.time(), is_live=self.is_live, note=note)
            self._is_last = not self.is_live
            self.is_shown.set()
            self._version += 1
            published, self._published = self._published, trio.Event()
            published.set()
            if not self._is_last:
                await trio.sleep(INTERVAL)
                await self._changed.wait()
        scope.cancel()

    async def next(self, version: int) -> tuple[int, bytes]:
        """Wait for a snapshot that is newer than `version` (0: any); return its version, and the snapshot.

        The version is -1 with the last one, after which none comes.

        Raises:
            UnavailableError: if none can be made.
        """
        while not self._is_broken and (self._version == version or not self._version):
            await self._published.wait()
        if self._is_broken:
            raise UnavailableError(_NOT_UNDERSTOOD)
        return (-1 if self._is_last else self._version), self._newest


class Feeds:
    """The runs that are followed.

    Args:
        nursery: for their tasks.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._feeds: dict[str, Feed] = {}

    @asynccontextmanager
    async def look(self, name: str, directory: RootedPath, *, is_whole: bool = True) -> AsyncIterator[Feed]:
        """Follow a run for a block, which begins when its journal was read.

        Args:
            name: of its directory.
            directory: the run directory.
            is_whole: false to begin as soon as there is a snapshot, though it be of an earlier time.

        Raises:
            UnavailableError: if its journal cannot be read, or that takes too long, or too many runs are followed.
        """
        feed = self._feeds.get(name) or self._start(name, directory)
        feed.viewers += 1
        try:
            ready = feed.loaded if is_whole else feed.is_shown
            with trio.move_on_after(LOAD_TIMEOUT):
                await ready.wait()
            if not ready.is_set():
                raise UnavailableError("its journal takes long to read; try again later")
            if feed.error is not None and not feed.view.state.segments:
                raise UnavailableError(f"its journal cannot be read: {feed.error}")
            yield feed
        finally:
            feed.viewers -= 1
            feed.looked_at = trio.current_time()

    def __len__(self) -> int:
        return len(self._feeds)

    def _start(self, name: str, directory: RootedPath) -> Feed:
        if len(self._feeds) >= MAX_FEEDS:
            unused = next((each for each, feed in self._feeds.items() if not feed.viewers), None)
            if unused is None:
                raise UnavailableError(f"{MAX_FEEDS} runs are being looked at; try again later")
            self._end(unused, self._feeds[unused])
        feed = self._feeds[name] = Feed(directory)
        self._nursery.start_soon(self._run, name, feed)
        return feed

    @trio.lowlevel.enable_ki_protection
    async def _run(self, name: str, feed: Feed) -> None:
        # All that holds the feed is in its scope, so that its memory is free when it makes room for another one.
        with feed.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when_unused, name, feed)
                await feed.run()
                # One that has ended is kept for the requests that follow; but not longer, as the run may be resumed.
                await trio.sleep(LINGER)
                self._end(name, feed)

    @trio.lowlevel.enable_ki_protection
    async def _end_when_unused(self, name: str, feed: Feed) -> None:
        # Viewers come and go often: an event of each would be more than a look from time to time.
        while feed.viewers or trio.current_time() - feed.looked_at < LINGER:  # noqa: ASYNC110 - the look from time to time
            await trio.sleep(LINGER / 10)
        self._end(name, feed)

    def _end(self, name: str, feed: Feed) -> None:
        """End a feed, unless that was done in the same tick, in which another one may have taken its place."""
        if self._feeds.get(name) is feed:
            del self._feeds[name]
            feed.scope.cancel()
