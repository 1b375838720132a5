"""Each setting against an honest, a clear-text and a badly certified peer: what arrived there."""

from __future__ import annotations

import inspect
import ssl
from dataclasses import dataclass

import pytest
from outbound_peer import EVERYTHING, Do, Peer
from outbound_relay import DOMAIN, MESSAGE, Relay, envelope

from relay.core.faults import FaultKind
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Delivered,
    Stage,
    TlsRefusal,
)
from relay.core.replies import Reply
from relay.core.settings import OnBadCertificate, Protection, TlsMode, TlsSetting
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Deliver, RetryInClear, Terminate
from relay.outbound.exchange import Exchange
from relay.outbound.session import Admitted, NotAdmitted, OutboundSession

OFF, PREFERRED, PREFERRED_VERIFY, REQUIRED, REQUIRED_VERIFY = TlsSetting
CLEAR, ENCRYPTED, VERIFIED = Protection

SETTINGS = {
    # (setting, peer): protection of the delivered message, or the fault that ended the session
    (OFF, "honest"): CLEAR,
    (OFF, "clear"): CLEAR,
    (OFF, "self-signed"): CLEAR,
    (OFF, "wrong-host"): CLEAR,
    (OFF, "refused"): CLEAR,
    (PREFERRED, "honest"): ENCRYPTED,
    (PREFERRED, "clear"): CLEAR,
    (PREFERRED, "self-signed"): ENCRYPTED,
    (PREFERRED, "wrong-host"): ENCRYPTED,
    (PREFERRED, "refused"): CLEAR,
    (PREFERRED_VERIFY, "honest"): VERIFIED,
    (PREFERRED_VERIFY, "clear"): CLEAR,
    (PREFERRED_VERIFY, "self-signed"): FaultKind.CERTIFICATE_SELF_SIGNED,
    (PREFERRED_VERIFY, "wrong-host"): FaultKind.CERTIFICATE_NAME_MISMATCH,
    (PREFERRED_VERIFY, "refused"): CLEAR,
    (REQUIRED, "honest"): ENCRYPTED,
    (REQUIRED, "clear"): FaultKind.STARTTLS_NOT_OFFERED,
    (REQUIRED, "self-signed"): ENCRYPTED,
    (REQUIRED, "wrong-host"): ENCRYPTED,
    (REQUIRED, "refused"): FaultKind.STARTTLS_REFUSED,
    (REQUIRED_VERIFY, "honest"): VERIFIED,
    (REQUIRED_VERIFY, "clear"): FaultKind.STARTTLS_NOT_OFFERED,
    (REQUIRED_VERIFY, "self-signed"): FaultKind.CERTIFICATE_SELF_SIGNED,
    (REQUIRED_VERIFY, "wrong-host"): FaultKind.CERTIFICATE_NAME_MISMATCH,
    (REQUIRED_VERIFY, "refused"): FaultKind.STARTTLS_REFUSED,
}

IMPLICIT = {
    (OFF, "honest"): ENCRYPTED,
    (PREFERRED, "self-signed"): ENCRYPTED,
    (PREFERRED_VERIFY, "self-signed"): FaultKind.CERTIFICATE_SELF_SIGNED,
    (REQUIRED, "self-signed"): ENCRYPTED,
    (REQUIRED_VERIFY, "honest"): VERIFIED,
    (REQUIRED_VERIFY, "self-signed"): FaultKind.CERTIFICATE_SELF_SIGNED,
    (REQUIRED_VERIFY, "wrong-host"): FaultKind.CERTIFICATE_NAME_MISMATCH,
}

AUTH = (*EVERYTHING, "AUTH PLAIN LOGIN")


@dataclass(frozen=True)
class Peers:
    contexts: dict[str, ssl.SSLContext]

    def make(self, name: str, mode: TlsMode = TlsMode.STARTTLS) -> Peer:
        match name:
            case "clear":
                return Peer(extensions=[k for k in AUTH if k != "STARTTLS"])
            case "refused":
                return Peer(extensions=AUTH, answers={"STARTTLS": b"454 4.7.0 not now\r\n"})
            case _:
                return Peer(extensions=AUTH, context=self.contexts[name], mode=mode)


