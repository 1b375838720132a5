"""Client contexts: one for each way of verifying, shared by all sessions that verify so.

Every flag that decides on a verdict is set here by name, so that results do not depend on the
interpreter's defaults (Python 3.13's are stricter than 3.11's) or on the system's openssl.cnf.
"""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from relay.core.settings import TlsVersion
from relay.core.tls_policy import CommonName, TlsPolicy, TrustAnchors
from relay.tls.peer_chain import ChainKeepingObject
from relay.tls.trust import TrustStores

_VERSIONS: Final = {
    TlsVersion.TLS1_0: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS1_3: ssl.TLSVersion.TLSv1_3,
}
_DEPRECATED: Final = frozenset({TlsVersion.TLS1_0, TlsVersion.TLS1_1})


@unique
class NameCheck(Enum):
    """Who compares the certificate's names, and with what.

    OpenSSL compares one name. Where a policy allows more, the examination compares them all, after
    the handshake and before any mail command.
    """

    AFTERWARDS = "afterwards"
    BY_HANDSHAKE = "by-handshake"
    BY_HANDSHAKE_OR_COMMON_NAME = "by-handshake-or-common-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the handshake itself verifies: trust always, names as far as OpenSSL can."""

    trust: TrustAnchors
    names: NameCheck


def verification(policy: TlsPolicy) -> Verification | None:
    """Return what the handshake verifies under `policy`; None when it accepts any certificate."""
    if not policy.verifies:
        return None
    if policy.names.extra or policy.names.recipient_domain:
        names = NameCheck.AFTERWARDS
    elif policy.names.common_name is CommonName.FALLBACK:
        names = NameCheck.BY_HANDSHAKE_OR_COMMON_NAME
    else:
        names = NameCheck.BY_HANDSHAKE
    return Verification(trust=policy.trust, names=names)


class ClientContexts:
    """Builds each client context once."""

    def __init__(self, stores: TrustStores) -> None:
        self._stores = stores
        self._contexts: dict[tuple[TlsVersion, Verification | None], ssl.SSLContext] = {}

    def context(self, policy: TlsPolicy) -> ssl.SSLContext:
        """Return the context for a session under `policy`.

        The first call for a policy reads its trust files, whether or not it verifies (the
        examination needs them all the same): TrustError when one cannot be used.
        Handshake errors out of this context carry the peer's chain (`relay.tls.observe`).
        """
        self._stores.read(policy.trust)
        key = (policy.minimum_tls, verification(policy))
        if key not in self._contexts:
            self._contexts[key] = self._build(*key)
        return self._contexts[key]

    def _build(self, minimum: TlsVersion, verifying: Verification | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslobject_class = ChainKeepingObject
        # Each session must show its own handshake, so nothing is resumed.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        _set_minimum(context, minimum)
        if verifying is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = verifying.names is not NameCheck.AFTERWARDS
        context.hostname_checks_common_name = (
            verifying.names is NameCheck.BY_HANDSHAKE_OR_COMMON_NAME
        )
        context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
        if verifying.trust.crl_files:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self._stores.load_into(context, verifying.trust)
        return context


def _set_minimum(context: ssl.SSLContext, minimum: TlsVersion) -> None:
    if minimum in _DEPRECATED:
        # TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL allows at security level 0 only. The
        # strength of certificates is then judged by the examination alone.
        context.set_ciphers("DEFAULT:!aNULL:!eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # The policy asked for a deprecated version by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[minimum]
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
