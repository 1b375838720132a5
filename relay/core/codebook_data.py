"""The code books themselves, as data.

Sources: *salesforce*: Momentum's response table, whose TLS texts Salesforce's own Knowledge
articles quote (000388924, 000206241). *postfix*: Postfix 3.7 as measured on the wire. *exchange*:
Microsoft's NDR page for Exchange Online. *rfc*: RFC 3463 and the IANA registry, in neutral words.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from relay.core.codebook import CodeBook, CodeEntry
from relay.core.failure_kinds import FailureKind as K


def _book(name: str, lines: dict[K, str]) -> CodeBook:
    entries = {kind: CodeEntry.parse(line) for kind, line in lines.items()}
    return CodeBook(name=name, entries=MappingProxyType(entries))


_COMMON: Final[dict[K, str]] = {
    K.OUT_OF_TIME: "451 4.4.7 [internal] no outcome within the time that the client waits",
    K.NEEDS_8BITMIME: "554 5.6.3 [internal] host does not support 8BITMIME",
    K.NEEDS_SMTPUTF8: "553 5.6.7 [internal] host does not support SMTPUTF8",
    K.TOO_BIG_FOR_HOST: "552 5.3.4 [internal] message size exceeds the limit of the host",
    K.NOT_SENDABLE: "554 5.6.0 [internal] message or envelope can not be sent as it is",
    K.AUTH_UNAVAILABLE: "451 4.7.0 [internal] host does not offer the mechanism to log in by",
    K.SUPPRESSED: "550 5.7.1 [internal] address has bounced before and is suppressed",
    K.INTERNAL: "451 4.3.0 [internal] local problem, see the relay's log",
    K.HOST_NOT_ALLOWED: "554 5.7.1 [internal] host is off this machine, start with --allow-external",
}

SALESFORCE: Final = _book(
    "salesforce",
    {
        **_COMMON,
        K.TLS_NOT_OFFERED: "451 4.7.6 [internal] STARTTLS required but not advertised",
        K.TLS_REFUSED: "451 4.7.5 [internal] no tls go-ahead",
        K.TLS_HANDSHAKE_FAILED: "451 4.7.5 [internal] TLS negotiation failed",
        K.CERTIFICATE_UNTRUSTED: "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA",
        K.CERTIFICATE_NAME_MISMATCH: "451 4.7.5 [internal] SSL cert common name does not match host",
        K.DNS_NO_HOST: "454 4.4.4 [internal] no MX or A for domain",
        K.DNS_LOOKUP_FAILED: "451 4.4.3 [internal] Domain Lookup Failed",
        K.DNS_NULL_MX: "550 5.4.4 [internal] NULL MX",
        K.DNS_LOOPS_BACK: "554 5.4.6 [internal] mail for the domain loops back to this relay",
        K.CONNECTION_REFUSED: "451 4.4.1 [internal] No valid hosts (unable to make any connections)",
        K.CONNECTION_TIMEOUT: "450 4.4.1 [internal] Connection Timed Out",
        K.CONNECTION_LOST: "451 4.4.2 [internal] connection closed by remote host",
        K.NO_BANNER: "451 4.4.2 [internal] no banner",
        K.QUEUE_EXPIRED: "554 5.4.7 [internal] exceeded max time without delivery",
    },
)

POSTFIX: Final = _book(
    "postfix",
    {
        **_COMMON,
        K.TLS_NOT_OFFERED: "451 4.7.4 TLS is required, but was not offered by host",
        K.TLS_REFUSED: "451 4.7.0 TLS is required, but host refused to start TLS",
        K.TLS_HANDSHAKE_FAILED: "451 4.7.5 Cannot start TLS: handshake failure",
        K.CERTIFICATE_UNTRUSTED: "451 4.7.5 Server certificate not verified",
        K.CERTIFICATE_NAME_MISMATCH: "451 4.7.5 Server certificate not verified",
        K.DNS_NO_HOST: "550 5.4.4 Host or domain name not found",
        K.DNS_LOOKUP_FAILED: "450 4.4.3 Host or domain name not found, try again",
        K.DNS_NULL_MX: "556 5.1.0 Domain does not accept mail (null MX)",
        K.DNS_LOOPS_BACK: "554 5.4.6 mail for the domain loops back to myself",
        K.CONNECTION_REFUSED: "451 4.4.1 connect to host: Connection refused",
        K.CONNECTION_TIMEOUT: "451 4.4.1 connect to host: Connection timed out",
        K.CONNECTION_LOST: "451 4.4.2 lost connection with host",
        K.NO_BANNER: "451 4.4.2 lost connection while receiving the initial server greeting",
        K.QUEUE_EXPIRED: "554 5.4.7 delivery temporarily suspended until the message expired",
    },
)

EXCHANGE: Final = _book(
    "exchange",
    {
        **_COMMON,
        K.TLS_NOT_OFFERED: "450 4.7.321 starttls-not-supported: Destination mail server must support TLS",
        K.TLS_REFUSED: "450 4.7.321 starttls-not-supported: Destination mail server must support TLS",
        K.TLS_HANDSHAKE_FAILED: "450 4.7.321 starttls-not-supported: Destination mail server must support TLS",
        K.CERTIFICATE_UNTRUSTED: "450 4.7.320 Certificate validation failed",
        K.CERTIFICATE_NAME_MISMATCH: "450 4.7.325 certificate-host-mismatch: certificate does not match the host name",
        K.DNS_NO_HOST: "450 4.4.312 DNS query failed",
        K.DNS_LOOKUP_FAILED: "450 4.4.312 DNS query failed",
        K.DNS_NULL_MX: "556 5.1.10 Recipient domain has a null MX record",
        K.DNS_LOOPS_BACK: "554 5.4.14 Routing loop detected",
        K.CONNECTION_REFUSED: "450 4.4.316 Connection refused",
        K.CONNECTION_TIMEOUT: "450 4.4.315 Connection timed out",
        K.CONNECTION_LOST: "450 4.4.318 Connection was closed abruptly",
        K.NO_BANNER: "450 4.4.318 Connection was closed abruptly",
        K.QUEUE_EXPIRED: "550 5.4.300 Message expired",
    },
)

RFC: Final = _book(
    "rfc",
    {
        **_COMMON,
        K.TLS_NOT_OFFERED: "451 4.7.4 Security features not supported: STARTTLS not offered",
        K.TLS_REFUSED: "451 4.7.0 Host refused to start TLS",
        K.TLS_HANDSHAKE_FAILED: "451 4.7.5 Cryptographic failure: TLS handshake failed",
        K.CERTIFICATE_UNTRUSTED: "451 4.7.5 Cryptographic failure: certificate not trusted",
        K.CERTIFICATE_NAME_MISMATCH: "451 4.7.5 Cryptographic failure: certificate does not match the host",
        K.DNS_NO_HOST: "450 4.4.4 Unable to route",
        K.DNS_LOOKUP_FAILED: "451 4.4.3 Directory server failure",
        K.DNS_NULL_MX: "556 5.1.10 Recipient address has null MX",
        K.DNS_LOOPS_BACK: "554 5.4.6 Routing loop detected",
        K.CONNECTION_REFUSED: "451 4.4.1 No answer from host",
        K.CONNECTION_TIMEOUT: "451 4.4.1 No answer from host",
        K.CONNECTION_LOST: "451 4.4.2 Bad connection",
        K.NO_BANNER: "451 4.4.2 Bad connection: no greeting",
        K.QUEUE_EXPIRED: "554 5.4.7 Delivery time expired",
    },
)

CODE_BOOKS: Final = MappingProxyType(
    {book.name: book for book in (SALESFORCE, POSTFIX, EXCHANGE, RFC)}
)
"""Every book by the name that a policy's `codes:` uses."""