@pytest.fixture
def peers(honest: ssl.SSLContext, self_signed: ssl.SSLContext, wrong_host: ssl.SSLContext) -> Peers:
    return Peers({"honest": honest, "self-signed": self_signed, "wrong-host": wrong_host})


async def _try(
    relay: Relay, peer: Peer, policy: TlsPolicy
) -> tuple[OutboundSession, Admitted | NotAdmitted]:
    session = await relay.open(peer.hop, policy)
    assert session.failure is None
    admission = await relay.admit(session, policy)
    if isinstance(admission, Admitted):
        (entry,) = await admission.send(envelope(), ("one@peer.test",), MESSAGE)
        assert isinstance(entry.outcome, Delivered)
        assert entry.outcome.protection is admission.verdict.protection
    await session.close()
    await peer.settled()
    return session, admission


@pytest.mark.parametrize(
    ("setting", "name", "expected", "mode"),
    [
        pytest.param(setting, name, expected, mode, id=f"{setting.value}-{name}-{mode.value}")
        for mode, table in ((TlsMode.STARTTLS, SETTINGS), (TlsMode.IMPLICIT, IMPLICIT))
        for (setting, name), expected in table.items()
    ],
)
async def test_settings(
    relay: Relay,
    peers: Peers,
    setting: TlsSetting,
    name: str,
    expected: Protection | FaultKind,
    mode: TlsMode,
) -> None:
    async with peers.make(name, mode).running() as peer:
        session, admission = await _try(relay, peer, relay.policy(setting))
    commands = [c for conversation in peer.conversations for c in conversation.commands]
    octets = b"".join(conversation.octets for conversation in peer.conversations)
    messages = [m for conversation in peer.conversations for m in conversation.messages]
    assert not any(command.startswith("AUTH") for command in commands)
    if isinstance(expected, Protection):
        assert admission.verdict == Deliver(protection=expected)
        assert messages == [MESSAGE]
        in_tls = any(c.startswith("MAIL") for c in peer.only.encrypted_commands)
        assert in_tls is (expected is not CLEAR)
        return
    assert isinstance(admission, NotAdmitted)
    assert isinstance(admission.verdict, Terminate)
    assert admission.failure.setting is setting
    assert admission.failure.faults[0].kind is expected
    assert session.record().faults == admission.failure.faults
    assert {command.split()[0] for command in commands} <= {"EHLO", "STARTTLS", "QUIT"}
    for secret in (b"MAIL", b"RCPT", b"DATA", b"peer.test>", b"Hello"):
        assert secret not in octets


async def test_preferred_verify_may_retry_in_clear(relay: Relay, peers: Peers) -> None:
    policy = TlsPolicy.for_setting(
        PREFERRED_VERIFY, preferred_verify=OnBadCertificate.CLEAR, trust=relay.trust
    )
    async with peers.make("self-signed").running() as peer:
        _, refused = await _try(relay, peer, policy)
        _, admitted = await _try(relay, peer, policy.in_clear())
    assert isinstance(refused.verdict, RetryInClear)
    assert admitted.verdict == Deliver(protection=CLEAR)
    first, second = peer.conversations
    assert set(first.verbs) <= {"EHLO", "STARTTLS"}
    assert second.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert second.messages == [MESSAGE]


