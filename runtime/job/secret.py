"""`Secret`: hides a value from a message, such as that of an environment variable."""

from __future__ import annotations


class Secret:
    """Its `repr` is the type of a value, and the value only if it is a number."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        if isinstance(self._value, int | float):
            return repr(self._value)
        return f"a value of type {type(self._value).__name__} that is not shown"
