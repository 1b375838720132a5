"""Client contexts that offer one TLS version, or chosen suites: to ask what a host accepts.

They verify nothing and are for asking alone; no mail goes through them. What this Python's OpenSSL
was built without can't be asked about, and is said instead.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Final

from relay.core.settings import TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.tls.contexts import ClientContexts
from relay.tls.peer_chain import ChainKeepingObject
from relay.tls.trust import TrustStores

_VERSIONS: Final = {
    TlsVersion.TLS1_0: (ssl.TLSVersion.TLSv1, ssl.HAS_TLSv1),
    TlsVersion.TLS1_1: (ssl.TLSVersion.TLSv1_1, ssl.HAS_TLSv1_1),
    TlsVersion.TLS1_2: (ssl.TLSVersion.TLSv1_2, ssl.HAS_TLSv1_2),
    TlsVersion.TLS1_3: (ssl.TLSVersion.TLSv1_3, ssl.HAS_TLSv1_3),
}
_WIDEST: Final = "ALL:COMPLEMENTOFALL:!aNULL:@SECLEVEL=0"
"""Everything that authenticates the host, suites without encryption last among them.

Security level 0, because TLS 1.0 and 1.1 sign with SHA-1, and because a host's weakness is what is
asked about.
"""
_EVERY_SUITE: Final = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
_OTHER_SECRETS: Final = ("PSK", "SRP")
"""Suites that need a secret which both sides know: no mail client has one."""
_OLD_SUITES: Final = {
    "RC4": "RC4",
    "Triple DES": "DES-CBC3",
    "single DES": "DES-CBC-",
    "export suites": "EXP",
}
_BEFORE_TLS_1_2: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"})
"""OpenSSL's words for the version that a suite came with, as far as TLS 1.0 and 1.1 may use it."""


def why_not_tried(version: TlsVersion) -> str | None:
    """Return why this machine can't ask for a version, as a clause; None where it can."""
    if not _VERSIONS[version][1]:
        return f"{ssl.OPENSSL_VERSION} was built without it"
    return None


@cache
def known_suites(version: TlsVersion) -> tuple[str, ...]:
    """Return the suites of TLS 1.2 and before that can be asked for under `version`, in order.

    () for TLS 1.3, whose suites Python's ssl has no way to choose among.
    """
    if version is TlsVersion.TLS1_3:
        return ()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(_EVERY_SUITE)
    return tuple(
        str(suite["name"])
        for suite in context.get_ciphers()
        if suite["protocol"] != "TLSv1.3"
        and (version is TlsVersion.TLS1_2 or suite["protocol"] in _BEFORE_TLS_1_2)
        and not any(word in str(suite["name"]) for word in _OTHER_SECRETS)
    )


def unknown_suites() -> tuple[str, ...]:
    """Return the kinds of old suites that this OpenSSL can't offer, so that nobody knows."""
    names = known_suites(TlsVersion.TLS1_2)
    return tuple(
        kind
        for kind, part in _OLD_SUITES.items()
        if not any(name.startswith(part) or f"-{part}" in name for name in names)
    )


class PinnedContexts(ClientContexts):
    """Contexts for one TLS version alone, whatever the policy; `suites` are OpenSSL's names.

    Without `suites` everything is offered that authenticates the host. ValueError: this OpenSSL
    knows none of the suites, or not the version.
    """

    def __init__(self, version: TlsVersion, suites: Sequence[str] = ()) -> None:
        super().__init__(TrustStores())
        if (why := why_not_tried(version)) is not None:
            raise ValueError(why)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslobject_class = ChainKeepingObject
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        # Hosts that never learnt RFC 5746 can still be asked what they speak.
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0)
        try:
            context.set_ciphers(":".join((*suites, "@SECLEVEL=0")) if suites else _WIDEST)
        except ssl.SSLError as error:
            raise ValueError("this OpenSSL knows none of the suites") from error
        with warnings.catch_warnings():
            # A deprecated version is asked about by name.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = _VERSIONS[version][0]
            context.maximum_version = _VERSIONS[version][0]
        self._context = context

    def context(self, policy: TlsPolicy) -> ssl.SSLContext:
        """Return the one context."""
        return self._context
