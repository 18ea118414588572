"""What a job is told about itself: which attempt at which job it is. For the runtime, and for its shims.

A shim makes the variables itself, of three values that come with the job, because it does so while the runtime goes on.
It imports little, so these are functions of bytes that need no other module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    Identity = tuple[bytes | None, int, int | None]
    """The id of a job, or `None` if no program can be given it; the number of the attempt, from 1; and the seed."""

ID_VARIABLE: Final = "JOB_RUNTIME_ID"
"""The variable with the id of a job, in its environment."""
ATTEMPT_VARIABLE: Final = "JOB_RUNTIME_ATTEMPT"
"""The variable with the number of the attempt, from 1."""
SEED_VARIABLE: Final = "JOB_RUNTIME_SEED"
"""The variable with the seed of a job; a job without a seed does not have it."""

_ID: Final = ID_VARIABLE.encode()
_ATTEMPT: Final = ATTEMPT_VARIABLE.encode()
_SEED: Final = SEED_VARIABLE.encode()
_PLAIN: Final = b"%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""The bytes that need no quotes in a shell, as `shlex.quote` has them."""


def identity_variables(identity: Identity) -> dict[bytes, bytes]:
    """Return the variables that tell a job what it is."""
    job_id, attempt, seed = identity
    variables = {_ATTEMPT: b"%d" % attempt}
    if job_id is not None:
        variables[_ID] = job_id
    if seed is not None:
        variables[_SEED] = b"%d" % seed
    return variables


def render_identity(identity: Identity) -> bytes:
    """Return the same variables as sorted lines ``NAME=value``, quoted for a shell."""
    job_id, attempt, seed = identity
    lines = b"%b=%d\n" % (_ATTEMPT, attempt)
    if job_id is not None:
        if not job_id or job_id.translate(None, _PLAIN):
            job_id = b"'%b'" % job_id.replace(b"'", b"'\"'\"'")
        lines += b"%b=%b\n" % (_ID, job_id)
    return lines if seed is None else lines + b"%b=%d\n" % (_SEED, seed)
