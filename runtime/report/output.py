"""`Output`: a stream to the user, which may be slow or closed, and never fails the run.

Once writing fails, as after ``| head``, all further text is dropped. It writes to the descriptor itself: text that is
left in a buffer would make the interpreter fail at exit, when it flushes it.
"""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.report.summary import Line

_DUMB: Final = frozenset({"", "dumb", "unknown"})


class Output:
    """Writes to the descriptor of a text stream. Writing blocks while the reader does not read: for threads.

    Args:
        stream: such as `sys.stdout`; if `None` or without a descriptor, all text is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.gone: bool = False
        """Whether all text is dropped from now on."""
        self.failure: OSError | None = None
        """The error for which text is dropped; `None` if its reader has closed the pipe, which is no failure."""
        self._encoding = "utf-8"
        self._descriptor = -1
        try:
            if stream is None:
                raise OSError
            self._descriptor = stream.fileno()
            self._encoding = stream.encoding or "utf-8"
            stream.flush()
        except (OSError, ValueError):
            self.gone = True

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal that can move its cursor."""
        return not self.gone and os.isatty(self._descriptor) and os.environ.get("TERM", "") not in _DUMB

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal, at this moment; (80, 24) if it is no terminal."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            columns, rows = 80, 24
        return columns or 80, rows or 24

    @property
    def screen(self) -> tuple[int, int] | None:
        """Columns and rows of the terminal, at this moment; `None` if it is no terminal."""
        return self.size if self.is_terminal else None

    def write(self, text: str) -> bool:
        """Write all of `text`; characters that the encoding does not have are written as escapes.

        Returns:
            Whether it was written. It is not if text is dropped, or if this process is in the background of a terminal
            that stops background processes which write (``stty tostop``).
        """
        return self.write_bytes(text.encode(self._encoding, "backslashreplace"))

    def write_bytes(self, content: bytes) -> bool:
        """Write `content` as it is; return what `write` does. Not for a terminal, unless it was made for one."""
        if self.gone or not os.isatty(self._descriptor):
            return self._write(content)
        from runtime.process.foreground import without_stop, would_stop_writer  # not for every system

        if would_stop_writer(self._descriptor):
            return False
        with without_stop():
            return self._write(content)

    def _write(self, content: bytes) -> bool:
        data = memoryview(content)
        while data and not self.gone:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # a terminal is shared with other programs, one of which has set O_NONBLOCK
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                self.gone = True
            except OSError as exc:
                self.gone, self.failure = True, exc
        return not self.gone

    def show(self, lines: Iterable[Line]) -> None:
        """Write styled lines, with colours if it is a terminal."""
        if self.is_terminal:
            self.write(styled(lines, self.size[0]))
        else:
            self.write("".join("".join(text for text, _ in line) + "\n" for line in lines))


def styled(lines: Iterable[Line], width: int) -> str:
    """Return lines with the escape codes of their styles. Long ones are not wrapped, so that they can be copied."""
    from rich.text import Text

    console, buffer = terminal_console(width)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
    return buffer.getvalue()


def terminal_console(width: int) -> tuple[Console, io.StringIO]:
    """Return a console of rich, with the colours that the environment tells of, and the buffer that it writes to."""
    from rich.console import Console

    buffer = io.StringIO()
    return Console(file=buffer, force_terminal=True, width=width, highlight=False, legacy_windows=False), buffer
