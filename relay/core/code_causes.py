"""What can be behind a code or a bounce's text: causes, each with a card. Data.

A cause is either one of this relay's own failures (`FailureKind`), told apart further where the
texts of others do, or something that a host says of a recipient, a sender or itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from relay.core.failure_kinds import FailureKind, fault_failure_kind
from relay.core.failure_remedies import REMEDIES
from relay.core.fault_cards import FAULTS
from relay.core.faults import FaultKind, TlsFault


@unique
class Cause(Enum):
    """A cause by name; where a code book has an entry for it, under the same name."""

    TLS_NOT_OFFERED = "tls-not-offered"
    TLS_REFUSED = "tls-refused"
    TLS_HANDSHAKE_FAILED = "tls-handshake-failed"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_NAME_MISMATCH = "certificate-name-mismatch"
    DANE_FAILED = "dane-failed"
    REQUIRETLS_FAILED = "requiretls-failed"
    DNS_NO_HOST = "dns-no-host"
    DNS_LOOKUP_FAILED = "dns-lookup-failed"
    DNS_NULL_MX = "dns-null-mx"
    DNS_LOOPS_BACK = "dns-loops-back"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_TIMEOUT = "connection-timeout"
    CONNECTION_LOST = "connection-lost"
    NO_BANNER = "no-banner"
    HOST_NOT_ALLOWED = "host-not-allowed"
    QUEUE_EXPIRED = "queue-expired"
    OUT_OF_TIME = "out-of-time"
    NEEDS_8BITMIME = "needs-8bitmime"
    NEEDS_SMTPUTF8 = "needs-smtputf8"
    TOO_BIG_FOR_HOST = "too-big-for-host"
    NOT_SENDABLE = "not-sendable"
    AUTH_UNAVAILABLE = "auth-unavailable"
    SUPPRESSED = "suppressed"
    INTERNAL = "internal"
    MAILBOX_UNKNOWN = "mailbox-unknown"
    MAILBOX_FULL = "mailbox-full"
    MAILBOX_BUSY = "mailbox-busy"
    MAILBOX_DISABLED = "mailbox-disabled"
    MAILBOX_MOVED = "mailbox-moved"
    ADDRESS_MALFORMED = "address-malformed"
    GREYLISTED = "greylisted"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_RECIPIENTS = "too-many-recipients"
    POLICY_REFUSAL = "policy-refusal"
    SENDER_NOT_PROVEN = "sender-not-proven"
    SENDER_REFUSED = "sender-refused"
    RELAYING_DENIED = "relaying-denied"
    AUTHENTICATION_NEEDED = "authentication-needed"
    AUTHENTICATION_FAILED = "authentication-failed"
    HOST_DEMANDS_TLS = "host-demands-tls"
    HOST_TAKES_NO_MAIL = "host-takes-no-mail"
    HOST_BUSY = "host-busy"
    HOST_ERROR = "host-error"
    PROTOCOL_ERROR = "protocol-error"
    CONTENT_REFUSED = "content-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCard:
    """A cause in a sentence (`meaning`), and who does what about it (`remedy`).

    The lab reproduces it by the scenarios whose first fault is one of `faults`, and by those named
    in `scenarios`, the plainest first.
    """

    meaning: str
    remedy: str
    faults: tuple[FaultKind, ...] = ()
    scenarios: tuple[str, ...] = ()


_C = Cause
_F = FaultKind


def _faults(kind: FailureKind, *, without: tuple[FaultKind, ...] = ()) -> tuple[FaultKind, ...]:
    return tuple(
        fault
        for fault in FAULTS
        if fault not in without and fault_failure_kind(TlsFault(kind=fault, detail="")) is kind
    )


def _own(
    meaning: str,
    kind: FailureKind,
    *,
    faults: tuple[FaultKind, ...] = (),
    scenarios: tuple[str, ...] = (),
) -> CauseCard:
    remedy = FAULTS[faults[0]].remedy if faults else REMEDIES[kind]
    return CauseCard(meaning=meaning, remedy=remedy, faults=faults, scenarios=scenarios)


def _others(meaning: str, remedy: str, *scenarios: str) -> CauseCard:
    return CauseCard(meaning=meaning, remedy=remedy, scenarios=scenarios)


_DATED: Final = (_F.CERTIFICATE_EXPIRED, _F.CERTIFICATE_NOT_YET_VALID)

CAUSES: Final[Mapping[Cause, CauseCard]] = MappingProxyType(
    {
        _C.TLS_NOT_OFFERED: _own(
            "The sender demands TLS and the host does not offer STARTTLS, or something on the "
            "way removed the offer.",
            FailureKind.TLS_NOT_OFFERED,
            faults=_faults(FailureKind.TLS_NOT_OFFERED),
            scenarios=("no-starttls",),
        ),
        _C.TLS_REFUSED: _own(
            "The host offers STARTTLS, and refuses it or falls silent when it is asked to start.",
            FailureKind.TLS_REFUSED,
            faults=_faults(FailureKind.TLS_REFUSED),
            scenarios=("starttls-refused",),
        ),
        _C.TLS_HANDSHAKE_FAILED: _own(
            "The two sides could not agree on TLS: version, cipher suite, or an answer that is "
            "no TLS.",
            FailureKind.TLS_HANDSHAKE_FAILED,
            faults=(
                *_faults(FailureKind.TLS_HANDSHAKE_FAILED, without=(_F.STARTTLS_INJECTION,)),
                _F.STARTTLS_INJECTION,
            ),
            scenarios=("tls11-only", "handshake-drop", "no-common-cipher"),
        ),
        _C.CERTIFICATE_UNTRUSTED: _own(
            "The host's certificate does not lead to an authority that the sender trusts.",
            FailureKind.CERTIFICATE_UNTRUSTED,
            faults=_faults(FailureKind.CERTIFICATE_UNTRUSTED, without=_DATED),
            scenarios=("untrusted-root", "self-signed", "missing-intermediate"),
        ),
        _C.CERTIFICATE_EXPIRED: _own(
            "A certificate of the host's chain has expired.",
            FailureKind.CERTIFICATE_UNTRUSTED,
            faults=(_F.CERTIFICATE_EXPIRED,),
            scenarios=("expired",),
        ),
        _C.CERTIFICATE_NOT_YET_VALID: _own(
            "A certificate of the host's chain is not valid yet, or a clock is wrong.",
            FailureKind.CERTIFICATE_UNTRUSTED,
            faults=(_F.CERTIFICATE_NOT_YET_VALID,),
            scenarios=("not-yet-valid",),
        ),
        _C.CERTIFICATE_NAME_MISMATCH: _own(
            "The host's certificate is made out to another name than the host's.",
            FailureKind.CERTIFICATE_NAME_MISMATCH,
            faults=_faults(FailureKind.CERTIFICATE_NAME_MISMATCH),
            scenarios=("wrong-host",),
        ),
        _C.DANE_FAILED: _others(
            "The domain publishes, by DNSSEC, which certificate its host has, and it has another.",
            "The domain's administrator must bring its TLSA records and its certificate into line.",
        ),
        _C.REQUIRETLS_FAILED: _others(
            "The message demands TLS all the way (REQUIRETLS), and the next host can't promise it.",
            "Send it without REQUIRETLS, or to a host that supports it.",
        ),
        _C.DNS_NO_HOST: _own(
            "DNS knows no host for the domain.",
            FailureKind.DNS_NO_HOST,
            scenarios=("nxdomain",),
        ),
        _C.DNS_LOOKUP_FAILED: _own(
            "The domain's name server did not answer, or failed.",
            FailureKind.DNS_LOOKUP_FAILED,
            scenarios=("servfail", "dns-timeout"),
        ),
        _C.DNS_NULL_MX: _own(
            "The domain says that it takes no mail.",
            FailureKind.DNS_NULL_MX,
            scenarios=("null-mx",),
        ),
        _C.DNS_LOOPS_BACK: _own(
            "The message would come, or has come, back to where it was: a loop.",
            FailureKind.DNS_LOOPS_BACK,
            scenarios=("mx-loop",),
        ),
        _C.CONNECTION_REFUSED: _own(
            "The host takes no connection at this address and port, or can't be reached.",
            FailureKind.CONNECTION_REFUSED,
        ),
        _C.CONNECTION_TIMEOUT: _own(
            "The host did not answer in time.",
            FailureKind.CONNECTION_TIMEOUT,
            scenarios=("data-silence",),
        ),
        _C.CONNECTION_LOST: _own(
            "The connection broke in the middle of the session.",
            FailureKind.CONNECTION_LOST,
            scenarios=("data-drop",),
        ),
        _C.NO_BANNER: _own(
            "The connection was made, and the host never greeted.",
            FailureKind.NO_BANNER,
            scenarios=("greeting-silence",),
        ),
        _C.HOST_NOT_ALLOWED: _own(
            "The host is off this machine and its private networks.",
            FailureKind.HOST_NOT_ALLOWED,
        ),
        _C.QUEUE_EXPIRED: _own(
            "Every try failed for now until the time for retries was used up; the last failure "
            "is the cause.",
            FailureKind.QUEUE_EXPIRED,
        ),
        _C.OUT_OF_TIME: _own(
            "The hosts had not answered by the time that the client had to be.",
            FailureKind.OUT_OF_TIME,
        ),
        _C.NEEDS_8BITMIME: _own(
            "The message has 8-bit text and the host takes none.",
            FailureKind.NEEDS_8BITMIME,
            scenarios=("no-8bitmime",),
        ),
        _C.NEEDS_SMTPUTF8: _own(
            "An address or header is outside ASCII and the host does not take such.",
            FailureKind.NEEDS_SMTPUTF8,
            scenarios=("no-smtputf8",),
        ),
        _C.TOO_BIG_FOR_HOST: _own(
            "The message is larger than the host, or the mailbox, takes.",
            FailureKind.TOO_BIG_FOR_HOST,
            scenarios=("size-limit", "too-big"),
        ),
        _C.NOT_SENDABLE: _own(
            "The message or an address breaks the protocol's rules.",
            FailureKind.NOT_SENDABLE,
        ),
        _C.AUTH_UNAVAILABLE: _own(
            "The host does not offer the mechanism that the relay is to log in by.",
            FailureKind.AUTH_UNAVAILABLE,
        ),
        _C.SUPPRESSED: _own(
            "The address has bounced before, and nothing is sent to it until that is cleared.",
            FailureKind.SUPPRESSED,
        ),
        _C.INTERNAL: _own(
            "Something went wrong in this relay itself.",
            FailureKind.INTERNAL,
        ),
        _C.MAILBOX_UNKNOWN: _others(
            "The host knows no such mailbox.",
            "Check the address's spelling; the recipient may have left.",
            "user-unknown",
        ),
        _C.MAILBOX_FULL: _others(
            "The recipient's mailbox is full.",
            "The recipient must make room; a later try may succeed.",
            "mailbox-full",
        ),
        _C.MAILBOX_BUSY: _others(
            "The mailbox is not available just now.",
            "Nothing to do; a later try may succeed.",
            "mailbox-busy",
        ),
        _C.MAILBOX_DISABLED: _others(
            "The mailbox exists and is disabled.",
            "Ask the recipient for another address.",
        ),
        _C.MAILBOX_MOVED: _others(
            "The recipient has another address now.",
            "Ask the recipient for it, or read it in the host's reply.",
        ),
        _C.ADDRESS_MALFORMED: _others(
            "The host can't make out the address.",
            "Check the address's spelling.",
        ),
        _C.GREYLISTED: _others(
            "The host puts off senders that it has not seen before.",
            "Nothing to do; a try some minutes later succeeds.",
            "greylist",
        ),
        _C.RATE_LIMITED: _others(
            "The host takes no more from this sender for a while.",
            "Send more slowly; a later try may succeed.",
            "rate-limit",
        ),
        _C.TOO_MANY_RECIPIENTS: _others(
            "The message has more recipients than the host takes at once.",
            "Send it to fewer at a time.",
        ),
        _C.POLICY_REFUSAL: _others(
            "The host's policy refuses the sender, its network or the message: spam filters and "
            "block lists read so.",
            "The host's words say more; ask its administrator.",
            "blocked",
        ),
        _C.SENDER_NOT_PROVEN: _others(
            "The sender could not prove to be who it says: SPF, DKIM or DMARC failed.",
            "Correct the sender domain's SPF and DKIM records, or send through its own hosts.",
        ),
        _C.SENDER_REFUSED: _others(
            "The host does not take mail from this sender's address or domain.",
            "Check that the sender's domain exists and takes mail.",
        ),
        _C.RELAYING_DENIED: _others(
            "The host is not responsible for the recipient's domain and won't pass mail on.",
            "Check the domain's MX records, or the route; a smart host wants authentication.",
            "no-such-domain-here",
        ),
        _C.AUTHENTICATION_NEEDED: _others(
            "The host wants the sender to authenticate first.",
            "Give the relay a user and password for this host, or mail its port for other servers.",
            "auth-required",
            "auth-fails",
        ),
        _C.AUTHENTICATION_FAILED: _others(
            "The host did not accept the sender's user and password.",
            "Check the user, the password and the mechanism.",
        ),
        _C.HOST_DEMANDS_TLS: _others(
            "The host takes mail under TLS alone, and the sender spoke in clear text.",
            "Let the sender use STARTTLS: any setting but Off does.",
        ),
        _C.HOST_TAKES_NO_MAIL: _others(
            "The host takes no mail, for good or for now.",
            "Check the domain's MX records; ask the host's administrator.",
            "greeting-554",
        ),
        _C.HOST_BUSY: _others(
            "The host is too busy, or going down, and asks to come back.",
            "Nothing to do; a later try may succeed.",
            "greeting-421",
        ),
        _C.HOST_ERROR: _others(
            "Something went wrong in the host itself: an error, a full disk, its set-up.",
            "A later try may succeed; its administrator finds the reason in the host's log.",
            "data-451",
        ),
        _C.PROTOCOL_ERROR: _others(
            "One side did not understand the other's commands or replies.",
            "Look at the session's dialog; a proxy that rewrites SMTP causes this too.",
            "malformed-reply",
        ),
        _C.CONTENT_REFUSED: _others(
            "The host does not take what the message contains.",
            "The host's words say more; send it without the part that is refused.",
        ),
    }
)
"""The card of each cause."""

_REPORTED_AS: Final = {
    _C.CERTIFICATE_EXPIRED: FailureKind.CERTIFICATE_UNTRUSTED,
    _C.CERTIFICATE_NOT_YET_VALID: FailureKind.CERTIFICATE_UNTRUSTED,
}
_BY_NAME: Final = {kind.value: kind for kind in FailureKind}


def kind_of(cause: Cause) -> FailureKind | None:
    """Return the code-book entry that a cause is reported under here; None where it never is."""
    return _REPORTED_AS.get(cause) or _BY_NAME.get(cause.value)


CAUSES_OF_KIND: Final[Mapping[FailureKind, tuple[Cause, ...]]] = MappingProxyType(
    {kind: tuple(cause for cause in Cause if kind_of(cause) is kind) for kind in FailureKind}
)
"""The causes that this relay reports under one entry, the most likely first."""