@pytest.mark.parametrize("setting", [PREFERRED, REQUIRED])
async def test_a_broken_handshake(relay: Relay, setting: TlsSetting) -> None:
    async with Peer(answers={"STARTTLS": (b"220 go\r\n", Do.CLOSE)}).running() as peer:
        _, admission = await _try(relay, peer, relay.policy(setting))
    assert isinstance(admission, NotAdmitted)
    assert isinstance(admission.verdict, RetryInClear if setting is PREFERRED else Terminate)
    assert admission.failure == TlsRefusal(
        setting=setting,
        faults=admission.verdict.faults,
        stage=Stage.HANDSHAKE,
        peer_reply=Reply(code=220, text="go"),
    )
    assert admission.failure.faults[0].kind is FaultKind.HANDSHAKE_CLOSED
    assert peer.only.verbs == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize(
    ("answer", "stage", "kind"),
    [
        (b"454 4.7.0 no\r\n", Stage.STARTTLS, FaultKind.STARTTLS_REFUSED),
        (b"421 4.3.2 bye\r\n", Stage.STARTTLS, FaultKind.STARTTLS_NO_ANSWER),
        (b"gibberish\r\n", Stage.STARTTLS, FaultKind.STARTTLS_NO_ANSWER),
        (Do.CLOSE, Stage.STARTTLS, FaultKind.STARTTLS_NO_ANSWER),
    ],
    ids=str,
)
async def test_where_and_why_a_session_was_refused(
    relay: Relay, answer: bytes | Do, stage: Stage, kind: FaultKind
) -> None:
    async with Peer(answers={"STARTTLS": answer}).running() as peer:
        session, admission = await _try(relay, peer, relay.policy(REQUIRED))
    assert isinstance(admission, NotAdmitted)
    assert admission.failure.stage is stage
    assert [fault.kind for fault in admission.failure.faults] == [kind]
    notes = [line.text for line in session.record().transcript]
    assert f"verdict: terminate ({kind.value})" in notes


async def test_a_session_that_lost_its_go_ahead_is_not_used_in_clear(relay: Relay) -> None:
    async with Peer(answers={"STARTTLS": b"421 4.3.2 bye\r\n"}).running() as peer:
        _, admission = await _try(relay, peer, relay.policy(PREFERRED))
    assert isinstance(admission.verdict, RetryInClear)
    assert peer.only.verbs == ["EHLO", "STARTTLS"]


async def test_the_same_session_is_judged_for_each_message(
    relay: Relay, self_signed: ssl.SSLContext
) -> None:
    async with Peer(context=self_signed).running() as peer:
        session = await relay.open(peer.hop, REQUIRED)
        assert isinstance(await relay.admit(session, REQUIRED), Admitted)
        refused = await relay.admit(session, REQUIRED_VERIFY)
        await session.close()
    assert isinstance(refused, NotAdmitted)
    assert refused.failure.faults[0].kind is FaultKind.CERTIFICATE_SELF_SIGNED


async def test_a_failed_session_is_not_judged(relay: Relay) -> None:
    async with Peer(banner=b"554 no\r\n").running() as peer:
        session = await relay.open(peer.hop)
        with pytest.raises(ValueError, match="failure"):
            await relay.admit(session)


async def test_a_connection_that_ends_before_tls_is_no_tls_fault(relay: Relay) -> None:
    async with Peer(answers={"EHLO": Do.CLOSE}).running() as peer:
        session = await relay.open(peer.hop, REQUIRED_VERIFY)
    assert isinstance(session.failure, ConnectionFailure)
    assert session.failure.problem is ConnectionProblem.LOST


def test_only_an_admitted_session_can_send() -> None:
    def public(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}

    assert public(OutboundSession) == {
        *("abort", "admit", "close", "connect", "end_by", "evidence", "keep", "note", "open"),
        *("outlived", "record", "turn_to", "usable"),
    }
    assert public(NotAdmitted) == {"failure", "verdict"}
    assert public(Admitted) == {"reset", "send", "unfinished", "unwind", "verdict"}


async def test_clear_text_can_not_be_admitted_as_protected(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer:
        session = await relay.open(peer.hop)
        exchange = session._exchange
        assert isinstance(exchange, Exchange)
        for protection in (ENCRYPTED, VERIFIED):
            with pytest.raises(ValueError, match="clear text"):
                Admitted(exchange, Deliver(protection=protection), DOMAIN, REQUIRED_VERIFY)
        await session.close()
