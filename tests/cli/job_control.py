"""A minimal shell with job control. Run it in a session of its own, with its terminal as standard input.

Arguments: ``foreground`` or ``background``, for the program; a FIFO to which the signal's number is written each time
the program stops; a FIFO whose lines continue it; and the program.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys


def main() -> None:
    where, stops, go, *words = sys.argv[1:]
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    back = functools.partial(signal.signal, signal.SIGTTOU, signal.SIG_DFL)
    program = subprocess.Popen(words, process_group=0, preexec_fn=back)  # noqa: PLW1509 - it has one thread
    if where == "foreground":
        os.tcsetpgrp(0, program.pid)
    while True:
        _, status = os.waitpid(program.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpgrp())
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        os.tcsetpgrp(0, os.getpgrp())
        with open(stops, "w") as file:
            file.write(f"{os.WSTOPSIG(status)}\n")
        with open(go) as file:
            file.readline()
        os.tcsetpgrp(0, program.pid)
        os.killpg(program.pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
