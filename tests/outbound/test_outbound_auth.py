"""AUTH goes to a host that Required Verify has verified, to nobody else, and is in no record."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence

import pytest
from outbound_peer import EVERYTHING, Do, Peer, Step
from outbound_relay import MESSAGE, Relay, envelope

from relay.core.codebook_data import CODE_BOOKS
from relay.core.email_relays import AuthMechanism, Credentials, Secret
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    Delivered,
    Failed,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Scope,
    Stage,
    scope_of,
)
from relay.core.replies import Reply
from relay.core.settings import TlsSetting
from relay.outbound.session import Admitted

USER, PASSWORD = "org@origin.test", "correct horse"
PLAIN = Credentials(username=USER, password=Secret(PASSWORD))
LOGIN = Credentials(mechanism=AuthMechanism.LOGIN, username=USER, password=Secret(PASSWORD))
OFFERED = (*EVERYTHING, "AUTH PLAIN LOGIN")
OK = b"235 2.7.0 welcome\r\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


AS_PLAIN = f"AUTH PLAIN {encoded(f'{chr(0)}{USER}{chr(0)}{PASSWORD}')}"
AS_LOGIN = ["AUTH LOGIN", encoded(USER), encoded(PASSWORD)]
LOGIN_ANSWERS: dict[str, Step] = {
    "AUTH": b"334 VXNlcm5hbWU6\r\n",
    AS_LOGIN[1]: b"334 UGFzc3dvcmQ6\r\n",
    AS_LOGIN[2]: OK,
}


async def send(
    relay: Relay,
    peer: Peer,
    credentials: Credentials,
    setting: TlsSetting = TlsSetting.REQUIRED_VERIFY,
) -> tuple[Outcome, str]:
    """Return the recipient's outcome and the whole transcript."""
    session = await relay.open(peer.hop, setting)
    try:
        admitted = await relay.admitted(session, setting)
        (result,) = await admitted.send(
            envelope(), ["one@peer.test"], MESSAGE, credentials=credentials
        )
    finally:
        await session.close()
    await peer.settled()
    return result.outcome, "\n".join(map(str, session.record().transcript))


@pytest.mark.parametrize(
    ("credentials", "answers", "said"),
    [(PLAIN, {"AUTH": OK}, [AS_PLAIN]), (LOGIN, LOGIN_ANSWERS, AS_LOGIN)],
    ids=["PLAIN", "LOGIN"],
)
async def test_a_verified_host_is_logged_in_to_before_mail(
    relay: Relay,
    honest: ssl.SSLContext,
    credentials: Credentials,
    answers: dict[str, Step],
    said: list[str],
) -> None:
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, transcript = await send(relay, peer, credentials)
    assert isinstance(outcome, Delivered)
    commands = peer.only.encrypted_commands
    assert commands[1 : len(said) + 1] == said
    assert commands[len(said) + 1].startswith("MAIL ")
    assert peer.only.messages == [MESSAGE]
    assert transcript.count("[redacted]") == (1 if len(said) == 1 else 2)
    for secret in (USER, PASSWORD, encoded(USER), encoded(PASSWORD), AS_PLAIN[11:]):
        assert secret not in transcript


async def test_a_long_response_waits_for_the_challenge(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    credentials = Credentials(username="u" * 255, password=Secret("p" * 255))
    response = encoded(f"\0{'u' * 255}\0{'p' * 255}")
    answers = {"AUTH": b"334 \r\n", response: OK}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, transcript = await send(relay, peer, credentials)
    assert isinstance(outcome, Delivered)
    assert peer.only.encrypted_commands[1:3] == ["AUTH PLAIN", response]
    assert response not in transcript


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"535 5.7.8 wrong\r\n", Failed),
        (b"454 4.7.0 later\r\n", Deferred),
        (b"250 2.0.0 not what AUTH is answered\r\n", Deferred),
        (b"334 more?\r\n", Deferred),
    ],
)
async def test_a_refusal_is_the_hosts_own_reply(
    relay: Relay, honest: ssl.SSLContext, answer: bytes, expected: type
) -> None:
    answers = {"AUTH": answer}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, _ = await send(relay, peer, PLAIN)
    assert isinstance(outcome, expected)
    assert isinstance(outcome, Failed | Deferred)
    code, _, text = answer.decode().strip().partition(" ")
    assert outcome.failure == PeerRefusal(reply=Reply(code=int(code), text=text), stage=Stage.AUTH)
    assert scope_of(outcome.failure) is Scope.HOST
    assert "MAIL" not in peer.only.verbs


async def test_a_connection_lost_in_auth(relay: Relay, honest: ssl.SSLContext) -> None:
    answers: dict[str, Step] = {"AUTH": Do.CLOSE}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, _ = await send(relay, peer, PLAIN)
    assert isinstance(outcome, Deferred)
    assert isinstance(outcome.failure, ConnectionFailure)
    assert (outcome.failure.problem, outcome.failure.stage) == (ConnectionProblem.LOST, Stage.AUTH)


