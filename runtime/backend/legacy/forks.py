"""`end_fork`: ends a child that a launcher has forked, and that returns from the call.

Such a child continues our program a second time. It has a copy of everything: the sockets for answers, the launchers,
the event loop's end of each pipe. It would make the next call in the queue a second time, and answer in our place. So
after each foreign call the process id is compared, and a child that has returned is ended at once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NoReturn

from runtime.backend.legacy.call_batches import Call

EXIT_CODE = 70
"""Of a child that returned from a call, or raised: `EX_SOFTWARE` of `sysexits.h`."""


def end_fork(call: Call, owner: str) -> NoReturn:
    """End this process, a child that has returned from `call`, without clean-up: all resources are the parent's.

    A child that raised `SystemExit` ends with the exit code it asked for: its parent may wait for that.

    Args:
        call: the call in which the launcher forked.
        owner: the name of the launcher's class.
    """
    code = None if call.failure is None else call.failure.exit_code
    if code is None:
        code = EXIT_CODE
        text = f"{owner}: {call.step.name} of {call.subject!r} forked, and the child returned; it was ended\n"
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))
    os._exit(code)  # not `sys.exit`: that would flush the parent's buffers a second time, and run its `atexit`
