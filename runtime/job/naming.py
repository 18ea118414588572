"""A name that is safe for a file, a queue, a makefile and a terminal, for a job's id, which may be any text.

The mapping is injective: two ids never have the same name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ESCAPED: Final = re.compile(rb"(=)(?=[A-Za-z0-9._-]|\Z)|[^A-Za-z0-9._-]")
_MAX_LENGTH: Final = 180
"""Bytes. A file name holds 255; the rest is for suffixes such as ``.~1~`` of a backup."""
_CUT: Final = b"@@@"
"""What precedes the digest in a name that was cut. No other name has three ``@`` in a row."""
_PARAMETERS: Final = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9._-]|=(?=[A-Za-z0-9._-]|\Z))*")
"""A plain name in which each ``=`` that may stand that becomes ``@``, as ids of a matrix have them."""


def safe_id(job_id: str) -> str:
    """Return `job_id` as one path component of ASCII letters, digits and ``._-@``.

    An id of letters, digits and ``._-`` that starts with neither ``.`` nor ``-`` is its own name. ``=`` becomes ``@``,
    as in ``sim.seed@1``, because ``=`` means something to GNU make and to shells. (``+`` and ``,`` would be no better:
    simulators and compilers split their options there.) Any other byte becomes ``@@`` and two hexadecimal digits; so
    does an ``=`` in front of such a byte. A name that would be too long ends in ``@@@`` and a digest. The empty id,
    which specifications of other programs may have, becomes ``@@``.
    """
    # Decoding from the left shows that the mapping is injective: ``@@`` starts an escaped byte, and a single ``@``,
    # which is never followed by another, stands for ``=``.
    raw = job_id.encode("utf-8", "surrogatepass")
    if len(raw) <= _MAX_LENGTH and _PLAIN.fullmatch(raw):
        return job_id
    if len(raw) <= _MAX_LENGTH and _PARAMETERS.fullmatch(raw):  # a call for each ``=`` would take ten times as long
        return job_id.replace("=", "@")
    if not raw:
        return "@@"
    name = _ESCAPED.sub(lambda match: b"@" if match[1] else b"@@%02X" % match[0][0], raw)
    if name[:1] in (b".", b"-"):
        name = b"@@%02X" % name[0] + name[1:]
    if len(name) > _MAX_LENGTH:
        digest = hashlib.sha256(raw).hexdigest()[:32].encode()
        name = name[: _MAX_LENGTH - len(_CUT) - len(digest)] + _CUT + digest
    return name.decode("ascii")
