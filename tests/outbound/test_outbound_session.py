"""Opening a session: each way in which a peer, or the network, ends it before it is judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme
from outbound_peer import HOST, Do, Peer, Step
from outbound_relay import Relay, assert_failure

from relay.core.advisories import AdvisoryKind
from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem, NotTried
from relay.core.faults import FaultKind
from relay.core.outcomes import (
    ConnectionProblem,
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
    Stage,
)
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.settings import TlsMode, TlsSetting
from relay.core.tls_policy import TlsPolicy, TrustAnchors
from relay.core.transcripts import Direction
from relay.outbound import tap
from relay.outbound.session import Admitted, NotAdmitted, SessionOptions
from relay.tls.starting import begin_tls

SHORT = 0.2
"""Seconds to wait for a peer that will never answer."""

SECOND = timedelta(seconds=1)
LOST, TIMEOUT = ConnectionProblem.LOST, ConnectionProblem.TIMEOUT


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


@pytest.mark.parametrize(
    ("answer", "reply", "stays"),
    [
        (b"454 4.7.0 TLS not available\r\n", Reply(code=454, text="4.7.0 TLS not available"), True),
        (b"502 5.5.1 no\r\n", Reply(code=502, text="5.5.1 no"), True),
        (b"421 4.3.2 closing\r\n", Reply(code=421, text="4.3.2 closing"), False),
        (b"gibberish\r\n", Reply(code=-1, text="gibberish"), False),
        (Do.CLOSE, None, False),
        (Do.RESET, None, False),
        (Do.SILENT, None, False),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_no_go_ahead(relay: Relay, answer: Step, reply: Reply | None, stays: bool) -> None:
    async with Peer(answers={"STARTTLS": answer}).running() as peer:
        wait = SHORT if answer is Do.SILENT else 5
        session = await relay.open(peer.hop, wait=wait)
        evidence = session.evidence
        await session.close()
        await peer.settled()
    assert session.failure is None
    assert evidence.starttls_offered is True
    assert evidence.starttls_sent
    assert evidence.starttls_reply == reply
    assert evidence.handshake == NotTried()
    assert peer.only.verbs == ["EHLO", "STARTTLS", "QUIT"][: 3 if stays else 2]


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (Do.CLOSE, HandshakeProblem.CLOSED),
        (Do.RESET, HandshakeProblem.CLOSED),
        (Do.SILENT, HandshakeProblem.TIMEOUT),
    ],
    ids=str,
)
async def test_a_handshake_that_never_ends(
    relay: Relay, after: Do, problem: HandshakeProblem
) -> None:
    async with Peer(answers={"STARTTLS": (b"220 go\r\n", after)}).running() as peer:
        session = await relay.open(peer.hop, wait=SHORT if after is Do.SILENT else 5)
        await session.close()
        await peer.settled()
    assert session.failure is None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is problem
    assert session.evidence.starttls_reply == Reply(code=220, text="go")
    assert peer.only.verbs == ["EHLO", "STARTTLS"]


async def test_clear_text_instead_of_a_handshake(relay: Relay) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        await reader.readline()
        writer.write(b"250-peer\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go\r\n")
        await reader.read(1)
        writer.write(b"500 5.5.1 what is this?\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        session = await relay.open(Hop(host=HOST, address="127.0.0.1", port=port))
        await session.close()
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.NOT_TLS


async def test_plaintext_behind_the_go_ahead_is_counted_and_never_read(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    injected = b"250-evil.test\r\n250 AUTH PLAIN\r\n"
    steps = (b"220 go\r\n" + injected, Do.TLS)
    async with Peer(context=honest, answers={"STARTTLS": steps}).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
        await peer.settled()
    assert isinstance(session.evidence.handshake, HandshakeDone)
    assert session.evidence.plaintext_after_go_ahead == len(injected)
    lines = [line.text for line in session.record().transcript]
    assert not any("evil" in line for line in lines)
    assert peer.only.encrypted_commands[0] == "EHLO relay.lab.test"


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


@pytest.mark.parametrize("mode", list(TlsMode))
async def test_a_refused_certificate_is_evidence_with_its_chain(
    relay: Relay, self_signed: ssl.SSLContext, mode: TlsMode
) -> None:
    async with Peer(context=self_signed, mode=mode).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
        await peer.settled()
    assert session.failure is None
    failed = session.evidence.handshake
    assert isinstance(failed, HandshakeFailed)
    assert failed.problem is HandshakeProblem.CERTIFICATE_REFUSED
    assert failed.verify_code == 18
    assert len(session.evidence.chain) == 1
    assert all(
        conversation.verbs in ([], ["EHLO", "STARTTLS"]) for conversation in peer.conversations
    )


@pytest.mark.parametrize("mode", list(TlsMode))
async def test_the_name_is_verified_not_the_address(
    relay: Relay, wrong_host: ssl.SSLContext, mode: TlsMode
) -> None:
    async with Peer(context=wrong_host, mode=mode).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
    failed = session.evidence.handshake
    assert isinstance(failed, HandshakeFailed)
    assert failed.verify_code == 62


async def test_implicit_tls(relay: Relay, honest: ssl.SSLContext) -> None:
    async with Peer(context=honest, mode=TlsMode.IMPLICIT).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        await session.close()
        await peer.settled()
    assert session.failure is None
    assert isinstance(session.evidence.handshake, HandshakeDone)
    assert session.evidence.starttls_offered is None
    assert len(session.evidence.chain) == 1
    assert peer.only.encrypted_commands == ["EHLO relay.lab.test", "QUIT"]


async def test_implicit_tls_against_a_clear_text_port(relay: Relay) -> None:
    async with Peer().running() as peer:
        hop = replace(peer.hop, mode=TlsMode.IMPLICIT)
        session = await relay.open(hop)
        await session.close()
    assert session.failure is None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.NOT_TLS


@pytest.mark.parametrize(
    ("banner", "expected"),
    [(b"554 no\r\n", Reply(code=554, text="no")), (Do.SILENT, TIMEOUT)],
    ids=str,
)
async def test_a_greeting_behind_implicit_tls(
    relay: Relay, honest: ssl.SSLContext, banner: Step, expected: Reply | ConnectionProblem
) -> None:
    async with Peer(context=honest, mode=TlsMode.IMPLICIT, banner=banner).running() as peer:
        session = await relay.open(peer.hop, wait=SHORT if expected is TIMEOUT else 5)
        await session.close()
    assert_failure(session, Stage.BANNER, expected)
    assert isinstance(session.evidence.handshake, HandshakeDone)
    assert session.evidence.chain


@pytest.mark.parametrize("mode", list(TlsMode))
async def test_closed_right_behind_the_handshake_is_a_failed_handshake(
    relay: Relay, honest: ssl.SSLContext, mode: TlsMode
) -> None:
    banner: Step = Do.CLOSE if mode is TlsMode.IMPLICIT else b"220 x\r\n"
    answers = {"EHLO tls": Do.CLOSE}
    async with Peer(context=honest, mode=mode, banner=banner, answers=answers).running() as peer:
        session = await relay.open(peer.hop)
        await session.close()
    assert session.failure is None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.CLOSED
    assert len(session.evidence.chain) == 1


@pytest.mark.parametrize("forgotten", [False, True], ids=["known", "forgotten"])
async def test_the_connection_ends_between_the_handshake_and_whoever_waits_for_it(
    relay: Relay, honest: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    async def lost_at_once(
        wire: asyncio.Transport,
        session: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_name: str,
        handshake_seconds: float,
    ) -> asyncio.Transport:
        lost = asyncio.Event()
        connection_lost = session.connection_lost

        def lose(error: Exception | None) -> None:
            connection_lost(error)
            lost.set()

        monkeypatch.setattr(session, "connection_lost", lose)
        secured = await begin_tls(
            wire, session, context, server_name=server_name, handshake_seconds=handshake_seconds
        )
        wire.abort()
        await lost.wait()
        if forgotten:
            # There is no transport any more where the end came first.
            raise ConnectionResetError
        return secured

    async with Peer(context=honest).running() as peer:
        monkeypatch.setattr(tap, "begin_tls", lost_at_once)
        session = await relay.open(peer.hop, TlsSetting.REQUIRED)
        assert session.failure is None
        admission = await relay.admit(session, TlsSetting.REQUIRED)
        await session.close()
    assert isinstance(admission, NotAdmitted)
    assert [fault.kind for fault in admission.verdict.faults] == [FaultKind.HANDSHAKE_CLOSED]
    assert session.evidence.starttls_reply == Reply(code=220, text="go ahead")
    assert bool(session.evidence.chain) is not forgotten
    assert peer.only.verbs == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"421 4.3.2 closing\r\n", Reply(code=421, text="4.3.2 closing")),
        (b"550 no\r\n", Reply(code=550, text="no")),
        (Do.SILENT, TIMEOUT),
    ],
    ids=str,
)
async def test_the_second_ehlo(
    relay: Relay, honest: ssl.SSLContext, answer: Step, expected: Reply | ConnectionProblem
) -> None:
    async with Peer(context=honest, answers={"EHLO tls": answer}).running() as peer:
        session = await relay.open(peer.hop, wait=0.5 if expected is TIMEOUT else 5)
        await session.close()
    assert_failure(session, Stage.EHLO, expected)
    assert isinstance(session.evidence.handshake, HandshakeDone)


async def test_a_demand_for_a_client_certificate_shows_as_its_alert(
    relay: Relay, ca: trustme.CA
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST).configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        # Blocking, because asyncio's server never sends its alert.
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 peer\r\n")
            received.append(connection.recv(1000))
            connection.sendall(b"250-peer\r\n250 STARTTLS\r\n")
            received.append(connection.recv(1000))
            connection.sendall(b"220 go\r\n")
            with context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            ) as secured:
                try:
                    secured.do_handshake()
                except ssl.SSLError:
                    # What the client has sent by now must be read, or the close were a reset.
                    secured.shutdown(socket.SHUT_WR)
                    while secured.recv(1000):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        hop = Hop(host=HOST, address="127.0.0.1", port=listener.getsockname()[1])
        session = await relay.open(hop)
        await session.close()
        await asyncio.to_thread(thread.join)
    failed = session.evidence.handshake
    assert session.failure is None
    assert isinstance(failed, HandshakeFailed)
    assert failed.problem is HandshakeProblem.ALERT
    assert "certificate required" in failed.detail
    assert received == [b"EHLO relay.lab.test\r\n", b"STARTTLS\r\n"]


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


@pytest.mark.parametrize("mode", TlsMode)
@pytest.mark.parametrize("keyword", ["STARTTLS", "starttls", "SIZE"])
async def test_starttls_offered_under_tls_is_seen_and_reported(
    relay: Relay, honest: ssl.SSLContext, mode: TlsMode, keyword: str
) -> None:
    answer = f"250-{HOST}\r\n250 {keyword}\r\n".encode()
    async with Peer(
        context=honest,
        mode=mode,
        answers={"EHLO tls": answer},
    ).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.REQUIRED_VERIFY)
        judged = await relay.admit(session, TlsSetting.REQUIRED_VERIFY)
        await session.close()
        await peer.settled()
    offered = keyword.upper() == "STARTTLS"
    assert session.evidence.starttls_offered_under_tls is offered
    kinds = [advisory.kind for advisory in session.record().advisories]
    # The tests' certificate is their own authority's; nothing else is worth a report.
    assert kinds == [AdvisoryKind.STARTTLS_OFFERED_UNDER_TLS] * offered
    assert isinstance(judged, Admitted)


async def test_in_clear_nothing_is_known_of_an_offer_under_tls(
    relay: Relay, honest: ssl.SSLContext
) -> None:
    async with Peer(context=honest).running() as peer:
        session = await relay.open(peer.hop, TlsSetting.OFF)
        await session.close()
        await peer.settled()
    assert session.evidence.starttls_offered_under_tls is None
