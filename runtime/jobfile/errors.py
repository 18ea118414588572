"""`InputError`: the user's input is wrong. It becomes one message and exit code 2, and nothing was started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_LISTED: Final = 12
"""Names, or items of a list, that a message shows. Arbitrary: about a line; with ten times as many, the message would
scroll away."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")

MAX_MESSAGE: Final = 1200
"""Characters of a message. Arbitrary: fifteen lines of a terminal. With a tenth, a path could already be cut."""


MAX_MISTAKES: Final = 20
"""Mistakes that are told at once. Arbitrary: a terminal of 24 lines shows them; with ten times as many, the first would
scroll away."""


class InputError(Exception):
    """A job file, an option or a name is wrong. The message says where, what was given, and what is expected.

    A message longer than `MAX_MESSAGE`, such as one of a user's backend that quotes all its options, loses its middle:
    it begins with the place of the error, and ends with what is expected.

    Args:
        messages: one for each mistake.
    """

    def __init__(self, *messages: str) -> None:
        self.messages: tuple[str, ...] = tuple(map(_cut, messages))
        super().__init__("\n".join(self.messages))


def _cut(message: str) -> str:
    if len(message) <= MAX_MESSAGE:
        return message
    return f"{message[: MAX_MESSAGE * 2 // 3]} … {message[-MAX_MESSAGE // 4 :]}"


class Mistakes:
    """Collects what is wrong in job files, so that the one who fixes them is told all of it at once."""

    def __init__(self) -> None:
        self._messages: list[str] = []

    def add(self, *messages: str) -> None:
        """Add mistakes."""
        self._messages += messages

    def collected(self) -> Mistakes:
        """Return a context that adds the mistakes of an `InputError` that is raised in its block, which it ends."""
        return self

    def __enter__(self) -> None:
        pass

    # Not a generator with `contextmanager`: there is a block for each job, and it costs ten times as much.
    def __exit__(self, _: object, exc: BaseException | None, __: object) -> bool:
        if isinstance(exc, InputError):
            self.add(*exc.messages)
            return True
        return False

    def check(self) -> None:
        """Check that there was none.

        Raises:
            InputError: with the first `MAX_MISTAKES`, and the number of the others.
        """
        if more := self._messages[MAX_MISTAKES:]:
            raise InputError(*self._messages[:MAX_MISTAKES], f"and {len(more)} more mistakes")
        if self._messages:
            raise InputError(*self._messages)


def shown(value: object, limit: int = 80) -> str:
    """Return `value` in the notation of a job file, cut to about `limit` characters."""
    if isinstance(value, str):
        # Cut before quoting: quoting a text of megabytes takes long.
        text = '"' + value[:limit].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        return text if len(value) <= limit else text[:-1] + '…"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if hasattr(value, "isoformat"):  # a date or a time, which TOML has
        return str(value)
    if isinstance(value, list) and (len(value) > MAX_LISTED or any(isinstance(item, list | dict) for item in value)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > limit:
        return f"a number of {value.bit_length()} bits"
    text = f"[{', '.join(shown(item, limit // 4) for item in value)}]" if isinstance(value, list) else repr(value)
    return text if len(text) <= limit else text[:limit] + "…"  # `shorten` is in a package that imports more


def bare(name: str) -> str:
    """Return `name` as a TOML key: bare if possible, else quoted."""
    return name if _BARE.fullmatch(name) else shown(name)


def suggestion(name: str, known: Iterable[str], *, what: str = "known") -> str:
    """Return ``; did you mean …?`` with the most similar of the `known` names, or a list of them if none is similar."""
    names = sorted(known)
    # `difflib` takes quadratic time in the lengths, for each name: the hint is not worth seconds.
    near: Sequence[str] = []
    if len(name) <= 100 and len(names) <= 5000:  # noqa: PLR2004 - arbitrary
        import difflib  # here, as only an error needs it

        near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {shown(near[0])}?"
    if not names:
        return f"; there is none {what}"
    more = f", and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"; {what}: {', '.join(name if name.isidentifier() else shown(name) for name in names[:MAX_LISTED])}{more}"
