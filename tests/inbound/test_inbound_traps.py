"""The traps of aiosmtpd that were measured, each by its name, and the limits with their codes."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from asyncio import sslproto

import pytest
from inbound_harness import TAKEN, HeldAnswer, House, OpenHouse, spoken

from relay.core.codebook import CodeEntry
from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem
from relay.core.records import SessionDirection
from relay.core.settings import TlsMode
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.limits import InboundLimits


async def test_handler_exception_text_never_reaches_the_client(
    open_house: OpenHouse, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Incoming) -> CodeEntry:
        raise RuntimeError("secret /etc/path\r\n250 injected")

    house = await open_house(answer=broken)
    client = await house.connect()
    await client.begin_message()
    reply = await client.say(b".\r\n")
    assert reply == "451 4.3.0 Local error, reference id2"
    assert (await client.say("NOOP")).startswith("250 ")
    assert "id2" in caplog.text
    assert "secret" in caplog.text
    await client.say("QUIT")
    session = await house.ended()
    assert "reference id2" in spoken(session)
    assert "secret" not in spoken(session)


async def test_a_lost_connection_elsewhere_is_not_the_clients(open_house: OpenHouse) -> None:
    def broken(_: Incoming) -> CodeEntry:
        raise ConnectionResetError("the next hop's, not the client's")

    house = await open_house(answer=broken)
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b".\r\n")).startswith("451 4.3.0 ")


async def test_a_session_whose_tls_the_client_resets_is_recorded_by_every_python(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_it_is = sslproto._SSLProtocolTransport.abort  # type: ignore[attr-defined]

    def as_in_3_11_2(transport: asyncio.Transport) -> None:
        assert transport._ssl_protocol is not None, "closed twice"  # type: ignore[attr-defined]
        as_it_is(transport)

    monkeypatch.setattr(sslproto._SSLProtocolTransport, "abort", as_in_3_11_2)  # type: ignore[attr-defined]
    client = await house.connect(ListenerKind.SMTPS)
    await client.say("EHLO client.test")
    client.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
    )
    client.writer.transport.abort()
    async with asyncio.timeout(10):
        session = await house.ended()
    assert "EHLO client.test" in spoken(session)


@pytest.mark.parametrize("how", ["reset", "half-close"])
async def test_cancellation_the_client_leaves_while_its_message_is_accepted(
    how: str, open_house: OpenHouse
) -> None:
    held = HeldAnswer()
    house = await open_house(answer=held)
    client = await house.connect()
    await client.begin_message()
    await client.send(b"text\r\n.\r\n")
    await held.begun.acquire()
    if how == "reset":
        client.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        client.writer.transport.abort()
    else:
        client.writer.write_eof()
    assert house.sessions == []
    held.go_on.set()
    if how == "half-close":
        assert await client.reply() == "250 2.0.0 Ok: taken"
    session = await house.ended()
    assert [i.content for i in house.accepted] == [b"text\r\n"]
    if how == "reset":
        assert "the client had gone before it could read: 250 2.0.0" in spoken(session)


async def test_cancellation_no_timer_runs_while_a_message_is_accepted(
    open_house: OpenHouse,
) -> None:
    go_on = asyncio.Event()

    async def slowly(_: Incoming) -> CodeEntry:
        # Longer than every limit in seconds that the session has.
        asyncio.get_running_loop().call_later(0.3, go_on.set)
        await go_on.wait()
        return TAKEN

    house = await open_house(
        answer=slowly, limits=InboundLimits(idle_seconds=0.1, data_seconds=0.1)
    )
    client = await house.connect()
    await client.begin_message()
    assert await client.say(b".\r\n") == "250 2.0.0 Ok: taken"


async def test_idle_too_long(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(idle_seconds=0.05))
    client = await house.connect()
    assert (await client.reply()).startswith("421 4.4.2 ")
    await client.closed()


async def test_junk_does_not_keep_a_session_alive(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(idle_seconds=0.2))
    client = await house.connect()
    await client.send("NO LINE END")
    assert (await client.reply()).startswith("421 4.4.2 ")


async def test_data_too_slow(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(data_seconds=0.05))
    client = await house.connect()
    await client.begin_message()
    await client.send(b"never ends")
    assert (await client.reply()).startswith("421 4.4.2 ")
    await client.closed()


async def test_too_many_sessions(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(sessions=1))
    first = await house.connect()
    second = await house.connect_silently()
    assert (await second.reply()).startswith("421 4.3.2 ")
    await second.closed()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await house.connect_silently(ListenerKind.SMTPS)
    await house.ended(2)
    assert (await first.say("QUIT")).startswith("221 ")
    await house.ended(3)
    await house.connect()


async def test_command_size_limits_are_not_shared_nor_widened(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(command_line=1000))
    client, other = await house.connect(), await house.connect()
    for _ in range(99):
        await client.say("EHLO client.test")
    line = f"MAIL FROM:<a@b.test> {'x' * 1000}"
    for each in (client, other):
        await each.say("EHLO client.test")
        assert (await each.say(line)).startswith("500 5.5.2 ")


async def test_an_endless_command_is_not_kept(house: House) -> None:
    client = await house.connect()
    for _ in range(64):
        client.writer.write(b"x" * 65_536)
        await client.writer.drain()
    assert (await client.say(b"\r\n")).startswith("500 5.5.2 Command line too long")
    assert (await client.say("NOOP")).startswith("250 ")


async def test_auth_line_too_long(house: House) -> None:
    client = await house.connect(ListenerKind.SMTPS)
    await client.say_all("EHLO client.test", "AUTH LOGIN")
    assert (await client.say("x" * 20_000)).startswith("500 5.5.6 ")
    assert (await client.say(f"AUTH PLAIN {'A' * 8000}")).startswith("501 5.5.2 ")


async def test_handshake_failure_is_quiet_and_recorded(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    client = await house.connect()
    await client.say("EHLO client.test")
    assert (await client.say("STARTTLS")).startswith("220 ")
    await client.send("this is not TLS, and long enough for its first record\r\n")
    await client.closed()
    session = await house.ended()
    assert session.direction is SessionDirection.INBOUND
    assert session.evidence is not None
    assert session.evidence.starttls_offered
    assert session.evidence.starttls_sent
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.NOT_TLS
    assert "TLS handshake failed" in spoken(session)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_handshake_failure_under_implicit_tls_is_recorded(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = house.endpoint(ListenerKind.SMTPS)
    _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(b"EHLO client.test\r\n")
    session = await house.ended()
    writer.close()
    assert session.evidence is not None
    assert session.evidence.mode is TlsMode.IMPLICIT
    assert session.evidence.starttls_offered is None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.peer.startswith("127.0.0.1:")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_handshake_that_the_client_never_begins(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(handshake_seconds=0.05))
    client = await house.connect()
    await client.say("STARTTLS")
    await client.closed()
    session = await house.ended()
    assert session.evidence is not None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.TIMEOUT


async def test_a_clients_alert_is_recorded_although_our_handshake_was_done(house: House) -> None:
    endpoint = house.endpoint(ListenerKind.SMTPS)

    def handshake() -> None:
        context = ssl.create_default_context()
        with (
            socket.create_connection((endpoint.host, endpoint.port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="relay.test")

    await asyncio.to_thread(handshake)
    session = await house.ended()
    assert session.evidence is not None
    assert isinstance(session.evidence.handshake, HandshakeFailed)
    assert session.evidence.handshake.problem is HandshakeProblem.ALERT


async def test_starttls_injection_is_counted(house: House) -> None:
    client = await house.connect()
    injected = b"MAIL FROM:<evil@b.test>\r\n"
    assert (await client.say(b"STARTTLS\r\n" + injected)).startswith("220 ")
    await client.secure(house.client_context)
    await client.say("QUIT")
    session = await house.ended()
    assert session.evidence is not None
    assert session.evidence.plaintext_after_go_ahead == len(injected)
    assert isinstance(session.evidence.handshake, HandshakeDone)
    assert "evil" not in spoken(session)
    note = f"{len(injected)} octets in clear behind STARTTLS were discarded (RFC 3207)"
    assert note in spoken(session)


@pytest.mark.parametrize("kind", ListenerKind)
async def test_a_second_starttls_is_refused_and_recorded(kind: ListenerKind, house: House) -> None:
    client = await house.connect(kind)
    if kind is not ListenerKind.SMTPS:
        await client.say("STARTTLS")
        await client.secure(house.client_context)
    assert "STARTTLS" not in await client.say("EHLO client.test")
    assert await client.say("STARTTLS") == "503 5.5.1 TLS is active already"
    assert (await client.say("QUIT")).startswith("221 ")
    session = await house.ended()
    assert session.evidence is not None
    assert isinstance(session.evidence.handshake, HandshakeDone)
    lines = [str(line) for line in session.transcript]
    refused = lines.index("<~~ STARTTLS")
    assert lines[refused + 1] == "~~> 503 5.5.1 TLS is active already"


@pytest.mark.parametrize("kind", ListenerKind)
async def test_secrets_are_in_no_transcript(kind: ListenerKind, house: House) -> None:
    client = await house.connect(kind)
    secrets = ["AGFwcABvcGVuc2VzYW1l", "b3BlbnNlc2FtZQ==", "c2VjcmV0"]
    await client.say("EHLO client.test")
    await client.say(f"AUTH PLAIN {secrets[0]}")
    # A client that does not wait for the refusal of AUTH LOGIN goes on with its password.
    await client.send(f"AUTH LOGIN\r\n{secrets[1]}\r\n{secrets[2]}\r\n auth plain {secrets[0]}\r\n")
    await client.say_all("NOOP", "QUIT")
    await client.close()
    session = await house.ended()
    assert "AUTH" in spoken(session)
    assert not [secret for secret in secrets if secret in spoken(session)]


async def test_replies_from_outside_can_not_inject_lines(open_house: OpenHouse) -> None:
    text = "first\r\n250 injected \x1b[31m grün " + "word " * 300
    house = await open_house(
        answer=lambda _: CodeEntry(CodeEntry.parse("554 5.7.1 x").status, text)
    )
    client = await house.connect()
    await client.begin_message()
    lines = (await client.say(b".\r\n")).split("\n")
    assert len(lines) > 1
    assert all(line.startswith(("554-5.7.1 ", "554 5.7.1 ")) for line in lines)
    assert all(len(line) <= 510 and line.isprintable() for line in lines)


async def test_a_421_from_outside_closes_the_session(open_house: OpenHouse) -> None:
    house = await open_house(answer=lambda _: CodeEntry.parse("421 4.3.2 the next hop closes"))
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b".\r\n")).startswith("421 4.3.2 ")
    await client.closed()


async def test_tcp_nodelay(house: House) -> None:
    await house.connect()
    (session,) = house.listeners._service.live
    found = session._wire.get_extra_info("socket")
    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_the_bodies_are_not_in_the_transcript(house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    await client.say(b"Subject: private matter\r\n.\r\n")
    await client.say("QUIT")
    transcript = spoken(await house.ended())
    assert "private" not in transcript
    assert "a message of 25 octets" in transcript


async def test_what_a_client_says_stays_printable_in_the_record_and_out_of_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "relay")
    client = await house.connect()
    for line in (b"FOO\x1b[31m\r\n", b"VRFY \xe2\x80\xa8 250 forged\r\n", b"\x9b2J \xff\r\n"):
        reply = await client.say(line)
        assert "forged" not in reply
        assert "FOO" not in reply
    await client.say("QUIT")
    session = await house.ended()
    assert "FOO" in spoken(session)
    assert all(line.text.isprintable() for line in session.transcript)
    assert "FOO" not in caplog.text
    assert "forged" not in caplog.text
