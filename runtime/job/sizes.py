"""Sizes in bytes as people write them, such as ``100M``, and the reverse. All sizes of users are read here."""

from __future__ import annotations

import re
from typing import Final

from runtime.job.numbers import brief

MAX_SIZE: Final = 1 << 60
"""Bytes. Arbitrary: larger than any file; ten times as many would not fit in a 64-bit file offset."""

SIZE: Final = 'a number of bytes from 1, or text such as "64K", "100M", "1.5G" (powers of 1024) or "100MB" (of 1000)'
"""What a size may be, for error messages."""

_SIZE: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?:([KMGTP])(i?B)?|B)?", re.IGNORECASE)
_PREFIXES: Final = "KMGTP"


def parse_size(value: object) -> int:
    """Return the number of bytes that `value` stands for.

    A letter alone means a power of 1024, as for `truncate` and Slurm: ``K``, ``M``, ``G``, ``T``, ``P``. So do ``KiB``,
    ``MiB`` and so on; ``KB``, ``MB`` and so on mean powers of 1000. Upper and lower case mean the same.

    Raises:
        ValueError: if it is not a size from 1 to `MAX_SIZE`.
    """
    size = 0.0
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        base = 1000 if (match[3] or "").upper() == "B" else 1024
        power = 1 + _PREFIXES.index(match[2].upper()) if match[2] else 0
        size = float(match[1]) * base**power
    # Compared first, because a huge integer cannot become a float.
    elif isinstance(value, int) and not isinstance(value, bool) and value <= MAX_SIZE:
        size = value
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"{brief(value)} is no size; expected {SIZE}")
    return int(size)


def size_text(size: int) -> str:
    """Return a size for people: ``100 MiB``, ``1.5 GiB``."""
    power = min((max(size, 1).bit_length() - 1) // 10, len(_PREFIXES))
    if not power:
        return f"{size} bytes"
    return f"{size / 1024**power:.4g} {_PREFIXES[power - 1]}iB"
