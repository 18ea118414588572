"""`Output`: a stream to a person that may be slow, closed or gone, and never costs the run.

Once writing fails, as after ``| head``, all further text is dropped. It writes to the descriptor itself, so that
nothing is left in a buffer for the interpreter to stumble over at its end.
"""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from runtime.report.summary import Line

_DUMB: Final = frozenset({"", "dumb", "unknown"})


class Output:
    """A text stream by its descriptor. Writing blocks while nobody reads: it belongs in a thread.

    Args:
        stream: such as `sys.stdout`; `None`, or one without a descriptor, takes all and shows nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.gone = False
        """Whether the text goes nowhere."""
        self.failure: OSError | None = None
        """Why text was dropped, unless its reader has left, who wants no more of it."""
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
        """Columns and rows of the terminal, as it is now."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            columns, rows = 80, 24
        return columns or 80, rows or 24

    def write(self, text: str) -> bool:
        """Write all of `text`; characters that the encoding lacks are written as escapes.

        Returns:
            Whether it was written: it is not in the background of a terminal that wants no output from there.
        """
        if self.gone or not os.isatty(self._descriptor):
            return self._write(text)
        from runtime.process.foreground import is_output_unwanted, without_stop  # not for every system

        if is_output_unwanted(self._descriptor):
            return False
        with without_stop():
            return self._write(text)

    def _write(self, text: str) -> bool:
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data and not self.gone:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody made it non-blocking; a terminal is shared with other programs
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                self.gone = True
            except OSError as exc:
                self.gone, self.failure = True, exc
        return not self.gone

    def show(self, lines: Iterable[Line]) -> None:
        """Write styled lines: with colours on a terminal, without elsewhere."""
        if self.is_terminal:
            self.write(styled(lines, self.size[0]))
        else:
            self.write("".join("".join(text for text, _ in line) + "\n" for line in lines))


def styled(lines: Iterable[Line], width: int) -> str:
    """Return lines with the codes of their styles. The terminal wraps long ones, so that they can be copied."""
    from rich.text import Text

    console, buffer = terminal_console(width)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
    return buffer.getvalue()


def terminal_console(width: int) -> tuple[Any, io.StringIO]:
    """Return a console of rich that writes to the buffer, in the colours that the environment says the terminal has."""
    from rich.console import Console

    buffer = io.StringIO()
    return Console(file=buffer, force_terminal=True, width=width, highlight=False, legacy_windows=False), buffer
