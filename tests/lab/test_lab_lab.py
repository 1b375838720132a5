"""The lab as a whole: when receivers start, what is remembered, how it all ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lab_handshakes import verifying_context

from relay.core.routing import HostAddress
from relay.core.settings import TlsVersion
from relay.lab import server_tls
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import LAB_SCENARIOS, NoReceiver, UnknownScenario
from relay.lab.lab import Lab, LabPortError, ScenarioUnavailable


def utc_now() -> datetime:
    return datetime.now(UTC)


async def deliver(host: HostAddress, content: bytes = b"x\r\n", *, quit_after: bool = True) -> None:
    """Send one message in clear text."""
    reader, writer = await asyncio.open_connection(host.address, host.port)
    last = b"QUIT\r\n" if quit_after else b""
    writer.write(
        b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n" + content + b".\r\n" + last
    )
    for _ in range(7 if quit_after else 6):
        line = await reader.readline()
    assert line.startswith(b"221" if quit_after else b"250")
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_nothing_listens_before_it_is_asked_for(lab: Lab) -> None:
    assert dict(lab.endpoints) == {}
    host = await lab.address("expired")
    assert dict(lab.endpoints) == {"expired": host}
    assert host.name == "mx.expired.lab.test"
    assert host.address == "127.0.0.1"


async def test_whoever_asks_at_once_gets_the_same_receiver(lab: Lab) -> None:
    addresses = await asyncio.gather(*(lab.address("good") for _ in range(20)))
    assert len(set(addresses)) == 1
    assert await lab.address("good") == addresses[0]


async def test_all_may_be_started(lab: Lab) -> None:
    endpoints = await lab.start_all()
    assert set(endpoints) == {*LAB_SCENARIOS, "capture"}
    assert len({host.port for host in endpoints.values()}) == len(endpoints)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("exspired", "expired"), ("user_unknown", "user-unknown")]
)
async def test_an_unknown_name_is_answered_with_the_nearest(
    lab: Lab, name: str, suggestion: str
) -> None:
    with pytest.raises(UnknownScenario, match=f"did you mean {suggestion}") as caught:
        await lab.address(name)
    assert caught.value.suggestions[0] == suggestion
    with pytest.raises(UnknownScenario):
        lab.received(name)


async def test_a_scenario_about_dns_alone_has_no_receiver_and_has_received_nothing(
    lab: Lab,
) -> None:
    with pytest.raises(NoReceiver):
        await lab.address("nxdomain")
    assert lab.received("nxdomain") == ()
    assert lab.messages("nxdomain") == ()


async def test_a_name_like_no_other_gets_no_suggestion(lab: Lab) -> None:
    with pytest.raises(UnknownScenario, match=r"no scenario 'qqqq'$"):
        await lab.address("qqqq")


async def test_capture_is_not_a_scenario_but_has_received_mail(lab: Lab) -> None:
    with pytest.raises(UnknownScenario):
        await lab.address("capture")
    assert lab.received("capture") == ()
    await deliver(await lab.capture_address())
    assert len(lab.messages("capture")) == 1


async def test_fixed_ports_and_ports_that_are_taken(authority: LabAuthority) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with Lab(authority, now=utc_now, ports={"good": port}) as lab:
            with pytest.raises(LabPortError, match=f"good can't listen on 127.0.0.1:{port}: Addr"):
                await lab.address("good")
            assert dict(lab.endpoints) == {}
            taken.close()
            assert (await lab.address("good")).port == port


async def test_a_version_that_openssl_lacks_is_said_not_faked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(server_tls._BUILT_IN, TlsVersion.TLS1_1, False)
    with pytest.raises(ScenarioUnavailable, match=r"tls11-only needs TLSv1\.1, .* built without"):
        await lab.address("tls11-only")
    assert set(await lab.start_all()) == {*LAB_SCENARIOS, "capture"} - {"tls11-only"}


async def test_sessions_at_once_are_kept_apart(lab: Lab) -> None:
    host = await lab.address("no-starttls")
    contents = [f"message {number}\r\n".encode() * number for number in range(1, 31)]
    await asyncio.gather(*(deliver(host, content) for content in contents))
    await lab.wait_until_idle("no-starttls")
    sessions = lab.received("no-starttls")
    assert len({session.id for session in sessions}) == len(sessions) == len(contents)
    assert all(len(session.messages) == 1 for session in sessions)
    assert sorted(m.content for m in lab.messages("no-starttls")) == sorted(contents)


async def test_a_message_is_kept_before_the_client_hears_of_it(lab: Lab) -> None:
    await deliver(await lab.address("no-starttls"), b"kept\r\n", quit_after=False)
    assert lab.messages("no-starttls")[0].content == b"kept\r\n"


async def test_waiting_for_a_message(lab: Lab) -> None:
    host = await lab.address("no-starttls")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            lab.wait_for_message("no-starttls", where=lambda m: m.content == b"second\r\n")
        )
        await deliver(host, b"first\r\n")
        assert not waiting.done()
        await deliver(host, b"second\r\n")
    assert waiting.result().content == b"second\r\n"
    with pytest.raises(TimeoutError):
        await lab.wait_for_message("good", within=0.01)


async def test_an_open_session_is_not_idle(lab: Lab) -> None:
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    with pytest.raises(TimeoutError):
        await lab.wait_until_idle("good", within=0.01)
    (session,) = lab.received("good")
    assert session.ended_at is None
    writer.close()
    await writer.wait_closed()
    await lab.wait_until_idle("good")
    (session,) = lab.received("good")
    assert session.ended_at is not None


async def test_reset_forgets_but_open_sessions_go_on(lab: Lab) -> None:
    host = await lab.address("no-starttls")
    await deliver(host)
    await lab.wait_until_idle("no-starttls")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    transaction = b"MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n%s\r\n.\r\n"
    writer.write(b"HELO me\r\n" + transaction % b"before")
    for _ in range(6):
        await reader.readline()
    lab.reset()
    assert lab.messages("no-starttls") == ()
    writer.write(transaction % b"after" + b"QUIT\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    (session,) = lab.received("no-starttls")
    assert [message.content for message in session.messages] == [b"after\r\n"]
    assert session.messages_forgotten == 1


async def test_closing_ends_open_sessions_and_keeps_what_was_received(
    authority: LabAuthority,
) -> None:
    async with Lab(authority, now=utc_now) as lab:
        host = await lab.address("no-starttls")
        await deliver(host)
        silent_reader, silent_writer = await asyncio.open_connection(host.address, host.port)
        await silent_reader.readline()
        good = await lab.address("good")
        tls_reader, tls_writer = await asyncio.open_connection(good.address, good.port)
        await tls_reader.readline()
        tls_writer.write(b"STARTTLS\r\n")
        await tls_reader.readline()
        await tls_writer.start_tls(verifying_context(authority.root_pem), server_hostname=good.name)
        half_reader, half_writer = await asyncio.open_connection(good.address, good.port)
        await half_reader.readline()
        half_writer.write(b"STARTTLS\r\n")
        await half_reader.readline()
        async with asyncio.timeout(1):
            await lab.close()
    for reader, writer in (
        (silent_reader, silent_writer),
        (tls_reader, tls_writer),
        (half_reader, half_writer),
    ):
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    assert len(lab.messages("no-starttls")) == 1
    assert all(session.ended_at for session in lab.received("good"))
    with pytest.raises(OSError, match=r".+"):
        await asyncio.open_connection(host.address, host.port)
    with pytest.raises(RuntimeError, match="closed"):
        await lab.address("good")


async def test_closing_twice_is_closing_once(authority: LabAuthority) -> None:
    async with Lab(authority, now=utc_now) as lab:
        await lab.address("good")
        await lab.close()


@pytest.mark.parametrize(
    ("name", "said", "answer", "noted"),
    [
        ("good", b"", b"421 4.4.2", None),
        ("good", b"EHLO me\r\nNO", b"421 4.4.2", None),
        ("good", b"STARTTLS\r\n", b"220 2.0.0", "the client fell silent"),
        ("handshake-drop", b"STARTTLS\r\n", b"220 2.0.0", "the client fell silent"),
        ("no-starttls", b"AUTH PLAIN\r\n", b"421 4.4.2", None),
        (
            "no-starttls",
            b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nhalf",
            b"421 4.4.2",
            None,
        ),
    ],
)
async def test_a_silent_client_is_sent_away_but_not_in_a_handshake(
    authority: LabAuthority, name: str, said: bytes, answer: bytes, noted: str | None
) -> None:
    async with Lab(authority, now=utc_now, idle_seconds=0.05) as lab:
        host = await lab.address(name)
        reader, writer = await asyncio.open_connection(host.address, host.port)
        writer.write(said)
        last = (await reader.read()).splitlines()[-1]
        assert last.startswith(answer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await lab.wait_until_idle(name)
        (session,) = lab.received(name)
        assert session.handshake_error == noted
        assert session.messages == ()


async def test_a_lab_that_runs_for_weeks_shows_fresh_certificates(tmp_path: Path) -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    authority = LabAuthority(tmp_path, now=lambda: time)
    async with Lab(authority, now=lambda: time) as lab:
        host = await lab.address("good")
        leaves = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host.address, host.port)
            await reader.readline()
            writer.write(b"STARTTLS\r\n")
            await reader.readline()
            context = verifying_context(authority.root_pem)
            context.check_hostname, context.verify_mode = False, server_tls.ssl.CERT_NONE
            await writer.start_tls(context)
            leaves.append(writer.get_extra_info("ssl_object").getpeercert(True))
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            time += timedelta(days=21)
        assert leaves[0] != leaves[1]


async def test_a_session_that_breaks_is_logged_and_ends(
    lab: Lab,
    authority: LabAuthority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(authority, "issue", broken)
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    with caplog.at_level(logging.ERROR), suppress(ConnectionError):
        received = await reader.read()
        assert b"mistake" not in received
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    await lab.wait_until_idle("good")
    assert "receiver good broke" in caplog.text
