"""TLS handshakes in memory: OpenSSL as the outside judge of what a server shows."""

from __future__ import annotations

import ssl
from contextlib import suppress

STRICT = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
"""What Python 3.13's default context demands."""


def verifying_context(root_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root_pem.decode("ascii"))
    context.verify_flags = ssl.VerifyFlags(STRICT)
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """Return the client's side of a handshake; raise what the client raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            ours.do_handshake()
        except ssl.SSLWantReadError:
            with suppress(ssl.SSLWantReadError):
                theirs.do_handshake()
        else:
            return ours
    raise AssertionError("the handshake does not come to an end")


def verify_code(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> int:
    """Return OpenSSL's X509_V_ERR number of a verifying handshake, 0 when it is content."""
    try:
        handshake(server, client, host)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code
    return 0
