"""The TLS context of the listeners."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(*, chain: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context for a certificate chain and its key, both PEM files.

    TLS 1.2 at least (RFC 8997), no compression, and no renegotiation: a client must not be able to
    make the server work again and again for one connection. Asks for no client certificate.
    Raises OSError for a file that can't be read, ssl.SSLError for one that holds something else or
    a key that doesn't belong to the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(chain, key)
    return context
