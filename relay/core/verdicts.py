"""The verdict: what a policy makes of a session's evidence and faults.

Theory of operation. A session brings evidence; `examine` lists the faults in it; `judge` is asked
once, before any mail command, and knows three answers: deliver, retry in clear, terminate.

`judge` reads the three facts of a `TlsPolicy` and the classes of the faults, nothing else. The
hand-typed table in `tests/core/decisions.txt` is the outside view of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from relay.core.evidence import (
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.fault_cards import card
from relay.core.faults import FaultClass, TlsFault
from relay.core.settings import OnBadCertificate, OnNoTls, Protection, Starttls, TlsMode
from relay.core.tls_policy import TlsPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Send the message in this session, protected like this."""

    kind: Literal["deliver"] = "deliver"
    protection: Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryInClear:
    """End this session; a new one without TLS may carry the message."""

    kind: Literal["retry-in-clear"] = "retry-in-clear"
    faults: tuple[TlsFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """End this session; nothing of the message may go to this host."""

    kind: Literal["terminate"] = "terminate"
    faults: tuple[TlsFault, ...]


Verdict = Deliver | RetryInClear | Terminate

_FOR_VERIFICATION: Final = frozenset({FaultClass.INJECTION, FaultClass.CERTIFICATE})
"""What leaves a TLS session standing, so that only a setting that verifies reacts to it."""


def judge(policy: TlsPolicy, evidence: TlsEvidence, faults: tuple[TlsFault, ...]) -> Verdict:
    """Judge a session that was opened under `policy`.

    `faults` are what `examine` found in `evidence` under the same policy, in report order.
    """
    if policy.starttls is Starttls.NEVER:
        return _judge_without_starttls(evidence, faults)
    blocking = tuple(f for f in faults if card(f).fault_class not in _FOR_VERIFICATION)
    if blocking:
        return _judge_no_tls(policy, evidence, blocking)
    match evidence.handshake:
        case HandshakeDone():
            return _judge_certificate(policy, evidence, faults)
        case HandshakeFailed(problem=HandshakeProblem.CERTIFICATE_REFUSED) if policy.verifies:
            return _refuse_certificate(policy, evidence, faults)
        case HandshakeFailed() | NotTried():
            # No session and no fault that says why: never a reason to trust the session.
            return _judge_no_tls(policy, evidence, faults)
        case _:
            assert_never(evidence.handshake)


def _judge_without_starttls(evidence: TlsEvidence, faults: tuple[TlsFault, ...]) -> Verdict:
    """Off, or the retry in clear; a route with implicit TLS is encrypted all the same."""
    match evidence.mode, evidence.handshake:
        case TlsMode.STARTTLS, _:
            return Deliver(protection=Protection.CLEAR)
        case TlsMode.IMPLICIT, HandshakeDone():
            return Deliver(protection=Protection.ENCRYPTED)
        case _:
            return Terminate(faults=faults)


def _judge_no_tls(
    policy: TlsPolicy, evidence: TlsEvidence, faults: tuple[TlsFault, ...]
) -> Verdict:
    if policy.on_no_tls is OnNoTls.TERMINATE or evidence.mode is TlsMode.IMPLICIT:
        # A port with implicit TLS has no clear text to fall back to.
        return Terminate(faults=faults)
    first = card(faults[0]).fault_class if faults else FaultClass.HANDSHAKE
    match first:
        case FaultClass.NOT_OFFERED | FaultClass.REFUSED if policy.on_no_tls is OnNoTls.CLEAR:
            return Deliver(protection=Protection.CLEAR)
        case FaultClass.NOT_OFFERED | FaultClass.REFUSED:
            return RetryInClear(faults=faults)
        case FaultClass.NO_GO_AHEAD | FaultClass.HANDSHAKE:
            return RetryInClear(faults=faults)
        case FaultClass.INJECTION | FaultClass.CERTIFICATE:
            return RetryInClear(faults=faults)
        case _:
            assert_never(first)


def _judge_certificate(
    policy: TlsPolicy, evidence: TlsEvidence, faults: tuple[TlsFault, ...]
) -> Verdict:
    if not policy.verifies:
        return Deliver(protection=Protection.ENCRYPTED)
    if not faults:
        return Deliver(protection=Protection.VERIFIED)
    return _refuse_certificate(policy, evidence, faults)


def _refuse_certificate(
    policy: TlsPolicy, evidence: TlsEvidence, faults: tuple[TlsFault, ...]
) -> Verdict:
    clear = policy.on_bad_certificate is OnBadCertificate.CLEAR
    if clear and evidence.mode is TlsMode.STARTTLS:
        return RetryInClear(faults=faults)
    return Terminate(faults=faults)
