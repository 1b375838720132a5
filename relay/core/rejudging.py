"""Judging recorded evidence again, under another policy than the one that it was gathered under.

Theory of operation. What a session would have shown under another policy is known only as far as
the recorded one went. `unseen_in` names the first thing that the other policy depends on and the
evidence does not contain; None says that `examine` and `judge` may be asked. Nothing is guessed:

    recorded                              asked about                        not contained
    in clear, STARTTLS offered            a setting that tries TLS           the handshake
    handshake failed                      a lower version floor              a handshake down there
    ended by our own verification         a setting that does not verify     what was behind it
    ended by our own verification         other trust, or other names        the same, unless the
                                                                             chain fails there, too
    ended by our own verification         a higher version floor             the version
    handshake failed behind the chain     a setting that refuses the chain   which fails first
    handshake done, but no chain kept     a setting that verifies            the chain
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Literal, assert_never

from relay.core.evidence import (
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.fault_cards import card
from relay.core.faults import FaultClass, TlsFault
from relay.core.settings import Starttls, TlsMode, TlsVersion
from relay.core.tls_policy import TlsPolicy

_VERSIONS = list(TlsVersion)


@unique
class Unseen(Enum):
    """What no record contains, and a policy's verdict depends on."""

    DOMAIN = "domain"
    """No session with any of the domain's hosts."""
    HOSTS = "hosts"
    """Which hosts there are besides those that were tried."""
    HOST = "host"
    """A session with this host: another one took the message, or refused it, before its turn."""
    HANDSHAKE = "handshake"
    """A handshake: it was offered, and not tried."""
    TLS_VERSION = "tls-version"
    """A handshake within other versions."""
    BEHIND_VERIFICATION = "behind-verification"
    """What follows the certificate: our own verification ended the handshake there."""
    CERTIFICATE = "certificate"
    """The certificate chain."""
    CLEAR_SESSION = "clear-session"
    """A session in clear text: the recorded one broke under TLS."""
    RENEWAL = "renewal"
    """Which certificate the host shows by now: time has changed what the recorded one is worth."""

    @property
    def meaning(self) -> str:
        """What is not known, as a sentence without a full stop."""
        return _MEANINGS[self]


_MEANINGS = {
    Unseen.DOMAIN: "no session with a host of this domain is on record",
    Unseen.HOSTS: "the record does not say which other hosts the domain has",
    Unseen.HOST: "another host of the domain was never tried",
    Unseen.HANDSHAKE: "STARTTLS was offered but never tried",
    Unseen.TLS_VERSION: "no handshake was tried within these TLS versions",
    Unseen.BEHIND_VERIFICATION: "verification ended the handshake; what is behind it was not seen",
    Unseen.CERTIFICATE: "no certificate is on record",
    Unseen.CLEAR_SESSION: "no session in clear text is on record",
    Unseen.RENEWAL: "since that session its certificate has expired, or become valid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotObserved:
    """No verdict: the evidence does not contain `what`."""

    kind: Literal["not-observed"] = "not-observed"
    what: Unseen


def unseen_in(
    evidence: TlsEvidence, policy: TlsPolicy, chain_faults: tuple[TlsFault, ...]
) -> Unseen | None:
    """Return what `policy` depends on and `evidence` does not contain; None where it suffices.

    `chain_faults` are what an examination of the recorded chain alone finds under `policy`, as if
    the handshake had been completed.
    """
    if evidence.mode is TlsMode.STARTTLS:
        if policy.starttls is Starttls.NEVER or evidence.starttls_offered is False:
            return None
        if not evidence.starttls_sent:
            return Unseen.HANDSHAKE
        if evidence.starttls_reply is None or evidence.starttls_reply.code != 220:
            return None
    match evidence.handshake:
        case NotTried():
            return Unseen.HANDSHAKE
        case HandshakeFailed(problem=HandshakeProblem.CERTIFICATE_REFUSED):
            return _behind_verification(evidence, policy, chain_faults)
        case HandshakeFailed():
            if _floor(evidence) > _VERSIONS.index(policy.minimum_tls):
                return Unseen.TLS_VERSION
            if policy.verifies and not _verified(evidence) and _about_chain(chain_faults):
                return Unseen.BEHIND_VERIFICATION
            return None
        case HandshakeDone():
            return Unseen.CERTIFICATE if policy.verifies and not evidence.chain else None
        case _:
            assert_never(evidence.handshake)


def _behind_verification(
    evidence: TlsEvidence, policy: TlsPolicy, chain_faults: tuple[TlsFault, ...]
) -> Unseen | None:
    if not policy.verifies or not _about_chain(chain_faults):
        return Unseen.BEHIND_VERIFICATION
    if _floor(evidence) < _VERSIONS.index(policy.minimum_tls):
        # It may fail by the version now, before any certificate is sent.
        return Unseen.TLS_VERSION
    return None


def _about_chain(faults: tuple[TlsFault, ...]) -> bool:
    return any(card(fault).fault_class is FaultClass.CERTIFICATE for fault in faults)


def _verified(evidence: TlsEvidence) -> bool:
    return evidence.offer is not None and evidence.offer.verifying


def _floor(evidence: TlsEvidence) -> int:
    """Return the lowest version that was offered, as a rank."""
    assert evidence.offer is not None, "a handshake was tried, so something was offered"
    return _VERSIONS.index(evidence.offer.minimum_tls)
