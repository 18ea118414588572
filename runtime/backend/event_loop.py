"""`check_in_loop`: what is not thread-safe says so before it changes anything."""

from __future__ import annotations

import trio


def check_in_loop(token: trio.lowlevel.TrioToken | None, what: str) -> None:
    """Check that the code that runs now belongs to a certain event loop.

    Args:
        token: that loop's; `None` for any.
        what: what was called, for the message.

    Raises:
        RuntimeError: if it does not: it is in another thread, say.
    """
    try:
        here = trio.lowlevel.current_trio_token()
    except RuntimeError:
        here = None
    if token is not None and here is not token:
        msg = (
            f"{what} was called outside of the event loop of its run; expected: a call from a task of it, or from a "
            f"thread by trio.from_thread.run_sync(..., trio_token=...)"
        )
        raise RuntimeError(msg)
