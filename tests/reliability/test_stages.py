"""A host that stalls, talks nonsense or goes away, at every stage, met by the running relay."""

from __future__ import annotations

import ssl

import pytest
import trustme
from e2e_relay import Running, Start, TurnedClock, Watcher
from outbound_peer import Do, Peer, Step

from relay.core.outcomes import Deferred, Delivered, Stage
from relay.core.records import Attempt, BounceAction
from relay.journal.api import RecipientState

NONSENSE = b"\xff\x00 what 999-250 \x1b[2J\r\n"
STALLS = [
    ("banner", Stage.BANNER, "451 4.4.2"),
    ("EHLO", Stage.EHLO, "450 4.4.1"),
    ("STARTTLS", Stage.STARTTLS, "451 4.7.5"),
    ("handshake", Stage.HANDSHAKE, "451 4.7.5"),
    ("EHLO tls", Stage.EHLO, "450 4.4.1"),
    ("MAIL", Stage.MAIL, "450 4.4.1"),
    ("RCPT", Stage.RCPT, "450 4.4.1"),
    ("DATA", Stage.DATA, "450 4.4.1"),
    (".", Stage.CONFIRMATION, "450 4.4.1"),
]
NONSENSICAL = [
    ("banner", Stage.BANNER, "451 4.5.0"),
    ("EHLO", Stage.EHLO, "451 4.5.0"),
    ("STARTTLS", Stage.STARTTLS, "451 4.7.5"),
    ("handshake", Stage.HANDSHAKE, "451 4.7.5"),
    ("EHLO tls", Stage.EHLO, "451 4.5.0"),
    ("MAIL", Stage.MAIL, "451 4.5.0"),
    ("RCPT", Stage.RCPT, "451 4.5.0"),
    ("DATA", Stage.DATA, "451 4.5.0"),
    (".", Stage.CONFIRMATION, "451 4.5.0"),
]
CLOSING = [
    ("banner", Stage.BANNER, "451 4.4.2"),
    ("EHLO", Stage.EHLO, "451 4.4.2"),
    ("STARTTLS", Stage.STARTTLS, "451 4.7.5"),
    ("handshake", Stage.HANDSHAKE, "451 4.7.5"),
    # TLS 1.3: a host that refuses the client does so behind the handshake, by going away.
    ("EHLO tls", Stage.HANDSHAKE, "451 4.7.5"),
    ("MAIL", Stage.MAIL, "451 4.4.2"),
    ("RCPT", Stage.RCPT, "451 4.4.2"),
    ("DATA", Stage.DATA, "451 4.4.2"),
    (".", Stage.CONFIRMATION, "451 4.4.2"),
]
"""Typed by hand: what the host does it does there; where the record says it was; the code."""
DIALOG = ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA"]
STAGES = ["EHLO", "STARTTLS", "EHLO tls", "MAIL", "RCPT", "DATA"]


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.peer.test").configure_cert(context)
    return context


def peer_that(at: str, does: Step, tls: ssl.SSLContext) -> Peer:
    match at:
        case "banner":
            return Peer(banner=does, context=tls)
        case "handshake":
            return Peer(answers={"STARTTLS": (b"220 go ahead\r\n", does)}, context=tls)
        case _:
            return Peer(answers={at: does}, context=tls)


def policy(peer: Peer, reply: str = "queued") -> str:
    return (
        "tls: Required\nconnect_timeout: 5s\ncommand_timeout: 2s\n"
        f"reply: {reply}\nroutes: [{{match: bad.test, to: '127.0.0.1:{peer.hop.port}'}}]\n"
    )


async def meet(start: Start, peer: Peer) -> tuple[Attempt, str]:
    """Queue a message for the peer and one for a good host; return the attempt and its code.

    What holds whatever the peer does: the record, the queue, and that others are served.
    """
    watcher = Watcher()
    async with peer.running(), start(policy(peer), observer=watcher) as running:
        assert (await running.send("a@bad.test", mark="bad")).code == 250
        assert (await running.send("a@good.lab.test", mark="good")).code == 250
        await running.lab.wait_for_message("good")
        await watcher.until(lambda: any(b.recipient == "a@bad.test" for b in watcher.bounces))
        record = running.record("bad")
        assert [status.state for status in record.recipients] == [RecipientState.QUEUED]
        (attempt,), (bounce,) = record.attempts, record.bounces
        assert bounce.action is BounceAction.DELAYED
        assert bounce.will_retry_at == record.recipients[0].next_at
        assert _session_of(running, attempt) in {session.id for session in record.sessions}
    await peer.settled()
    return attempt, str(bounce.status)


