"""A client by tlslite-ng, which speaks what OpenSSL 3 doesn't, and can be patched to look away."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from relay.core.routing import HostAddress

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from tlslite.api import HandshakeSettings, TLSConnection
    from tlslite.keyexchange import KeyExchange


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a client saw of a session in which it delivered a message."""

    cipher: str
    chain: tuple[bytes, ...]
    replies: tuple[bytes, ...]


@contextmanager
def signatures_unchecked() -> Iterator[None]:
    """Patch the client in one place: it does not check who signed the key exchange."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            KeyExchange, "verifyServerKeyExchange", staticmethod(lambda *_args, **_named: None)
        )
        yield


def deliver(host: HostAddress, *ciphers: str) -> Delivered:
    """Send a message under TLS 1.2; whatever tlslite-ng raises goes through. Blocks."""
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 3)
    if ciphers:
        settings.cipherNames = list(ciphers)
    with socket.create_connection((host.address, host.port), timeout=10) as sock:
        sock.recv(1000)
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(1000).startswith(b"220 ")
        tls = TLSConnection(sock)
        tls.handshakeClientCert(settings=settings, serverName=host.name)
        replies = []
        for command in (
            *(b"EHLO client.test\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n"),
            *(b"DATA\r\n", b"Subject: x\r\n\r\nx\r\n.\r\n", b"QUIT\r\n"),
        ):
            tls.sendall(command)
            replies.append(bytes(tls.recv(4000)))
        chain = tuple(bytes(c.writeBytes()) for c in tls.session.serverCertChain.x509List)
        return Delivered(tls.getCipherName(), chain, tuple(replies))
