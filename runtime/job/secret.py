"""`Secret`: stands in a message for a value that nobody is to see, such as that of an environment variable."""

from __future__ import annotations


class Secret:
    """Stands for a value; says its type alone, unless it is a mere number."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        if isinstance(self._value, int | float):
            return repr(self._value)
        return f"a value of type {type(self._value).__name__} that is not shown"
