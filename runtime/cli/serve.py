"""The command ``serve``: shows runs in a browser. Signals end it at once, as there is nothing to be put in order."""

from __future__ import annotations

import argparse
import ipaddress
import os
import secrets
import socket
from collections.abc import Sequence
from typing import Final

import trio

from runtime.cli.exit_codes import output_exit_code, print_error
from runtime.cli.gc_threshold import raise_gc_threshold
from runtime.cli.options import check_out
from runtime.cli.serve_options import TOKEN_VARIABLE
from runtime.jobfile.errors import InputError, shown
from runtime.report.output import Output
from runtime.report.text import path_text, printable
from runtime.serve.access import TOKEN, Access, is_local_host
from runtime.serve.app import Application
from runtime.serve.feeds import Feeds
from runtime.serve.results import Results
from runtime.serve.server import Server

_TOKEN_BYTES: Final = 24


def serve_results(options: argparse.Namespace, output: Output) -> int:
    """Serve a directory of runs until a signal ends this process; return the exit code if that is impossible.

    Raises:
        InputError: for wrong input.
    """
    path = check_out(options.results)
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and not TOKEN.fullmatch(token):  # which is not shown
        raise InputError(f"{TOKEN_VARIABLE} is no token; expected 16 to 200 letters, digits and ._~-")
    try:
        results = Results(path)
    except OSError as exc:
        raise InputError(f"RESULTS is {path}: {exc.strerror}; expected a directory with runs in it") from exc
    raise_gc_threshold()
    trio.run(_serve, results, options, token, output)
    return output_exit_code(output)


async def _serve(results: Results, options: argparse.Namespace, token: str | None, output: Output) -> None:
    listeners = await _listen(options.host, options.port)
    addresses = [listener.socket.getsockname() for listener in listeners]
    is_local = all(ipaddress.ip_address(address[0].partition("%")[0]).is_loopback for address in addresses)
    if token is None and not is_local:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
    port = addresses[0][1]
    # Without a token, a name that leads to this machine is no name by which it answers: see `Access`.
    host = options.host if token is not None or is_local_host([options.host]) else addresses[0][0]
    where = f"http://{_host_in_address(host)}:{port}/{'' if token is None else f'?token={token}'}"
    output.write(f"{where} shows the runs in {path_text(results.path, check_out(options.results).parent)}\n")
    if not is_local:
        print_error("everybody who has this address can read all logs there; the connection is not encrypted")
    async with trio.open_nursery() as nursery:
        application = Application(results, Feeds(nursery))
        # Cookies are the same for all ports of a host, so that two servers would take each other's.
        await Server(Access(application.asgi(), token, f"job-runtime-{port}")).run(listeners)


async def _listen(host: str, port: int) -> Sequence[trio.SocketListener]:
    """Return the sockets that connections come to.

    Raises:
        InputError: if that is impossible there.
    """
    if not host or "\0" in host:
        raise InputError(f"--host is {shown(host)}; expected an address or a name of this machine")
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except socket.gaierror as exc:
        raise InputError(f"--host is {shown(host)}: {exc.strerror}; expected an address of this machine") from exc
    except (OSError, UnicodeError) as exc:
        why = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)
        raise InputError(
            f"port {port} of {printable(host)} cannot be served: {why}; expected a port that is free (--port 0: any),"
            " of an address of this machine"
        ) from exc


def _host_in_address(host: str) -> str:
    """Return what a browser can reach a host by."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return printable(host)
    if address.is_unspecified:  # all addresses of this machine
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host  # noqa: PLR2004 - IPv6
