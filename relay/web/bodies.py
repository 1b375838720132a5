"""The limit on request bodies: what is larger is refused before any route sees it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.web.problems import Problem, ProblemKind

MAX_BODY: Final = 1024 * 1024
"""Octets of a request's body."""


def limit_body(app: ASGIApp, *, limit: int = MAX_BODY) -> ASGIApp:
    """Return `app`, which gets each body whole and none that is larger than `limit` octets.

    A body that says its length is refused unread, another one as soon as it is too large.
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        try:
            body = None if int(length) > limit else await _read(receive, limit)
        except ClientDisconnect:
            # Half a body must change nothing.
            return
        if body is None:
            await _refusal(limit).response()(scope, receive, send)
            return
        waiting: list[Message] = [
            {"type": "http.request", "body": bytes(body), "more_body": False},
        ]

        async def receive_again() -> Message:
            return waiting.pop() if waiting else await receive()

        await app(scope, receive_again, send)

    return guard


async def _read(receive: Receive, limit: int) -> bytearray | None:
    """Return the whole body, None where it is too large; raise ClientDisconnect."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return body


def _refusal(limit: int) -> Problem:
    return Problem(
        kind=ProblemKind.BODY_TOO_LARGE,
        detail=f"A body may have {limit} octets.",
        next="Send less.",
        # What is left of the body would be read as the next request.
        headers={"Connection": "close"},
    )
