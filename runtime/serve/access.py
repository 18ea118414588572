"""`Access`: which requests are answered at all, and the headers of every response. Pure, but for calling what it wraps.

- Only GET and HEAD: nothing here changes anything.
- Only a `Host` that a browser on this machine would use. Else a page elsewhere, whose name is made to lead to this
  machine after it was loaded (DNS rebinding), could read all that is served. A server that asks for a token need not
  check: a browser sends a cookie only to the name that has set it.
- Nothing that a page of another site embeds: it could not read the answer, but could time a search of a log.
- With a token: in the address, which leads to the same one without it, and sets a cookie; in the cookie; or as
  ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from runtime.serve.connection import Application, Message, Receive, Send

TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{16,200}")
"""What a token may be: what needs no escape in an address or a cookie, and is too long to be guessed."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[bytes, bytes]] = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"cache-control": b"no-store",
}
"""The headers of every response that is made by the application, or here."""

_LOCAL_NAMES: Final = frozenset({"localhost", "localhost."})
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_MAX_FIELDS: Final = 20
"""Fields of a query that are looked at. Arbitrary: ten times what a page uses."""


class Access:
    """An ASGI application that answers what is refused, and passes on what is not.

    Args:
        application: gets the requests that are allowed.
        token: is asked for; `None`: none is, and the `Host` has to be one of this machine.
        cookie: the name of the cookie that has the token.
    """

    def __init__(self, application: Application, token: str | None, cookie: str = "job-runtime") -> None:
        self._application = application
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        send = _with_headers(send)
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, "only reading is possible here: GET and HEAD", (b"allow", b"GET, HEAD"))
        elif self._token is None and not is_local_host(_values(headers, b"host")):
            what = "this server is for this machine: expected localhost, 127.0.0.1 or [::1] in the address"
            await _answer(send, 421, what)
        elif _is_embedded_elsewhere(headers):
            await _answer(send, 403, "a page of another site asks for this; open it in a window of its own")
        elif self._token is None:
            await self._application(scope, receive, send)
        elif (address := _address_without(self._token, scope)) is not None:
            # Not `Strict`: with that a link in a message would lead to a page that asks for the token again.
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
            moved = (b"location", address.encode("ascii")), (b"set-cookie", cookie.encode("ascii"))
            await _answer(send, 303, "the token is in a cookie now", *moved)
        elif self._has_token(headers, self._token):
            await self._application(scope, receive, send)
        else:
            what = "expected a token: the address that job-runtime serve has printed has it"
            await _answer(send, 401, what, (b"www-authenticate", b"Bearer"))

    def _has_token(self, headers: Iterable[tuple[bytes, bytes]], token: str) -> bool:
        given = [value[7:] for value in _values(headers, b"authorization") if value[:7].lower() == "bearer "]
        # Not `http.cookies`: that drops all cookies if it does not understand one, which may be that of another server
        # of this host; and 16 kB of quoted backslashes, which need no token, take it a second.
        for pair in ";".join(_values(headers, b"cookie")).split(";"):
            name, _, value = pair.strip(" \t").partition("=")
            if name == self._cookie:
                given.append(value)
        return any(_is_equal(each, token) for each in given)


def _address_without(token: str, scope: Message) -> str | None:
    """Return the address of a request without the token that it has, which is not to stay there; `None` without one."""
    try:
        query = parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    if not any(name == "token" and _is_equal(value, token) for name, value in query):
        return None
    rest = urlencode([(name, value) for name, value in query if name != "token"])
    # Two slashes at the beginning would be another host.
    return "/" + quote(os.fsencode(scope["path"].lstrip("/\\"))) + (f"?{rest}" if rest else "")


def is_local_host(values: Iterable[str]) -> bool:
    """Whether a request that has these `Host` headers was sent to this machine by its own name."""
    hosts = list(values)
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_embedded_elsewhere(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser tells that a page of another site asks, and not somebody who follows a link of it."""
    return "cross-site" in _values(headers, b"sec-fetch-site") and _values(headers, b"sec-fetch-dest") != ["document"]


def _is_equal(given: str, token: str) -> bool:
    """Whether a text is the token, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in headers if each == name]


def _with_headers(send: Send) -> Send:
    """Return what sends messages with `HEADERS`, where the response does not say otherwise."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", ())}
            more = [item for item in HEADERS.items() if item[0] not in own]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return send_with_headers


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer in place of the application.

    The connection ends then. One answer fits in the buffer of the system, so that who is refused can hold no connection
    by asking again and again and reading nothing.
    """
    body = f"{text}\n".encode()
    usual = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*usual, *headers]})
    await send({"type": "http.response.body", "body": body})