@pytest.mark.parametrize(
    ("extensions", "detail"),
    [
        (EVERYTHING, "the host does not offer AUTH"),
        ((*EVERYTHING, "AUTH"), "the host does not offer AUTH LOGIN; mechanisms: none"),
        (
            (*EVERYTHING, "AUTH \x1b[2J\x07 PLAIN \u202e <b>"),
            "the host does not offer AUTH LOGIN; mechanisms: PLAIN",
        ),
        (
            (*EVERYTHING, "AUTH PLAIN XOAUTH2"),
            "the host does not offer AUTH LOGIN; mechanisms: PLAIN XOAUTH2",
        ),
    ],
)
async def test_without_the_mechanism_nothing_is_said(
    relay: Relay, honest: ssl.SSLContext, extensions: Sequence[str], detail: str
) -> None:
    async with Peer(context=honest, extensions=extensions).running() as peer:
        outcome, _ = await send(relay, peer, LOGIN)
    refusal = LocalRefusal(problem=LocalProblem.AUTH_UNAVAILABLE, detail=detail, stage=Stage.AUTH)
    assert outcome == Deferred(failure=refusal)
    assert scope_of(refusal) is Scope.HOST
    assert {"AUTH", "MAIL"}.isdisjoint(peer.only.verbs)
    assert {book.entry(refusal).status.code for book in CODE_BOOKS.values()} == {451}


async def test_what_was_offered_in_clear_text_is_forgotten(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    """RFC 3207 section 4.2: only what the EHLO under TLS says counts."""
    answers: dict[str, Step] = {"EHLO tls": b"250 mx.peer.test\r\n"}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, _ = await send(relay, peer, PLAIN)
    assert isinstance(outcome, Deferred)
    assert "AUTH" not in peer.only.verbs


@pytest.mark.parametrize("setting", [s for s in TlsSetting if s is not TlsSetting.REQUIRED_VERIFY])
async def test_no_other_setting_ever_logs_in(
    relay: Relay, honest: ssl.SSLContext, setting: TlsSetting
) -> None:
    """The host offers AUTH in clear text and under TLS, and its certificate is good."""
    async with Peer(context=honest, extensions=OFFERED, answers={"AUTH": OK}).running() as peer:
        with pytest.raises(ValueError, match="Required Verify"):
            await send(relay, peer, PLAIN, setting)
        await peer.settled()
    assert {"AUTH", "MAIL"}.isdisjoint(peer.only.verbs)


async def test_a_host_that_is_not_verified_never_sees_auth(
    relay: Relay, wrong_host: ssl.SSLContext, self_signed: ssl.SSLContext
) -> None:
    for context in (wrong_host, self_signed):
        peer = Peer(context=context, extensions=OFFERED, answers={"AUTH": OK})
        async with peer.running():
            session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
            assert not isinstance(await relay.admit(session, TlsSetting.REQUIRED_VERIFY), Admitted)
            await session.close()
            await peer.settled()
        assert "AUTH" not in peer.only.verbs
        assert peer.only.octets.count(b"AUTH") == 0


@pytest.mark.parametrize("credentials", [PLAIN, LOGIN], ids=["PLAIN", "LOGIN"])
async def test_what_a_host_repeats_of_a_secret_is_in_no_record(
    relay: Relay, honest: ssl.SSLContext, credentials: Credentials
) -> None:
    both = encoded(f"\0{USER}\0{PASSWORD}")
    refusal = f"535-5.7.8 no {both}\r\n535 5.7.8 nor {encoded(PASSWORD)}, '{PASSWORD}'\r\n".encode()
    answers = {**LOGIN_ANSWERS, AS_LOGIN[2]: refusal}
    if credentials is PLAIN:
        answers = {"AUTH": refusal}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, transcript = await send(relay, peer, credentials)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.failure, PeerRefusal)
    assert outcome.failure.reply.text == "5.7.8 no [redacted]\n5.7.8 nor [redacted], '[redacted]'"
    for secret in (PASSWORD, encoded(PASSWORD), both):
        assert secret not in transcript
    assert "535 5.7.8 nor [redacted], '[redacted]'" in transcript


async def test_a_secret_stays_hidden_for_the_whole_session(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    answers: dict[str, Step] = {"AUTH": OK, "MAIL": f"550 5.7.1 '{PASSWORD}' again\r\n".encode()}
    async with Peer(context=honest, extensions=OFFERED, answers=answers).running() as peer:
        outcome, transcript = await send(relay, peer, PLAIN)
    assert isinstance(outcome, Failed)
    assert PASSWORD not in str(outcome)
    assert PASSWORD not in transcript
