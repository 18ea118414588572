"""From a job's id, which may be any text, to a name that is safe for a file, a queue, a makefile and a terminal.

The rule is injective: two ids never share a name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ODD: Final = re.compile(rb"(=)(?=[A-Za-z0-9._-]|\Z)|[^A-Za-z0-9._-]")
_MAX_LENGTH: Final = 180
"""Bytes. A file name holds 255; the rest is for endings such as a backup's time."""
_CUT: Final = b"@@@"
"""Before the digest of a name that was cut. No other name has three of these in a row."""


def safe_id(job_id: str) -> str:
    """Return `job_id` as one path component of ASCII letters, digits and ``._-@``.

    An id made of letters, digits and ``._-`` that starts with none of ``.-`` is its own name. ``=`` becomes ``@``, as
    in ``sim.seed@1``, as GNU make and shells have a meaning for it; ``+`` and ``,`` would be no better, as simulators
    and compilers split their options there. Anything else is written as ``@@`` and two hexadecimal digits per byte,
    also an ``=`` that stands before such. A name that would be too long ends in ``@@@`` and a digest instead. The empty
    id, which a foreign job may have, is ``@@`` alone.
    """
    # To read it back, from the left: ``@@`` begins a byte, and a single ``@``, which no other follows, is ``=``.
    raw = job_id.encode("utf-8", "surrogatepass")
    if len(raw) <= _MAX_LENGTH and _PLAIN.fullmatch(raw):
        return job_id
    if not raw:
        return "@@"
    name = _ODD.sub(lambda match: b"@" if match[1] else b"@@%02X" % match[0][0], raw)
    if name[:1] in (b".", b"-"):
        name = b"@@%02X" % name[0] + name[1:]
    if len(name) > _MAX_LENGTH:
        digest = hashlib.sha256(raw).hexdigest()[:32].encode()
        name = name[: _MAX_LENGTH - len(_CUT) - len(digest)] + _CUT + digest
    return name.decode("ascii")
