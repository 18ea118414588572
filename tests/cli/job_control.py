"""A shell with job control, as small as can be. Run in a session of its own, with its terminal as standard input.

Arguments: where to run the program, ``foreground`` or ``background``; a FIFO in which each of its stops is told, by the
number of the signal; one that says when it goes on; and the program.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys


def main() -> None:
    where, told, go, *words = sys.argv[1:]
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
        with open(told, "w") as file:
            file.write(f"{os.WSTOPSIG(status)}\n")
        with open(go) as file:
            file.readline()
        os.tcsetpgrp(0, program.pid)
        os.killpg(program.pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