def _session_of(running: Running, attempt: Attempt) -> str:
    assert attempt.session_id is not None
    transcript = running.relay.journal.session(attempt.session_id).transcript
    assert all(line.text.isprintable() for line in transcript)
    return attempt.session_id


def check(peer: Peer, attempt: Attempt, at: str, stage: Stage) -> None:
    """The failure is recorded where it happened, and nothing was said that had no place there."""
    (entry,) = attempt.outcomes
    assert isinstance(entry.outcome, Deferred)
    assert entry.outcome.failure.stage is stage
    said = {"banner": 0, "handshake": 2, ".": 6} | {s: n + 1 for n, s in enumerate(STAGES)}
    assert peer.only.verbs == DIALOG[: said[at]]
    assert (b"Subject:" in peer.only.octets) is (at == ".")


@pytest.mark.parametrize(("at", "stage", "code"), STALLS)
async def test_a_host_that_stalls(
    start: Start, tls: ssl.SSLContext, at: str, stage: Stage, code: str
) -> None:
    peer = peer_that(at, Do.SILENT, tls)
    attempt, told = await meet(start, peer)
    check(peer, attempt, at, stage)
    assert told == code


@pytest.mark.parametrize(("at", "stage", "code"), NONSENSICAL)
async def test_a_host_that_talks_nonsense(
    start: Start, tls: ssl.SSLContext, at: str, stage: Stage, code: str
) -> None:
    peer = peer_that(at, (NONSENSE, Do.SILENT), tls)
    attempt, told = await meet(start, peer)
    check(peer, attempt, at, stage)
    assert told == code


@pytest.mark.parametrize(("at", "stage", "code"), CLOSING)
async def test_a_host_that_goes_away(
    start: Start, tls: ssl.SSLContext, at: str, stage: Stage, code: str
) -> None:
    peer = peer_that(at, Do.CLOSE, tls)
    attempt, told = await meet(start, peer)
    check(peer, attempt, at, stage)
    assert told == code


@pytest.mark.parametrize("goes", [Do.CLOSE, Do.RESET])
async def test_a_host_that_accepts_and_drops_has_the_message(
    start: Start, tls: ssl.SSLContext, goes: Do
) -> None:
    """Its 250 is its promise (RFC 5321 section 4.2.5), however the connection ends."""
    peer = Peer(answers={".": (b"250 2.0.0 taken\r\n", goes)}, context=tls)
    async with peer.running(), start(policy(peer, "inline")) as running:
        reply = await running.send("a@bad.test", mark="dropped")
        assert reply.code == 250
        record = running.record("dropped")
    assert record.bounces == ()
    assert [status.state for status in record.recipients] == [RecipientState.DELIVERED]
    (attempt,) = record.attempts
    outcome = attempt.outcomes[0].outcome
    assert isinstance(outcome, Delivered)
    assert outcome.reply.text == "2.0.0 taken"
    assert len(peer.only.messages) == 1


async def test_a_host_that_takes_all_and_never_says_so_gets_it_again(
    start: Start, tls: ssl.SSLContext
) -> None:
    """The window that SMTP leaves (RFC 5321 section 4.5.4.1): rather twice than not at all."""
    clock, watcher = TurnedClock(), Watcher()
    peer = Peer(answers={".": Do.CLOSE}, context=tls)
    async with peer.running(), start(policy(peer), clock=clock, observer=watcher) as running:
        assert (await running.send("a@bad.test", mark="twice")).code == 250
        await watcher.until(lambda: len(watcher.bounces) == 1)
        again = watcher.bounces[0].will_retry_at
        assert again is not None
        await clock.turn_to(again)
        await watcher.until(lambda: len(watcher.bounces) == 2)
    assert [len(conversation.messages) for conversation in peer.conversations] == [1, 1]
