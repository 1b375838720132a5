"""TLS in a session: each way in which STARTTLS or a handshake ends, and what is seen of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace

import pytest
import trustme
from outbound_peer import HOST, Do, Peer, Step
from outbound_relay import Relay, assert_failure

from relay.core.advisories import AdvisoryKind
from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem, NotTried
from relay.core.faults import FaultKind
from relay.core.outcomes import (
    ConnectionProblem,
    Stage,
)
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.settings import TlsMode, TlsSetting
from relay.outbound import tap
from relay.outbound.session import Admitted, NotAdmitted
from relay.tls.starting import begin_tls

SHORT = 0.2
"""Seconds to wait for a peer that will never answer."""

TIMEOUT = ConnectionProblem.TIMEOUT


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
