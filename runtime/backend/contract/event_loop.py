"""`check_in_loop`: functions that are not thread-safe raise before they change anything."""

from __future__ import annotations

import trio


def check_in_loop(token: trio.lowlevel.TrioToken | None, what: str) -> None:
    """Check that the caller runs in a certain event loop.

    Args:
        token: the token of that loop; `None` for no check.
        what: the call, for the message.

    Raises:
        RuntimeError: if the caller runs elsewhere, such as in another thread.
    """
    try:
        here = trio.lowlevel.current_trio_token()
    except RuntimeError:  # this thread runs no event loop
        here = None
    if token is not None and here is not token:
        raise RuntimeError(
            f"{what} was called outside of the event loop of its run; expected a call from a task of that loop, or "
            f"from a thread through trio.from_thread.run_sync(..., trio_token=...)"
        )
