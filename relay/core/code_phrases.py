"""Wordings by which the cause of a bounce is recognised, each with its source. Data.

The longest wording that a line contains tells most. Where no more than a code is known, the tables
by enhanced code and by reply code say what is usually behind it, the most likely cause first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from relay.core.code_causes import CAUSES_OF_KIND, Cause
from relay.core.code_sources import Source
from relay.core.codebook_data import CODE_BOOKS
from relay.core.failure_kinds import FailureKind


@dataclass(frozen=True, slots=True)
class Phrase:
    """A wording, as an expression without regard to case and line breaks, and its causes."""

    pattern: re.Pattern[str]
    causes: tuple[Cause, ...]
    source: Source


_C = Cause
_S = Source
_CERTIFICATE: Final = (
    _C.CERTIFICATE_UNTRUSTED,
    _C.CERTIFICATE_EXPIRED,
    _C.CERTIFICATE_NOT_YET_VALID,
)
_ANY_CERTIFICATE: Final = (*_CERTIFICATE, _C.CERTIFICATE_NAME_MISMATCH)
_PEER: Final = r"[\w.-]+(?:\[[\w.:]+\])?(?::\d+)?"

_TYPED: Final[tuple[tuple[Source, str, tuple[Cause, ...]], ...]] = (
    (_S.SALESFORCE_RELAY, r"remote node SSL certificate not signed by a valid CA", _CERTIFICATE),
    (_S.SALESFORCE_LOG, r"TLS negotiation failed", (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.MOMENTUM, r"SSL cert(?:ificate)? must be signed by a valid CA", _CERTIFICATE),
    (_S.MOMENTUM, r"SSL certificate subject does not match host", (_C.CERTIFICATE_NAME_MISMATCH,)),
    (_S.MOMENTUM, r"certificate not yet valid", (_C.CERTIFICATE_NOT_YET_VALID,)),
    (_S.MOMENTUM, r"certificate expired", (_C.CERTIFICATE_EXPIRED,)),
    (_S.MOMENTUM, r"send STARTTLS failed", (_C.TLS_REFUSED,)),
    (_S.MOMENTUM, r"no HELO/EHLO response", (_C.CONNECTION_LOST,)),
    (_S.MOMENTUM, r"no (?:MXs|mail servers) for this domain could be reached",
     (_C.CONNECTION_REFUSED, _C.CONNECTION_TIMEOUT)),
    (_S.MOMENTUM, r"exceeded max time without delivery", (_C.QUEUE_EXPIRED,)),
    (_S.SYMANTEC, r"ssl cert must be signed by a valid ca", _CERTIFICATE),
    (_S.SENDGRID, r"TLS required but not supported", (_C.TLS_NOT_OFFERED,)),
    (_S.POSTFIX, rf"TLS is required, but host {_PEER} refused to start TLS", (_C.TLS_REFUSED,)),
    (_S.POSTFIX, r"Server certificate not verified", _ANY_CERTIFICATE),
    (_S.POSTFIX, r"untrusted issuer", (_C.CERTIFICATE_UNTRUSTED,)),
    (_S.POSTFIX, r"not designated for use as a server certificate", (_C.CERTIFICATE_UNTRUSTED,)),
    (_S.POSTFIX, rf"connect to {_PEER}: Connection refused", (_C.CONNECTION_REFUSED,)),
    (_S.POSTFIX, rf"connect to {_PEER}: (?:Network is unreachable|No route to host)",
     (_C.CONNECTION_REFUSED,)),
    (_S.POSTFIX, rf"connect to {_PEER}: Connection timed out", (_C.CONNECTION_TIMEOUT,)),
    (_S.POSTFIX, rf"conversation with {_PEER} timed out", (_C.CONNECTION_TIMEOUT,)),
    (_S.POSTFIX, rf"lost connection with {_PEER} while receiving the initial server greeting",
     (_C.NO_BANNER,)),
    (_S.POSTFIX, rf"lost connection with {_PEER} while performing the EHLO handshake",
     (_C.CONNECTION_LOST, _C.TLS_HANDSHAKE_FAILED)),
    (_S.POSTFIX, rf"lost connection with {_PEER}", (_C.CONNECTION_LOST,)),
    (_S.POSTFIX, r"Host not found, try again|Name service error.*?type=\w+: Host not found, try",
     (_C.DNS_LOOKUP_FAILED,)),
    (_S.POSTFIX, r"Host or domain name not found\. Name service error", (_C.DNS_NO_HOST,)),
    (_S.POSTFIX, r"mail for \S+ loops back to myself", (_C.DNS_LOOPS_BACK,)),
    (_S.POSTFIX_SOURCE, r"TLSA lookup error", (_C.DANE_FAILED,)),
    (_S.POSTFIX_SOURCE, r"Must issue a STARTTLS command first", (_C.HOST_DEMANDS_TLS,)),
    (_S.EXIM, r"a TLS session is required, but the server did not offer TLS support",
     (_C.TLS_NOT_OFFERED,)),
    (_S.EXIM, r"a TLS session is required, but an attempt to start TLS failed", (_C.TLS_REFUSED,)),
    (_S.EXIM, r"certificate verification failed\): certificate invalid", _CERTIFICATE),
    (_S.EXIM, r"\(certificate verification failed\)",
     (_C.CERTIFICATE_NAME_MISMATCH, *_CERTIFICATE)),
    (_S.EXIM, r"\(gnutls_handshake\)", (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.EXIM, r"TLS session: synch error before connect", (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.EXIM, r"Remote host closed connection", (_C.CONNECTION_LOST,)),
    (_S.EXIM, r"Connection reset by peer", (_C.CONNECTION_LOST,)),
    (_S.EXIM, r"Connection refused", (_C.CONNECTION_REFUSED,)),
    (_S.EXIM, r"retry timeout exceeded", (_C.QUEUE_EXPIRED,)),
    (_S.EXCHANGE, r"STARTTLS is required to send mail", (_C.TLS_NOT_OFFERED, _C.HOST_DEMANDS_TLS)),
    (_S.EXCHANGE, r"starttls-not-supported", (_C.TLS_NOT_OFFERED, _C.TLS_HANDSHAKE_FAILED)),
    (_S.EXCHANGE, r"Certificate validation failed", _CERTIFICATE),
    (_S.EXCHANGE, r"certificate-host-mismatch", (_C.CERTIFICATE_NAME_MISMATCH,)),
    (_S.EXCHANGE, r"certificate-expired", (_C.CERTIFICATE_EXPIRED,)),
    (_S.EXCHANGE, r"tlsa-invalid|dnssec-invalid", (_C.DANE_FAILED,)),
    (_S.EXCHANGE, r"RecipientNotFound", (_C.MAILBOX_UNKNOWN,)),
    (_S.EXCHANGE, r"Connection was closed abruptly",
     (_C.CONNECTION_LOST, _C.NO_BANNER, _C.TLS_REFUSED)),
    (_S.RFC_8460, r"certificate-not-trusted", (_C.CERTIFICATE_UNTRUSTED,)),
    (_S.KUMOMTA, r"tls policy is Required\w* but STARTTLS is not advertised",
     (_C.TLS_NOT_OFFERED,)),
    (_S.KUMOMTA, rf"TLS handshake with {_PEER} failed", (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.KUMOMTA, r"failed to connect to any candidate hosts",
     (_C.CONNECTION_REFUSED, _C.CONNECTION_TIMEOUT)),
    (_S.HARAKA, r"No TLS available but required by configuration", (_C.TLS_NOT_OFFERED,)),
    (_S.HARAKA, r"Host failed TLS verification required by configuration", _ANY_CERTIFICATE),
    (_S.OPENSSL, r"certificate has expired", (_C.CERTIFICATE_EXPIRED,)),
    (_S.OPENSSL, r"certificate is not yet valid", (_C.CERTIFICATE_NOT_YET_VALID,)),
    (_S.OPENSSL, r"self-signed certificate|unable to get local issuer certificate",
     (_C.CERTIFICATE_UNTRUSTED,)),
    (_S.OPENSSL, r"hostname mismatch|IP address mismatch", (_C.CERTIFICATE_NAME_MISMATCH,)),
    (_S.OPENSSL, r"(?:tlsv1|sslv3) alert|WRONG_VERSION_NUMBER|unsupported protocol",
     (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.OPENSSL, r"handshake failure", (_C.TLS_HANDSHAKE_FAILED,)),
    (_S.RFC_8689, r"REQUIRETLS", (_C.REQUIRETLS_FAILED,)),
    (_S.GMAIL, r"The email account that you tried to reach does not exist", (_C.MAILBOX_UNKNOWN,)),
    (_S.GMAIL, r"this (?:mail|message) is unauthenticated|Unauthenticated email",
     (_C.SENDER_NOT_PROVEN,)),
    (_S.GMAIL, r"recipient's inbox is out of storage|over quota", (_C.MAILBOX_FULL,)),
    (_S.COMMON_WORDING, (r"(?:no such|unknown|invalid|no) (?:user|mailbox|recipient)\b|"
     r"(?:user|mailbox|recipient)(?: address)?(?: rejected)?:? (?:is )?(?:unknown|not found)|"
     r"User unknown|does not exist"), (_C.MAILBOX_UNKNOWN,)),
    (_S.COMMON_WORDING, (r"mailbox (?:is )?(?:full|over its quota)|quota exceeded|"
     r"out of storage"), (_C.MAILBOX_FULL,)),
    (_S.COMMON_WORDING, (r"(?:account|mailbox|user) (?:is |has been )?(?:disabled|inactive|"
     r"suspended|deactivated)"), (_C.MAILBOX_DISABLED,)),
    (_S.COMMON_WORDING, r"gr[ae]y-?list", (_C.GREYLISTED,)),
    (_S.COMMON_WORDING, r"too many (?:messages|connections)|rate limit|throttl",
     (_C.RATE_LIMITED,)),
    (_S.COMMON_WORDING, (r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not permitted)|"
     r"unable to relay"), (_C.RELAYING_DENIED,)),
    (_S.COMMON_WORDING, r"authentication (?:is )?required", (_C.AUTHENTICATION_NEEDED,)),
    (_S.COMMON_WORDING, r"authentication (?:credentials )?(?:failed|invalid|unsuccessful)",
     (_C.AUTHENTICATION_FAILED,)),
    (_S.COMMON_WORDING, r"\bspam\b|block(?:ed)? list|blacklist|blocklist|\bRBL\b|listed (?:at|by)",
     (_C.POLICY_REFUSAL,)),
    (_S.COMMON_WORDING, r"\b(?:SPF|DKIM|DMARC)\b", (_C.SENDER_NOT_PROVEN,)),
    (_S.COMMON_WORDING, (r"message (?:is )?too (?:big|large)|size (?:limit|exceeds)|"
     r"exceeds (?:the )?(?:maximum|fixed) "), (_C.TOO_BIG_FOR_HOST,)),
    (_S.COMMON_WORDING, r"too many recipients", (_C.TOO_MANY_RECIPIENTS,)),
    (_S.COMMON_WORDING, r"too many hops|mail loop|loop detected", (_C.DNS_LOOPS_BACK,)),
    (_S.COMMON_WORDING, r"Sender address rejected", (_C.SENDER_REFUSED,)),
)  # fmt: skip

_BOOK_SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "salesforce": _S.MOMENTUM,
        "postfix": _S.POSTFIX,
        "exchange": _S.EXCHANGE,
        "rfc": _S.RFC_3463,
    }
)


def _flexible(expression: str) -> re.Pattern[str]:
    return re.compile(expression.replace(" ", r"\s+").replace(r"\\s+", r"\s+"), re.IGNORECASE)


def _of_books() -> Iterator[Phrase]:
    kinds: dict[str, list[FailureKind]] = {}
    sources: dict[str, list[Source]] = {}
    for book in CODE_BOOKS.values():
        for kind, entry in book.entries.items():
            kinds.setdefault(entry.text, [])
            sources.setdefault(entry.text, []).append(_BOOK_SOURCES[book.name])
            if kind not in kinds[entry.text]:
                kinds[entry.text].append(kind)
    for text, found in kinds.items():
        words = text.removeprefix("[internal] ").split()
        expression = r"\s+".join(re.escape(word) for word in words)
        own = len(sources[text]) == len(CODE_BOOKS)
        yield Phrase(
            re.compile(rf"(?<!\w){expression}(?!\w)", re.IGNORECASE),
            # Where entries share a text, all that is left is their order.
            tuple(cause for kind in found for cause in CAUSES_OF_KIND[kind]),
            Source.RELAY if own else sources[text][0],
        )


PHRASES: Final[tuple[Phrase, ...]] = (
    *(Phrase(_flexible(text), causes, source) for source, text, causes in _TYPED),
    *_of_books(),
)
"""All wordings: those typed by hand, and the texts of the code books."""

_TLS: Final = (_C.TLS_HANDSHAKE_FAILED, *_ANY_CERTIFICATE)

BY_ENHANCED: Final[Mapping[str, tuple[Cause, ...]]] = MappingProxyType(
    {
        "1.1": (_C.MAILBOX_UNKNOWN,),
        "1.2": (_C.DNS_NO_HOST,),
        "1.3": (_C.ADDRESS_MALFORMED,),
        "1.4": (_C.ADDRESS_MALFORMED,),
        "1.6": (_C.MAILBOX_MOVED,),
        "1.7": (_C.SENDER_REFUSED,),
        "1.8": (_C.SENDER_REFUSED,),
        "1.10": (_C.DNS_NULL_MX,),
        "2.1": (_C.MAILBOX_DISABLED, _C.MAILBOX_BUSY),
        "2.2": (_C.MAILBOX_FULL,),
        "2.3": (_C.TOO_BIG_FOR_HOST,),
        "3.0": (_C.HOST_ERROR,),
        "3.1": (_C.HOST_ERROR,),
        "3.2": (_C.HOST_BUSY, _C.HOST_TAKES_NO_MAIL),
        "3.4": (_C.TOO_BIG_FOR_HOST,),
        "3.5": (_C.HOST_ERROR,),
        "4.1": (_C.CONNECTION_REFUSED, _C.CONNECTION_TIMEOUT),
        "4.2": (_C.CONNECTION_LOST, _C.NO_BANNER),
        "4.3": (_C.DNS_LOOKUP_FAILED,),
        "4.4": (_C.DNS_NO_HOST, _C.DNS_NULL_MX),
        "4.5": (_C.HOST_BUSY, _C.RATE_LIMITED),
        "4.6": (_C.DNS_LOOPS_BACK,),
        "4.7": (_C.QUEUE_EXPIRED, _C.OUT_OF_TIME),
        "4.14": (_C.DNS_LOOPS_BACK,),
        "4.300": (_C.QUEUE_EXPIRED,),
        "4.312": (_C.DNS_NO_HOST, _C.DNS_LOOKUP_FAILED),
        "4.315": (_C.CONNECTION_TIMEOUT,),
        "4.316": (_C.CONNECTION_REFUSED,),
        "4.317": (_C.TLS_NOT_OFFERED, *_TLS),
        "4.318": (_C.CONNECTION_LOST, _C.NO_BANNER, _C.TLS_REFUSED),
        "5.0": (_C.PROTOCOL_ERROR,),
        "5.1": (_C.PROTOCOL_ERROR,),
        "5.2": (_C.PROTOCOL_ERROR, _C.NOT_SENDABLE),
        "5.3": (_C.TOO_MANY_RECIPIENTS,),
        "5.4": (_C.PROTOCOL_ERROR,),
        "6.0": (_C.CONTENT_REFUSED, _C.NOT_SENDABLE),
        "6.1": (_C.CONTENT_REFUSED,),
        "6.3": (_C.NEEDS_8BITMIME,),
        "6.7": (_C.NEEDS_SMTPUTF8,),
        "7.0": (_C.POLICY_REFUSAL, _C.AUTHENTICATION_NEEDED),
        "7.1": (_C.POLICY_REFUSAL, _C.RELAYING_DENIED),
        "7.3": (_C.TLS_REFUSED,),
        "7.4": (_C.TLS_NOT_OFFERED,),
        "7.5": _TLS,
        "7.8": (_C.AUTHENTICATION_FAILED,),
        "7.9": (_C.AUTHENTICATION_FAILED,),
        "7.10": (_C.HOST_DEMANDS_TLS,),
        "7.11": (_C.HOST_DEMANDS_TLS,),
        "7.13": (_C.MAILBOX_DISABLED,),
        "7.20": (_C.SENDER_NOT_PROVEN,),
        "7.21": (_C.SENDER_NOT_PROVEN,),
        "7.22": (_C.SENDER_NOT_PROVEN,),
        "7.23": (_C.SENDER_NOT_PROVEN,),
        "7.24": (_C.SENDER_NOT_PROVEN,),
        "7.25": (_C.SENDER_NOT_PROVEN,),
        "7.26": (_C.SENDER_NOT_PROVEN,),
        "7.27": (_C.SENDER_REFUSED,),
        "7.28": (_C.RATE_LIMITED,),
        "7.30": (_C.REQUIRETLS_FAILED,),
        "7.320": _CERTIFICATE,
        "7.321": (_C.TLS_NOT_OFFERED, _C.TLS_REFUSED, _C.TLS_HANDSHAKE_FAILED),
        "7.322": (_C.CERTIFICATE_EXPIRED,),
        "7.323": (_C.DANE_FAILED,),
        "7.324": (_C.DANE_FAILED,),
        "7.325": (_C.CERTIFICATE_NAME_MISMATCH,),
    }
)
"""What is usually behind an enhanced code, of either class."""

BY_WHOLE_CODE: Final[Mapping[str, tuple[Cause, ...]]] = MappingProxyType(
    {
        "4.7.6": (_C.TLS_NOT_OFFERED,),
        "4.7.1": (_C.GREYLISTED, _C.POLICY_REFUSAL),
        "4.7.0": (_C.RATE_LIMITED, _C.POLICY_REFUSAL, _C.TLS_REFUSED),
        "4.2.1": (_C.MAILBOX_BUSY, _C.GREYLISTED),
        "5.3.2": (_C.HOST_TAKES_NO_MAIL,),
        "5.5.1": (_C.PROTOCOL_ERROR, _C.TLS_REFUSED),
        "5.7.3": (_C.TLS_REFUSED, _C.AUTHENTICATION_FAILED),
        "421 4.7.0": (_C.RATE_LIMITED, _C.POLICY_REFUSAL),
        "451 4.7.0": (_C.TLS_REFUSED, _C.RATE_LIMITED),
        "454 4.7.0": (_C.TLS_REFUSED, _C.AUTHENTICATION_FAILED),
        "530 5.7.0": (_C.AUTHENTICATION_NEEDED, _C.HOST_DEMANDS_TLS),
        "530 5.7.1": (_C.AUTHENTICATION_NEEDED, _C.RELAYING_DENIED),
    }
)
"""Codes behind which, in this class or with this reply code, is something more definite."""

BY_REPLY: Final[Mapping[int, tuple[Cause, ...]]] = MappingProxyType(
    {
        421: (_C.HOST_BUSY, _C.RATE_LIMITED, _C.CONNECTION_LOST),
        422: (_C.MAILBOX_FULL,),
        431: (_C.HOST_ERROR,),
        441: (_C.CONNECTION_TIMEOUT, _C.CONNECTION_REFUSED),
        442: (_C.CONNECTION_LOST,),
        446: (_C.DNS_LOOPS_BACK,),
        447: (_C.QUEUE_EXPIRED, _C.CONNECTION_TIMEOUT),
        449: (_C.DNS_LOOKUP_FAILED,),
        450: (_C.GREYLISTED, _C.MAILBOX_BUSY),
        451: (_C.HOST_ERROR, _C.TLS_NOT_OFFERED, *_TLS),
        452: (_C.MAILBOX_FULL, _C.TOO_MANY_RECIPIENTS, _C.HOST_ERROR),
        454: (_C.TLS_REFUSED, _C.CERTIFICATE_EXPIRED, _C.CERTIFICATE_NOT_YET_VALID),
        500: (_C.PROTOCOL_ERROR,),
        501: (_C.ADDRESS_MALFORMED, _C.PROTOCOL_ERROR),
        502: (_C.PROTOCOL_ERROR,),
        503: (_C.PROTOCOL_ERROR,),
        504: (_C.PROTOCOL_ERROR,),
        510: (_C.MAILBOX_UNKNOWN,),
        511: (_C.MAILBOX_UNKNOWN,),
        512: (_C.DNS_NO_HOST,),
        516: (_C.MAILBOX_MOVED,),
        521: (_C.HOST_TAKES_NO_MAIL,),
        522: (_C.MAILBOX_FULL,),
        523: (_C.TOO_BIG_FOR_HOST,),
        530: (_C.AUTHENTICATION_NEEDED, _C.HOST_DEMANDS_TLS),
        534: (_C.AUTHENTICATION_FAILED,),
        535: (_C.AUTHENTICATION_FAILED,),
        538: (_C.HOST_DEMANDS_TLS,),
        540: (_C.DNS_NO_HOST,),
        541: (_C.CONNECTION_TIMEOUT,),
        542: (_C.CONNECTION_LOST,),
        546: (_C.DNS_LOOPS_BACK,),
        547: (_C.QUEUE_EXPIRED,),
        550: (_C.MAILBOX_UNKNOWN, _C.POLICY_REFUSAL, _C.RELAYING_DENIED),
        551: (_C.RELAYING_DENIED,),
        552: (_C.TOO_BIG_FOR_HOST, _C.MAILBOX_FULL),
        553: (_C.ADDRESS_MALFORMED, _C.SENDER_REFUSED),
        554: (_C.POLICY_REFUSAL, _C.HOST_TAKES_NO_MAIL, _C.QUEUE_EXPIRED),
        555: (_C.PROTOCOL_ERROR,),
        556: (_C.DNS_NULL_MX,),
        571: (_C.POLICY_REFUSAL,),
        574: (_C.TLS_NOT_OFFERED,),
        575: _TLS,
        576: _ANY_CERTIFICATE,
    }
)
"""What is usually behind a reply code that comes without an enhanced one."""
