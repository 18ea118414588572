"""The program behind each name on the `PATH`: sends its call to the fake, and does what the fake answers.

Run as ``python -IS client.py SOCKET NAME ARGUMENT...``. It has to start fast, so it imports little.
"""

import marshal
import os
import sys
from _socket import AF_UNIX, SOCK_STREAM, socket  # the module without an underscore takes longer than all the rest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> int:
    """Send the call, follow the answers, and return the exit code, which is the last of them."""
    path, name, *arguments = sys.argv[1:]
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as exc:
        sys.stderr.write(f"{name}: the fake has gone: {exc}\n")
        return 1
    send(connection, (name, arguments, os.getcwd(), dict(os.environ)))
    while True:
        what, value = receive(connection)
        if what == "stdin":
            send(connection, sys.stdin.buffer.read())
        elif what == "stop":
            os.kill(os.getpid(), value)
        elif what == "exit":
            return int(value)
        else:
            print_all(1 if what == "out" else 2, value)


def send(connection: socket, message: "tuple[object, ...] | bytes") -> None:
    """Send a value: its length, and its marshalled form."""
    data = marshal.dumps(message)  # type: ignore[arg-type]  # of strings, lists and dictionaries of them
    connection.sendall(len(data).to_bytes(4, "big") + data)


def print_all(fd: int, data: bytes) -> None:
    """Write all of it, in as many calls as the pipe needs."""
    while data:
        data = data[os.write(fd, data) :]


def receive(connection: socket) -> "tuple[str, Any]":
    """Return what to do, and with what. The end of the connection counts as exit code 1."""
    size = read(connection, 4)
    return marshal.loads(read(connection, int.from_bytes(size, "big"))) if size else ("exit", 1)


def read(connection: socket, size: int) -> bytes:
    """Return exactly `size` bytes, or none at the end."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


if __name__ == "__main__":
    sys.exit(main())
