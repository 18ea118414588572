"""`FileSystems`: which of them do not answer, and who waits for that without a thread.

A call that is stalled gives its place among the threads to others (`runtime.process.threads`). If those were calls for
the same file system, there would soon be as many stuck threads as there are such calls. So a file system is *silent*
from the moment in which a call is found to be stalled there until one returns. Calls for it that have not begun then
wait, and are tried one by one, each after so many seconds: perhaps a single file is stuck, and not all of them. When
one returns, all go on.

Which file system a path is on, the table of mounts says. To ask the file system itself could take for ever.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

STALLED: Final = 0.3
"""Seconds without progress after which a call is stalled. Arbitrary: shorter than anybody notices, and long enough for
a slow disk; who is taken for stalled and is not costs a thread more."""

MOST_STALLED: Final = 64
"""Stalled calls for one file system, at most, before others for it begin. Arbitrary: ten times as many would be as
much memory as a simulator takes; with few, so many stuck files would keep all others there from being read."""

_TABLE: Final = "/proc/self/mountinfo"
_DEVICE, _MOUNT_POINT = 2, 4
"""Which of its fields they are."""
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


def mounted() -> dict[str, str]:
    """Return the devices of all file systems by the paths at which they are mounted; nothing, where nobody tells.

    The last one that was mounted at a path is the one that is seen there.
    """
    found: dict[str, str] = {}
    with suppress(OSError), open(_TABLE, "rb") as file:
        for line in file:
            fields = line.split(b" ")
            point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[_MOUNT_POINT])
            found[point.decode("utf-8", "surrogateescape")] = fields[_DEVICE].decode()
    return found


def device_of(path: str, mounts: Mapping[str, str]) -> str | None:
    """Return the device that an absolute path without links is on; `None` if that is not known."""
    here = path
    while here not in mounts:
        if here in ("", "/"):
            return mounts.get("/")
        here = here.rpartition("/")[0]
    return mounts[here]


@attrs.define(eq=False)
class _Silence:
    """That of one file system, until it answers."""

    turn: trio.Lock = attrs.field(factory=trio.Lock)
    """Whoever has it is tried next."""
    answered: trio.Event = attrs.field(factory=trio.Event)


class FileSystems:
    """What is known of all of them. Methods are for the event loop, unless they say otherwise."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._mounts: Mapping[str, str] = {}
        self._silent: dict[str, _Silence] = {}
        """By device."""
        self._stalled = Counter[str]()
        """How many calls have given up their places there, and have not returned."""

    @classmethod
    def here(cls) -> FileSystems:
        """Return those of this run of trio."""
        try:
            return _here.get()
        except LookupError:
            found = cls()
            _here.set(found)
            return found

    def note_stalled(self, paths: Sequence[str]) -> str | None:
        """Say that a call for `paths` is stalled at the first of them; return its device, if that is known."""
        if not paths:
            return None
        self._mounts = mounted()
        device = device_of(paths[0], self._mounts)
        if device is not None and device not in self._silent:
            self._silent[device] = _Silence()
        return device

    def add_stalled(self, device: str) -> None:
        """Count a call that has given up its place."""
        self._stalled[device] += 1

    def remove_stalled(self, device: str) -> None:
        """It has returned."""
        self._stalled[device] -= 1
        self._answer(device)

    def is_silent(self, paths: Sequence[str], *, in_turn: bool = False) -> bool:
        """Whether a call for `paths` is to wait for its turn. For any thread; does not block.

        Args:
            paths: what it needs.
            in_turn: whether it has waited. It may begin then, unless so many are stalled by now that none may.
        """
        if not self._silent:
            return False
        found = self._silent_among(paths)
        return any(self._stalled[device] >= MOST_STALLED for device in found) if in_turn else bool(found)

    def note_answer(self, paths: Sequence[str]) -> None:
        """Say that a call for `paths` has returned. For any thread; does not block."""
        if self._silent:
            for device in self._silent_among(paths):
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(self._answer, device)

    async def wait_turn(self, paths: Sequence[str]) -> None:
        """Wait until all file systems of `paths` answer, or until a call for them is to be tried all the same."""
        await trio.lowlevel.checkpoint()
        for device in self._silent_among(paths):
            silence = self._silent.get(device)
            if silence is not None:
                await self._wait_turn(device, silence)

    async def _wait_turn(self, device: str, silence: _Silence) -> None:
        async with silence.turn:
            while not silence.answered.is_set():
                with trio.move_on_after(STALLED):
                    await silence.answered.wait()
                if self._stalled[device] < MOST_STALLED:
                    return

    def _silent_among(self, paths: Sequence[str]) -> list[str]:
        devices = dict.fromkeys(device_of(path, self._mounts) for path in paths)
        return [device for device in devices if device is not None and device in self._silent]

    def _answer(self, device: str) -> None:
        if device in self._silent and self._stalled[device] < MOST_STALLED:
            self._silent.pop(device).answered.set()


_here: trio.lowlevel.RunVar[FileSystems] = trio.lowlevel.RunVar("file systems of this run")
