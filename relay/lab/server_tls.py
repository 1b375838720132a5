"""Server contexts for the lab's receivers."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from pathlib import Path
from typing import Final

from relay.core.settings import TlsVersion
from relay.lab.authority import IssuedCertificate
from relay.lab.scripts import ClientCertificate, ServeTls

_OPENSSL_VERSIONS: Final = {
    TlsVersion.TLS1_0: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS1_3: ssl.TLSVersion.TLSv1_3,
}
_BUILT_IN: Final = {
    TlsVersion.TLS1_0: ssl.HAS_TLSv1,
    TlsVersion.TLS1_1: ssl.HAS_TLSv1_1,
    TlsVersion.TLS1_2: ssl.HAS_TLSv1_2,
    TlsVersion.TLS1_3: ssl.HAS_TLSv1_3,
}
_DEPRECATED: Final = {TlsVersion.TLS1_0, TlsVersion.TLS1_1}


def missing_version(script: ServeTls) -> TlsVersion | None:
    """Return the version that this Python's OpenSSL was built without, None if it has both."""
    return next((v for v in (script.minimum, script.maximum) if not _BUILT_IN[v]), None)


def server_context(issued: IssuedCertificate, script: ServeTls) -> ssl.SSLContext:
    """Return a context that shows `issued` and speaks the script's versions, without resumption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if script.minimum in _DEPRECATED or issued.weak:
        # OpenSSL 3 speaks TLS 1.0 and 1.1 at security level 0 only, and a key is judged by the
        # level at the moment when it is loaded.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _OPENSSL_VERSIONS[script.minimum]
        context.maximum_version = _OPENSSL_VERSIONS[script.maximum]
    if script.client_certificate is not ClientCertificate.NOT_ASKED:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=issued.chain_pem.decode("ascii"))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    # The standard library loads keys from files only; this one is readable by its owner alone.
    with tempfile.TemporaryDirectory(prefix="relaylab-") as directory:
        path = Path(directory) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(issued.key_pem + issued.chain_pem)
        context.load_cert_chain(path)
    return context
