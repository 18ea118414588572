"""From a job's id, which may be any text, to a name that is safe for a file, a queue and a terminal.

The rule is injective: two ids never share a name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_SAFE: Final = re.compile(rb"[A-Za-z0-9_=][A-Za-z0-9._=-]*")
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9._=-]")
_MAX_LENGTH: Final = 180
"""Bytes. A file name holds 255; the rest is for endings such as a backup's time."""


def safe_id(job_id: str) -> str:
    """Return `job_id` as one path component of ASCII letters, digits and ``._=-%+``.

    An id made of letters, digits and ``._=-`` that starts with none of ``.-`` is its own name. Anything else is written
    as ``%`` and two hexadecimal digits per byte; a name that would be too long ends in ``+`` and a digest instead. The
    empty id, which a foreign job may have, is a ``%`` alone.
    """
    raw = job_id.encode("utf-8", "surrogatepass")
    if len(raw) <= _MAX_LENGTH and _SAFE.fullmatch(raw):
        return job_id
    if not raw:
        return "%"
    name = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], raw)
    if name[:1] in (b".", b"-"):
        name = b"%%%02X" % name[0] + name[1:]
    if len(name) > _MAX_LENGTH:
        digest = hashlib.sha256(raw).hexdigest()[:32]
        name = name[: _MAX_LENGTH - 33] + b"+" + digest.encode()
    return name.decode("ascii")
