"""`FileSystems`: which file systems do not answer; calls for them wait without a thread.

A stalled call releases its token of the limiter to other calls (`runtime.process.threads`). If those were calls for the
same file system, there would soon be as many stuck threads as there are such calls. So a file system is *silent* from
the time at which a call is found to be stalled there until one returns. Calls for it that have not begun then wait, and
are tried one by one, as probes, every `STALLED` seconds: perhaps only a single file is stuck. When one returns, all
go on.

The file system of a path is looked up in the table of mounts. A `stat` could block for ever.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

STALLED: Final = 0.3
"""Seconds without progress after which a call is stalled. Arbitrary: ten times longer, and each stuck file holds up the
others noticeably; ten times shorter, and each slow access to a disk costs a thread more."""

MOST_STALLED: Final = 64
"""Stalled calls for one file system at which no other call for it begins. Arbitrary: ten times as many threads would
take as much memory as a simulator; with a tenth, a few stuck files would keep all others there from being read."""

_TABLE: Final = "/proc/self/mountinfo"
_DEVICE, _MOUNT_POINT = 2, 4
"""The indices of these fields in a line of the table."""
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


def mounted() -> dict[str, str]:
    """Return the devices of all file systems by their mount points; nothing on a system without such a table."""
    found: dict[str, str] = {}
    with suppress(OSError), open(_TABLE, "rb") as file:
        for line in file:
            fields = line.split(b" ")
            point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[_MOUNT_POINT])
            # Of several file systems mounted at one path the last one is visible, and the last line counts here.
            found[point.decode("utf-8", "surrogateescape")] = fields[_DEVICE].decode()
    return found


def device_of(path: str, mounts: Mapping[str, str]) -> str | None:
    """Return the device of an absolute path without links; `None` if that is not known."""
    here = path
    while here not in mounts:
        if here in ("", "/"):
            return mounts.get("/")
        here = here.rpartition("/")[0]
    return mounts[here]


@attrs.define(eq=False)
class _Silence:
    """A file system that does not answer, until it does."""

    probe_lock: trio.Lock = attrs.field(factory=trio.Lock)
    """The task that holds it makes the next probe."""
    answered: trio.Event = attrs.field(factory=trio.Event)


class FileSystems:
    """The state of all file systems. Methods are for the event loop, unless they say otherwise."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._mounts: Mapping[str, str] = {}
        self._silent: dict[str, _Silence] = {}
        """By device."""
        self._stalled = Counter[str]()
        """How many calls there have released their tokens and have not returned, by device."""

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
        """Note that a call is stalled at the first of `paths`; return its device, if that is known."""
        if not paths:
            return None
        # Read anew: the file system may have been mounted since.
        self._mounts = mounted()
        device = device_of(paths[0], self._mounts)
        if device is not None and device not in self._silent:
            self._silent[device] = _Silence()
        return device

    def add_stalled(self, device: str) -> None:
        """Count a stalled call that has released its token."""
        self._stalled[device] += 1

    def remove_stalled(self, device: str) -> None:
        """Note that a counted call has returned."""
        self._stalled[device] -= 1
        self._answer(device)

    def is_silent(self, paths: Callable[[], Sequence[str]], *, probing: bool = False) -> bool:
        """Whether a call has to wait. For any thread; does not block.

        Args:
            paths: returns the files that it needs; called only if a file system is silent.
            probing: whether it has waited, and is a probe: then only `MOST_STALLED` stalled calls keep it waiting.
        """
        if not self._silent:
            return False
        found = self._silent_among(paths())
        return any(self._stalled[device] >= MOST_STALLED for device in found) if probing else bool(found)

    def note_answer(self, paths: Callable[[], Sequence[str]]) -> None:
        """Note that a call has returned; `paths` as for `is_silent`. For any thread; does not block."""
        if self._silent:
            for device in self._silent_among(paths()):
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(self._answer, device)

    async def wait_to_probe(self, paths: Sequence[str]) -> None:
        """Wait until all file systems of `paths` answer, or until a call for them is to be made as a probe."""
        await trio.lowlevel.checkpoint()
        for device in self._silent_among(paths):
            silence = self._silent.get(device)
            if silence is not None:
                await self._wait_to_probe(device, silence)

    async def _wait_to_probe(self, device: str, silence: _Silence) -> None:
        async with silence.probe_lock:  # one probe at a time
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
