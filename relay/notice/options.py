"""What the server's operator wants to be told, and by which ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Self
from urllib.parse import urlsplit

from relay.core.addresses import Address

SHORTEST_SECRET: Final = 16
"""Octets: what HMAC-SHA256 can be trusted with."""
WINDOW: Final = timedelta(hours=1)
"""How long occasions of one kind, domain and code are collected for one summary."""
_PORTS: Final = {"http": 80, "https": 443}


class NoticeError(Exception):
    """Notices can't be sent as the operator wants; the message is one line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a webhook goes: `path` with the query, `host` without brackets."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read an absolute http or https URL; raise ValueError with a sentence otherwise."""
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("a webhook's URL is printable ASCII without blanks")
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("a webhook's URL looks like http://127.0.0.1:9000/notices")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a webhook's URL can't name a user: its deliveries are signed instead")
        if parts.fragment:
            raise ValueError("a webhook's URL has no fragment")
        query = f"?{parts.query}" if parts.query else ""
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            path=f"{parts.path or '/'}{query}",
        )

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Name the target without its path, which may be a secret of the receiver's."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """A webhook: where to, and the shared secret that its deliveries are signed with.

    `timeout` bounds one try; `waits` are the pauses between tries, so there is one try more.
    ValueError for a secret that is too short.
    """

    target: Target
    secret: bytes = field(repr=False)
    timeout: timedelta = timedelta(seconds=10)
    waits: tuple[timedelta, ...] = (
        timedelta(seconds=1),
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
    )

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_SECRET:
            raise ValueError(f"a webhook's secret has at least {SHORTEST_SECRET} octets")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeOptions:
    """The ways that notices go, one at least for there to be any, and their window."""

    webhook: WebhookOptions | None = None
    mail: Address | None = None
    window: timedelta = WINDOW
