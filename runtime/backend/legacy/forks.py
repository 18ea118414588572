"""A launcher forks, and the child comes back from the call: into our program, of which there are two then.

The child has a copy of everything: of the sockets over which answers go, of the launchers, of the event loop's end of
each pipe. It would go on as if it were we, launch what is next in the queue a second time, and answer in our place. So
whoever makes foreign calls looks after each of them whether it still is the process that it was, and a child that came
back is ended there and then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NoReturn

from runtime.backend.legacy.call_batches import Call

EXIT_CODE = 70
"""Of a child that returned from a call, or raised: a fault of the software, as `sysexits.h` has it."""


def end_fork(call: Call, owner: str) -> NoReturn:
    """End this process, which is a child that came back from `call`, without any clean-up: nothing here is its own.

    One that left by `sys.exit` has the exit code that it asked for: its parent may wait for it.

    Args:
        call: the call.
        owner: the class of the launcher.
    """
    code = None if call.failure is None else call.failure.exit_code
    if code is None:
        code = EXIT_CODE
        text = f"{owner}: {call.step.name} of {call.subject!r} forked, and the child came back; it was ended\n"
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))
    os._exit(code)
