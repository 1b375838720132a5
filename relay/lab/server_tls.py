"""Server contexts for the lab's receivers."""

from __future__ import annotations

import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relay.core.settings import TlsVersion
from relay.lab.authority import IssuedCertificate
from relay.lab.scripts import ClientCertificate, ServerName, ServeTls

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
_SECOND_OAKLEY_GROUP: Final = b"""\
-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""
"""1024 bits, RFC 2409 section 6.2: a group that many hosts once had in common."""
_DH_GROUPS: Final = {1024: _SECOND_OAKLEY_GROUP}
_OPEN_FILES: Final = Path("/proc/self/fd")
"""Where Linux shows a process its open files by path."""


def missing_version(script: ServeTls) -> TlsVersion | None:
    """Return the version that this Python's OpenSSL was built without, None if it has both."""
    return next((v for v in (script.minimum, script.maximum) if not _BUILT_IN[v]), None)


def server_context(
    issued: IssuedCertificate,
    script: ServeTls,
    *,
    host: str | None = None,
    named: ssl.SSLContext | None = None,
) -> ssl.SSLContext:
    """Return a context that shows `issued` and does as the script says, without resumption.

    A client with `host` in its ClientHello gets the context `named` instead, where there is one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if script.ciphers or script.minimum in _DEPRECATED or issued.weak:
        # OpenSSL 3 speaks TLS 1.0 and 1.1 at security level 0 only, and a key is judged by the
        # level at the moment when it is loaded.
        context.set_ciphers(f"{script.ciphers or 'DEFAULT'}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _OPENSSL_VERSIONS[script.minimum]
        context.maximum_version = _OPENSSL_VERSIONS[script.maximum]
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    with _as_file(issued.key_pem + issued.chain_pem) as pem:
        context.load_cert_chain(pem)
    if script.dh_bits is not None:
        with _as_file(_DH_GROUPS[script.dh_bits]) as pem:
            context.load_dh_params(str(pem))
    _ask_for_certificate(context, issued, script.client_certificate)
    _mind_server_name(context, script.server_name, host=host, named=named)
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    """Give the content a path, for the standard library loads keys and groups from files only.

    In memory where the system can: a container's root may be read-only, and disks fill up.
    """
    if hasattr(os, "memfd_create") and _OPEN_FILES.is_dir():
        with os.fdopen(os.memfd_create("relaylab"), "wb") as file:
            file.write(content)
            file.flush()
            yield _OPEN_FILES / str(file.fileno())
        return
    with tempfile.TemporaryDirectory(prefix="relaylab-") as directory:
        path = Path(directory) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield path


def _ask_for_certificate(
    context: ssl.SSLContext, issued: IssuedCertificate, wanted: ClientCertificate
) -> None:
    if wanted is ClientCertificate.NOT_ASKED:
        return
    required = wanted is ClientCertificate.REQUIRED
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=issued.chain_pem.decode("ascii"))


def _mind_server_name(
    context: ssl.SSLContext,
    rule: ServerName,
    *,
    host: str | None,
    named: ssl.SSLContext | None,
) -> None:
    if rule is ServerName.IGNORED and named is None:
        return

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        if name is None or name.lower() != host:
            required = rule is ServerName.REQUIRED
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if required else None
        if named is not None:
            tls.context = named
        return None

    context.sni_callback = choose
