"""A session: how it is opened, what its transcript tells, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme
from outbound_peer import HOST, Do, Peer
from outbound_relay import Relay

from relay.core.evidence import HandshakeDone
from relay.core.outcomes import (
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
)
from relay.core.replies import Reply
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TlsPolicy, TrustAnchors
from relay.core.transcripts import Direction
from relay.outbound.session import SessionOptions

SHORT = 0.2
"""Seconds to wait for a peer that will never answer."""

SECOND = timedelta(seconds=1)


async def test_off_never_says_starttls(relay: Relay, honest: ssl.SSLContext) -> None:
    async with Peer(context=honest).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.OFF)
        await session.close()
        await peer.settled()
    assert session.failure is None
    assert session.evidence.starttls_offered is True
    assert not session.evidence.starttls_sent
    assert peer.only.verbs == ["EHLO", "QUIT"]


async def test_an_honest_host(relay: Relay, honest: ssl.SSLContext) -> None:
    async with Peer(context=honest).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
        await peer.settled()
    evidence = session.evidence
    assert session.failure is None
    assert isinstance(evidence.handshake, HandshakeDone)
    assert evidence.handshake.version == "TLSv1.3"
    assert len(evidence.chain) == 1
    assert evidence.starttls_reply == Reply(code=220, text="go ahead")
    assert evidence.offer is not None
    assert evidence.offer.server_name == HOST
    assert evidence.offer.verifying
    assert peer.only.commands == ["EHLO relay.lab.test", "STARTTLS", "EHLO relay.lab.test", "QUIT"]
    assert peer.only.encrypted_commands == ["EHLO relay.lab.test", "QUIT"]


async def test_a_trailing_dot_is_no_part_of_the_name(relay: Relay, honest: ssl.SSLContext) -> None:
    async with Peer(context=honest).running() as peer:
        hop = replace(peer.hop, host=f"{HOST}.")
        session = await relay.open(hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
    assert isinstance(session.evidence.handshake, HandshakeDone)
    assert session.evidence.offer is not None
    assert session.evidence.offer.server_name == HOST


async def test_an_address_as_host(relay: Relay, ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with Peer(context=context).running() as peer:
        hop = replace(peer.hop, host="127.0.0.1")
        session = await relay.open(hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
    assert isinstance(session.evidence.handshake, HandshakeDone)


@pytest.mark.parametrize("host", ["", "a..b", "-a.test", "x" * 64 + ".test"])
async def test_a_host_without_a_name_for_tls(relay: Relay, host: str) -> None:
    async with Peer().running() as peer:
        session = await relay.open(replace(peer.hop, host=host))
        await session.close()
    assert isinstance(session.failure, LocalRefusal)
    assert not peer.conversations


async def test_unreadable_trust_is_the_relays_own_failure(relay: Relay) -> None:
    policy = TlsPolicy.for_setting(
        TlsSetting.REQUIRED_VERIFY, trust=TrustAnchors(lab=False, ca_files=("/nowhere/ca.pem",))
    )
    async with Peer().running() as peer:
        session = await relay.open(peer.hop, policy)
    assert isinstance(session.failure, LocalRefusal)
    assert session.failure.problem is LocalProblem.INTERNAL
    assert not peer.conversations


async def test_what_follows_a_reply_is_not_taken_for_the_next_one(relay: Relay) -> None:
    answers = {"MAIL": b"250 ok\r\n250 and ok in advance\r\n", "RCPT": b"550 5.1.1 unknown\r\n"}
    async with Peer(answers=answers, extensions=()).running() as peer:
        session = await relay.open(peer.hop)
        exchange = session._exchange
        assert exchange is not None
        assert await exchange.command(b"MAIL", b"FROM:<>") == Reply(code=250, text="ok")
        answer = await exchange.command(b"RCPT", b"TO:<a@peer.test>")
        await session.close()
    assert answer == Reply(code=550, text="5.1.1 unknown")


async def test_cancelling_cuts_the_connection(relay: Relay) -> None:
    async with Peer(answers={"EHLO": Do.SILENT}).running() as peer:
        task = asyncio.get_running_loop().create_task(relay.open(peer.hop))
        await peer.heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.settled()
    assert peer.only.verbs == ["EHLO"]


async def test_the_transcript_is_what_went_over_the_wire(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    async with Peer(context=honest, extensions=("SIZE 10", "STARTTLS")).running() as peer:
        session = await relay.open(peer.hop)
        await session.close()
    lines = [str(line) for line in session.record().transcript]
    assert lines[0].startswith(" *  connected to mx.peer.test[127.0.0.1]:")
    assert lines[1:8] == [
        "<-- 220 mx.peer.test ESMTP",
        "--> EHLO relay.lab.test",
        "<-- 250-mx.peer.test",
        "<-- 250-SIZE 10",
        "<-- 250 STARTTLS",
        "--> STARTTLS",
        "<-- 220 go ahead",
    ]
    assert lines[8].startswith(" *  TLS handshake done: TLSv1.3, ")
    assert lines[9:] == [
        "~~> EHLO relay.lab.test",
        "<~~ 250-mx.peer.test",
        "<~~ 250 SIZE 10",
        "~~> QUIT",
        "<~~ 221 2.0.0 bye",
    ]


async def test_hostile_replies_stay_printable(relay: Relay) -> None:
    async with Peer(banner=b"554 \x1b[31mred\xff\xfe\r\n").running() as peer:
        session = await relay.open(peer.hop)
        await session.close()
    assert isinstance(session.failure, PeerRefusal)
    assert session.failure.reply.text.encode("utf-8") == b"\x1b[31mred\\xff\\xfe"
    received = [ln for ln in session.record().transcript if ln.direction is Direction.RECEIVED]
    assert [line.text for line in received] == ["554 \\x1b[31mred\\xff\\xfe"]


async def test_closing_twice_is_closing_once(relay: Relay) -> None:
    async with Peer(extensions=()).running() as peer:
        session = await relay.open(peer.hop)
        await session.close()
        ended = session.record().ended_at
        await session.close()
        await peer.settled()
    assert session.record().ended_at == ended
    assert peer.only.verbs == ["EHLO", "QUIT"]


async def test_a_host_that_never_answers_quit_does_not_hold_the_relay(relay: Relay) -> None:
    async with Peer(answers={"QUIT": Do.SILENT}, extensions=()).running() as peer:
        session = await relay.open(peer.hop, wait=SHORT)
        await session.close()
        await peer.settled()
    assert peer.only.verbs == ["EHLO", "QUIT"]


@pytest.mark.parametrize("name", ["", "two words", "bücher.test", "a\r\nb"])
def test_a_name_that_ehlo_can_not_say(name: str) -> None:
    with pytest.raises(ValueError, match="EHLO"):
        SessionOptions(
            local_hostname=name,
            connect_timeout=SECOND,
            command_timeout=SECOND,
            allow_external=False,
        )


@pytest.mark.parametrize("setting", [TlsSetting.OFF, TlsSetting.REQUIRED])
async def test_an_ended_session_leaves_nothing_to_the_garbage_collector(
    relay: Relay, honest: ssl.SSLContext, setting: TlsSetting
) -> None:
    gc.disable()
    try:
        async with Peer(context=honest).running() as peer:
            session = await relay.open(peer.hop, setting)
            await session.close()
            await peer.settled()
        ended = weakref.ref(session._opening.client._tap)
        del session
        assert ended() is None
    finally:
        gc.enable()
