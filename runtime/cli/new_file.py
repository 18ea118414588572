"""`write_new_file`: a file that a command writes for the user, who has none of that name."""

from __future__ import annotations

from pathlib import Path

from runtime.jobfile.errors import InputError


def write_new_file(path: Path, text: str, what: str) -> None:
    """Write a text to a new file, or leave none. Blocks.

    Args:
        path: of the file.
        text: of the file.
        what: the option or argument that names it, for messages.

    Raises:
        InputError: if there is something at the path already, or it cannot be written.
    """
    try:
        file = path.open("x", encoding="utf-8")
        try:
            with file:
                file.write(text)
        except OSError:  # such as a full disk: of half of it the next call would say that it exists
            path.unlink(missing_ok=True)
            raise
    except FileExistsError as exc:
        raise InputError(f"{what} is {path}, which exists; expected the name of a new file") from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(f"{what} is {path}: cannot be written: {reason}; expected the name of a new file") from exc
