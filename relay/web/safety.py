"""What stands between the network and the routes: guards, each one ASGI middleware of its own.

A page on the Internet that a user's browser has open can reach loopback. It may send simple
requests across origins, and by DNS rebinding it may read the answers. The allow-list of host names
stops the second, the check of the origin the first; neither needs a password.
"""

from __future__ import annotations

import ipaddress
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.web.bodies import limit_body
from relay.web.problems import Problem, ProblemKind

UNGUARDED: Final = frozenset({"/livez", "/readyz"})
"""Paths that need no token: they tell a supervisor whether to restart, and nothing else."""
HELD_OPEN: Final = frozenset({"/api/v1/events", "/api/v1/wait"})
"""Paths whose answers take long; a page of another origin could use up all there may be of them."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may do what: `names` are the host names that are served, besides those of loopback.

    `token` is what `Authorization: Bearer` must bear, or the password of `Basic`, with any user
    name; None where nobody needs one. `read_only` refuses whatever changes anything.
    """

    names: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    read_only: bool = False


def guarded(app: ASGIApp, access: Access, *, bound: str) -> ASGIApp:
    """Return `app` behind every guard; `bound` is the address that the port listens on."""
    app = limit_body(_head_as_get(app))
    app = _same_origin(app)
    if access.read_only:
        app = _read_only(app)
    if access.token is not None:
        app = _token(app, access.token.encode())
    return _security_headers(_known_host(app, allowed_hosts(bound, access.names)))


def allowed_hosts(bound: str, names: Iterable[str]) -> frozenset[str]:
    """Return the host names that are served, as a Host header spells them, without port."""
    hosts = {*_LOOPBACK, *(_bare_host(name) for name in names)}
    try:
        address = ipaddress.ip_address(bound)
    except ValueError:
        hosts.add(_bare_host(bound))
    else:
        if not address.is_unspecified:
            hosts.add(f"[{address}]" if address.version == 6 else str(address))
    return frozenset(hosts)


def _bare_host(header: str) -> str:
    """Return a Host header without its port."""
    host = header.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].removesuffix(".")


def _known_host(app: ASGIApp, allowed: frozenset[str]) -> ASGIApp:
    def passes(scope: Scope) -> bool:
        hosts = Headers(scope=scope).getlist("host")
        return len(hosts) == 1 and _bare_host(hosts[0]) in allowed

    refused = Problem(
        kind=ProblemKind.HOST_NOT_ALLOWED,
        detail="The Host header names none of the hosts that this port serves.",
        next="Use localhost, or allow the name: --web-host NAME.",
    )
    return _only_if(passes, app, refused)


def _token(app: ASGIApp, token: bytes) -> ASGIApp:
    def passes(scope: Scope) -> bool:
        if scope["path"] in UNGUARDED:
            return True
        given = _token_in(Headers(scope=scope).get("authorization", ""))
        return given is not None and compare_digest(given, token)

    refused = Problem(
        kind=ProblemKind.TOKEN_REQUIRED,
        detail="The request bears no token, or another one than this port was started with.",
        next="Send `Authorization: Bearer TOKEN` with the value of RELAY_WEB_TOKEN; "
        "in a browser, give it as the password, with any user name.",
        headers={"WWW-Authenticate": 'Bearer realm="relaylab", Basic realm="relaylab"'},
    )
    return _only_if(passes, app, refused)


def _token_in(authorization: str) -> bytes | None:
    """Return the token that a header bears, or the password for a browser (RFC 7617)."""
    scheme, _, given = authorization.partition(" ")
    # Headers are decoded as Latin-1, octet for octet.
    octets = given.strip().encode("latin-1")
    match scheme.lower():
        case "bearer":
            return octets
        case "basic":
            try:
                return b64decode(octets, validate=True).partition(b":")[2]
            except ValueError:
                return None
        case _:
            return None


def _read_only(app: ASGIApp) -> ASGIApp:
    refused = Problem(
        kind=ProblemKind.READ_ONLY,
        detail="This port was started read-only.",
        next="Start it without --read-only to change anything.",
    )
    return _only_if(lambda scope: scope["method"] in _READING, app, refused)


def _same_origin(app: ASGIApp) -> ASGIApp:
    """Refuse what a page of another origin makes a browser send; other clients say no origin."""

    def passes(scope: Scope) -> bool:
        reads = scope["method"] in _READING and scope["path"] not in HELD_OPEN
        return reads or _is_ours(scope)

    refused = Problem(
        kind=ProblemKind.CROSS_ORIGIN,
        detail="The request comes from a page of another origin.",
        next="Send it from a program, or from a page of this port.",
    )
    return _only_if(passes, app, refused)


def _only_if(passes: Callable[[Scope], bool], app: ASGIApp, refused: Problem) -> ASGIApp:
    """Return `app` behind a guard: what does not pass is answered with the refusal."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if passes(scope):
            await app(scope, receive, send)
        else:
            await refused.response()(scope, receive, send)

    return guard


def _is_ours(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if headers.get("sec-fetch-site", "none").lower() not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    # The Host header was checked before; an opaque origin is "null".
    own = f"{scope['scheme']}://{headers.get('host', '')}"
    return origin is None or origin.lower() == own.lower()


def _security_headers(app: ASGIApp) -> ASGIApp:
    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_with_headers)

    return guard


def _head_as_get(app: ASGIApp) -> ASGIApp:
    """Answer HEAD like GET (RFC 9110 section 9.3.2); the server leaves the content out."""

    async def adapter(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return adapter
