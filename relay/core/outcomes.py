"""How one try ended for one recipient, and why.

A failure is a closed union; its first axis is who is at fault:

    Failure
    ├── TlsRefusal          the policy refused the host's TLS: faults, and the setting that cares
    ├── DnsFailure          no host was found for the domain
    ├── ConnectionFailure   the host could not be reached, or the session broke
    ├── PeerRefusal         the host said no, in its own words
    └── LocalRefusal        this relay said no: host not allowed, time used up, message unfit
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Literal, Self, assert_never

from relay.core.fault_cards import card
from relay.core.faults import FaultClass, TlsFault
from relay.core.replies import Reply
from relay.core.settings import Protection, TlsSetting


@unique
class Stage(Enum):
    """Where in a delivery something happened: the stage words of Salesforce's e-mail log.

    Source: Momentum connection stages, as shown in column L of the log.
    """

    NOT_CONNECTED = "while not connected"
    BANNER = "reading BANNER"
    EHLO = "during EHLO"
    AFTER_EHLO = "after EHLO"
    STARTTLS = "during STARTTLS"
    HANDSHAKE = "handshaking TLS"
    AUTH = "during AUTH"
    MAIL = "during MAIL FROM"
    RCPT = "during RCPT TO"
    DATA = "during DATA"
    BODY = "while sending BODY"
    CONFIRMATION = "reading confirmation"
    OUT_OF_BAND = "out of band bounce"
    """Reported later, by a notification that came back."""

    @property
    def before_mail(self) -> bool:
        """Whether nothing of the message or its envelope can have been sent yet."""
        order = list(Stage)
        return order.index(self) < order.index(Stage.MAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsRefusal:
    """The policy ended the session; `peer_reply` is the host's answer to STARTTLS, if any."""

    kind: Literal["tls"] = "tls"
    setting: TlsSetting
    faults: tuple[TlsFault, ...]
    stage: Stage
    peer_reply: Reply | None = None

    @classmethod
    def by(
        cls, setting: TlsSetting, faults: tuple[TlsFault, ...], *, peer_reply: Reply | None
    ) -> Self:
        """Return the refusal for these faults, at the stage where the first one showed."""
        return cls(setting=setting, faults=faults, stage=_stage_of(faults), peer_reply=peer_reply)


def _stage_of(faults: tuple[TlsFault, ...]) -> Stage:
    if not faults:
        return Stage.HANDSHAKE
    match card(faults[0]).fault_class:
        case FaultClass.NOT_OFFERED:
            return Stage.AFTER_EHLO
        case FaultClass.REFUSED | FaultClass.NO_GO_AHEAD:
            return Stage.STARTTLS
        case FaultClass.HANDSHAKE | FaultClass.INJECTION | FaultClass.CERTIFICATE:
            return Stage.HANDSHAKE
        case never:
            assert_never(never)


@unique
class DnsProblem(Enum):
    """Why no host was found for a domain."""

    NO_HOST = "no-host"
    LOOKUP_FAILED = "lookup-failed"
    NULL_MX = "null-mx"
    """The domain says that it takes no mail (RFC 7505)."""
    LOOPS_BACK = "loops-back"
    """The best host left is this relay itself (RFC 5321 section 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFailure:
    """`name` is the domain or host that was looked up."""

    kind: Literal["dns"] = "dns"
    problem: DnsProblem
    name: str
    stage: Stage = Stage.NOT_CONNECTED


@unique
class ConnectionProblem(Enum):
    """How a connection failed."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFailure:
    """`detail` is the operating system's or the library's reason, for people."""

    kind: Literal["connection"] = "connection"
    problem: ConnectionProblem
    stage: Stage
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefusal:
    """The host's negative reply, verbatim."""

    kind: Literal["peer"] = "peer"
    reply: Reply
    stage: Stage


@unique
class LocalProblem(Enum):
    """Why this relay itself did not go on."""

    HOST_NOT_ALLOWED = "host-not-allowed"
    EXPIRED = "expired"
    OUT_OF_TIME = "out-of-time"
    NEEDS_8BITMIME = "needs-8bitmime"
    NEEDS_SMTPUTF8 = "needs-smtputf8"
    TOO_BIG_FOR_HOST = "too-big-for-host"
    NOT_SENDABLE = "not-sendable"
    AUTH_UNAVAILABLE = "auth-unavailable"
    """The host does not offer the mechanism to log in by."""
    SUPPRESSED = "suppressed"
    """The address bounced before, and the policy sends it nothing until that is cleared."""
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRefusal:
    """This relay's own refusal; `detail` says about what."""

    kind: Literal["local"] = "local"
    problem: LocalProblem
    detail: str
    stage: Stage = Stage.NOT_CONNECTED


Failure = TlsRefusal | DnsFailure | ConnectionFailure | PeerRefusal | LocalRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The next hop took responsibility; `reply` is its answer to the end of data.

    `dsn`: it offers the DSN extension, so what the sender asked to be told is its to tell now.
    """

    kind: Literal["delivered"] = "delivered"
    reply: Reply
    protection: Protection
    dsn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Not now; a later try may succeed."""

    kind: Literal["deferred"] = "deferred"
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Never; no further try is made."""

    kind: Literal["failed"] = "failed"
    failure: Failure


Outcome = Delivered | Deferred | Failed

_FINAL_DNS_PROBLEMS = frozenset({DnsProblem.NULL_MX, DnsProblem.LOOPS_BACK})
_FINAL_LOCAL_PROBLEMS = frozenset(LocalProblem) - {
    LocalProblem.AUTH_UNAVAILABLE,
    LocalProblem.OUT_OF_TIME,
    LocalProblem.INTERNAL,
}


def outcome_of(failure: Failure) -> Deferred | Failed:
    """Say whether a failure is final: the peer's 5xx and our own refusals are, and a null MX.

    TLS refusals are deferred, as real MTAs do and as Salesforce's log shows (T rows, then P).
    """
    match failure:
        case PeerRefusal(reply=reply):
            final = reply.permanent
        case LocalRefusal(problem=own):
            final = own in _FINAL_LOCAL_PROBLEMS
        case DnsFailure(problem=problem):
            final = problem in _FINAL_DNS_PROBLEMS
        case TlsRefusal() | ConnectionFailure():
            final = False
        case _:
            assert_never(failure)
    return Failed(failure=failure) if final else Deferred(failure=failure)


@unique
class Scope(Enum):
    """What a failure rules out: this host, or this recipient on any host."""

    HOST = "host"
    RECIPIENT = "recipient"


def scope_of(failure: Failure) -> Scope:
    """Say whether the next host may be tried (RFC 5321 section 5.1).

    Once the envelope was spoken about, the answer concerns the recipient; a connection that broke
    later than that is not repeated at once on another host, because the first one may have taken
    the message.
    """
    match failure:
        case TlsRefusal():
            return Scope.HOST
        case PeerRefusal() | ConnectionFailure():
            return Scope.HOST if failure.stage.before_mail else Scope.RECIPIENT
        case LocalRefusal(problem=problem):
            host_bound = {
                LocalProblem.HOST_NOT_ALLOWED,
                LocalProblem.AUTH_UNAVAILABLE,
                LocalProblem.NEEDS_8BITMIME,
                LocalProblem.NEEDS_SMTPUTF8,
                LocalProblem.TOO_BIG_FOR_HOST,
            }
            return Scope.HOST if problem in host_bound else Scope.RECIPIENT
        case DnsFailure():
            return Scope.RECIPIENT
        case _:
            assert_never(failure)
