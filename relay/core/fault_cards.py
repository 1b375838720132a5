"""The card of each fault: its class, its standard term, and what to do about it. Data.

Result types follow RFC 8460 section 4.3, which puts a missing intermediate, a failed name
constraint and a path-length violation under certificate-not-trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from relay.core.faults import FaultClass, FaultKind, ResultType, TlsFault


@dataclass(frozen=True, slots=True)
class FaultCard:
    """What a fault means (`meaning`) and who must do what about it (`remedy`), each a sentence."""

    fault_class: FaultClass
    result_type: ResultType
    meaning: str
    remedy: str


_K = FaultKind
_C = FaultClass
_R = ResultType

FAULTS: Final[Mapping[FaultKind, FaultCard]] = MappingProxyType(
    {
        _K.STARTTLS_NOT_OFFERED: FaultCard(
            _C.NOT_OFFERED,
            _R.STARTTLS_NOT_SUPPORTED,
            "The host does not offer STARTTLS, or something on the way removed it from its reply.",
            "Ask the host's administrator to enable STARTTLS; if they say it is enabled, look for a "
            "firewall or proxy that rewrites SMTP.",
        ),
        _K.STARTTLS_REFUSED: FaultCard(
            _C.REFUSED,
            _R.STARTTLS_NOT_SUPPORTED,
            "The host offers STARTTLS but refuses to start it.",
            "Ask the host's administrator to look at its TLS set-up: a missing key, certificate or "
            "entropy makes a server answer 454.",
        ),
        _K.STARTTLS_NO_ANSWER: FaultCard(
            _C.NO_GO_AHEAD,
            _R.STARTTLS_NOT_SUPPORTED,
            "The host offers STARTTLS but closes the connection or stays silent when asked to start.",
            "Ask the host's administrator for its log of this session; a crash of its TLS set-up or a "
            "middlebox ends sessions this way.",
        ),
        _K.STARTTLS_INJECTION: FaultCard(
            _C.INJECTION,
            _R.VALIDATION_FAILURE,
            "Clear text came right behind the go-ahead for TLS, where an attacker could have put it.",
            "Nothing that came in clear was used; look for a proxy on the way that sends ahead of "
            "its turn, and treat it as an attack until somebody can explain it.",
        ),
        _K.HANDSHAKE_PROTOCOL_VERSION: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The host speaks no TLS version that this policy accepts.",
            "The host must enable TLS 1.2 or 1.3; versions 1.0 and 1.1 are deprecated (RFC 8996).",
        ),
        _K.HANDSHAKE_NO_SHARED_CIPHER: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The host and this relay have no cipher suite in common.",
            "The host must enable a modern suite, such as ECDHE with AES-GCM.",
        ),
        _K.HANDSHAKE_NOT_TLS: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "After its go-ahead the host sent something that is not TLS.",
            "Look for a proxy that answers STARTTLS without understanding it, or for a plain-text port "
            "that is addressed with implicit TLS.",
        ),
        _K.HANDSHAKE_ALERT: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The host ended the handshake with a TLS alert.",
            "The alert's name in the detail says why; the host's log says more.",
        ),
        _K.HANDSHAKE_CLOSED: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The connection was closed during the handshake.",
            "Look for a crash in the host's log, or for a firewall that drops TLS.",
        ),
        _K.HANDSHAKE_TIMEOUT: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The host gave its go-ahead and then did not take part in the handshake.",
            "Look for a firewall that swallows TLS records, or for a host that is overloaded.",
        ),
        _K.HANDSHAKE_WEAK_PARAMETERS: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The host chose key-exchange parameters that are too weak.",
            "The host must use Diffie-Hellman groups of 2048 bits or more, or elliptic curves.",
        ),
        _K.HANDSHAKE_BAD_SIGNATURE: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The key exchange is not signed by the key of the certificate that was shown.",
            "Treat it as an attack until the host's administrator can explain it: whoever answered "
            "does not hold the certificate's key.",
        ),
        _K.HANDSHAKE_FAILED: FaultCard(
            _C.HANDSHAKE,
            _R.VALIDATION_FAILURE,
            "The TLS handshake failed.",
            "The detail has the TLS library's own words; the host's log has the other side of it.",
        ),
        _K.CERTIFICATE_SELF_SIGNED: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_NOT_TRUSTED,
            "The host's certificate is signed by itself, not by an authority.",
            "The host needs a certificate from an authority that this policy trusts.",
        ),
        _K.CERTIFICATE_MISSING_INTERMEDIATE: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_NOT_TRUSTED,
            "The host does not send the intermediate certificate that leads to its authority.",
            "The host must send its full chain: the certificate, then every intermediate.",
        ),
        _K.CERTIFICATE_UNTRUSTED_ROOT: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_NOT_TRUSTED,
            "The chain ends at an authority that this policy does not trust.",
            "The host needs a certificate from a public authority; a private one can be added to the "
            "policy's `trust`.",
        ),
        _K.CERTIFICATE_ISSUER_INVALID: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_NOT_TRUSTED,
            "A certificate in the chain may not issue the one below it.",
            "The host's certificate must be issued anew, by a certificate that is an authority within "
            "its path length.",
        ),
        _K.CERTIFICATE_BAD_SIGNATURE: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "A certificate's signature does not verify against its issuer's key.",
            "The certificate is damaged or forged; the host must install the one that was issued.",
        ),
        _K.CERTIFICATE_EXPIRED: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_EXPIRED,
            "A certificate of the host's chain has expired.",
            "The host's administrator must renew it; nothing on the sender's side helps, short of a "
            "setting that does not verify.",
        ),
        _K.CERTIFICATE_NOT_YET_VALID: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "A certificate of the host's chain is not valid yet.",
            "Compare clocks first: yours, then the host's; otherwise wait or have it issued anew.",
        ),
        _K.CERTIFICATE_REVOKED: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "A certificate of the host's chain is on its authority's revocation list.",
            "The host must install a new certificate with a new key.",
        ),
        _K.CERTIFICATE_REVOCATION_UNKNOWN: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "The policy asks for a revocation check, but has no current list from this issuer.",
            "Add the issuer's current CRL to the policy's `trust`, or remove the check.",
        ),
        _K.CERTIFICATE_WRONG_PURPOSE: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "The host's certificate was not issued for servers.",
            "The host needs a certificate with the extended key usage serverAuth.",
        ),
        _K.CERTIFICATE_WEAK_KEY: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "A key of the chain is too short.",
            "RSA keys need 2048 bits or more, elliptic curves 224 or more.",
        ),
        _K.CERTIFICATE_WEAK_SIGNATURE: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "A certificate of the chain is signed with a broken digest.",
            "The certificate must be issued anew with SHA-256 or better.",
        ),
        _K.CERTIFICATE_NAME_CONSTRAINT: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_NOT_TRUSTED,
            "The issuer may not issue certificates for this name.",
            "The host needs a certificate from an authority that may issue for its domain.",
        ),
        _K.CERTIFICATE_UNKNOWN_EXTENSION: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "The certificate has a critical extension that is not understood.",
            "The certificate must be issued anew without it.",
        ),
        _K.CERTIFICATE_NAME_MISMATCH: FaultCard(
            _C.CERTIFICATE,
            _R.CERTIFICATE_HOST_MISMATCH,
            "The host's certificate does not bear the name that was connected to.",
            "Connect to a name that is in the certificate (a host name, not an IP address), or have "
            "the certificate issued for this name.",
        ),
        _K.CERTIFICATE_INVALID: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "The TLS library refuses the certificate for a reason without a name of its own here.",
            "The detail has OpenSSL's own words.",
        ),
        _K.CERTIFICATE_UNAVAILABLE: FaultCard(
            _C.CERTIFICATE,
            _R.VALIDATION_FAILURE,
            "The handshake stands, but the host's certificate could not be read.",
            "The detail says why; without a certificate nothing can be verified.",
        ),
    }
)


def card(fault: TlsFault) -> FaultCard:
    """Return the card of a fault."""
    return FAULTS[fault.kind]
