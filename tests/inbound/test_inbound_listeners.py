"""Opening all or none, and closing without losing what was accepted."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

import pytest
from inbound_harness import TAKEN, HeldAnswer, House, OpenHouse, spoken

from relay.core.codebook import CodeEntry
from relay.inbound.credentials import Credentials
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.limits import InboundLimits
from relay.inbound.listeners import ListenerConfig, ListenError, ListenProblem
from relay.journal.api import JournalUnavailable


def config(
    kind: ListenerKind = ListenerKind.SMTP, host: str = "127.0.0.1", port: int = 0
) -> ListenerConfig:
    return ListenerConfig(kind=kind, host=host, port=port)


async def test_endpoints_tell_where_and_how(house: House) -> None:
    endpoints = house.listeners.endpoints
    assert [e.kind for e in endpoints] == list(ListenerKind)
    assert all(e.port > 0 and e.host == "127.0.0.1" for e in endpoints)
    assert [e.tls_state for e in endpoints] == [
        "clear, STARTTLS offered",
        "TLS from the first octet",
        "STARTTLS and AUTH required",
    ]


async def test_a_busy_port_opens_nothing(open_house: OpenHouse) -> None:
    house = await open_house()
    await house.listeners.stop(1)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            await house.listeners.start([config(), config(ListenerKind.SUBMISSION, port=port)])
    error = caught.value
    assert (error.kind, error.host, error.port) == (ListenerKind.SUBMISSION, "127.0.0.1", port)
    assert error.reason is ListenProblem.PORT_IN_USE
    assert str(error) == (
        f"cannot listen on 127.0.0.1:{port} (submission): another program uses this port"
    )
    assert house.listeners.endpoints == ()


async def test_the_same_port_twice(open_house: OpenHouse) -> None:
    house = await open_house()
    port = house.endpoint(ListenerKind.SMTP).port
    await house.listeners.stop(1)
    with pytest.raises(ListenError) as caught:
        await house.listeners.start([config(port=port), config(ListenerKind.SMTPS, port=port)])
    assert caught.value.reason is ListenProblem.PORT_IN_USE
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours(host: str, open_house: OpenHouse) -> None:
    house = await open_house()
    with pytest.raises(ListenError) as caught:
        await house.listeners.start([config(host=host)])
    assert caught.value.reason is ListenProblem.NO_SUCH_ADDRESS


@pytest.mark.parametrize("kind", [ListenerKind.SMTPS, ListenerKind.SUBMISSION])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_any_credentials_are_for_loopback_alone(
    kind: ListenerKind, host: str, open_house: OpenHouse
) -> None:
    house = await open_house(credentials=Credentials.anybody())
    with pytest.raises(ListenError) as caught:
        await house.listeners.start([config(kind, host)])
    assert caught.value.reason is ListenProblem.ANY_CREDENTIALS


async def test_ipv6(open_house: OpenHouse) -> None:
    house = await open_house()
    await house.listeners.stop(1)
    try:
        (endpoint,) = await house.listeners.start([config(host="::1")])
    except ListenError as error:
        # A machine without IPv6 is told so, in the same words.
        assert error.reason is ListenProblem.NO_SUCH_ADDRESS  # noqa: PT017
        return
    assert str(endpoint) == f"[::1]:{endpoint.port}"
    client = await house.connect()
    await client.say("QUIT")
    assert (await house.ended()).peer.startswith("[::1]:")


@pytest.mark.parametrize("kind", ListenerKind)
async def test_stop_tells_idle_clients(kind: ListenerKind, house: House) -> None:
    client = await house.connect(kind)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.listeners.stop(10))
        assert (await client.reply()).startswith("421 4.3.2 ")
        await client.closed()
        await client.close()
    assert len(house.sessions) == 1
    assert house.listeners.sessions == 0


async def test_stop_lets_an_accept_in_progress_finish(open_house: OpenHouse) -> None:
    held = HeldAnswer()
    house = await open_house(answer=held)
    client = await house.connect()
    await client.begin_message()
    await client.send(b".\r\nMAIL FROM:<next@b.test>\r\n")
    await held.begun.acquire()
    port = house.endpoint(ListenerKind.SMTP).port
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.listeners.stop(10))
        # One turn of the loop: the stopping task has closed the ports and waits.
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        held.go_on.set()
        assert await client.reply() == "250 2.0.0 Ok: taken"
        assert (await client.reply()).startswith("421 4.3.2 ")
    assert len(house.accepted) == 1
    assert len(house.sessions) == 1


async def test_stop_cuts_off_what_outlasts_the_grace(open_house: OpenHouse) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(_: Incoming) -> CodeEntry:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return TAKEN

    house = await open_house(answer=forever)
    client = await house.connect()
    await client.begin_message()
    await client.send(b".\r\n")
    await begun.wait()
    await house.listeners.stop(0.01)
    assert cancelled.is_set()
    assert await client.reply() == "421 4.3.2 Service is closing"
    await client.closed()
    assert "the session was cut off" in spoken(house.sessions[0])


async def test_stop_during_a_handshake(house: House) -> None:
    client = await house.connect()
    await client.say("STARTTLS")
    await house.listeners.stop(10)
    await client.closed()
    assert len(house.sessions) == 1


async def test_a_session_that_can_not_be_recorded_does_no_harm(
    open_house: OpenHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house = await open_house(record_error=OSError("disk full"))
    client = await house.connect()
    await client.say("QUIT")
    await client.closed()
    await house.ended()
    assert (await (await house.connect()).say("NOOP")).startswith("250 ")
    assert "inbound session id1 could not be recorded" in caplog.text


async def test_a_full_disk_is_told_without_a_traceback(
    open_house: OpenHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house = await open_house(record_error=JournalUnavailable("there is no space left"))
    client = await house.connect()
    await client.say("QUIT")
    await client.closed()
    await house.ended()
    (told,) = caplog.records
    assert told.getMessage() == "inbound session id1 is not recorded: there is no space left"
    assert told.exc_info is None


async def test_a_session_has_times_and_a_peer(house: House) -> None:
    before = datetime.now(UTC)
    client = await house.connect()
    host, port = client.writer.get_extra_info("sockname")[:2]
    await client.say("QUIT")
    session = await house.ended()
    assert session.id == "id1"
    assert session.peer == f"{host}:{port}"
    assert before <= session.started_at <= session.ended_at <= datetime.now(UTC)


async def test_a_hostname_must_be_one(open_house: OpenHouse) -> None:
    house = await open_house()
    service = house.listeners._service
    with pytest.raises(ValueError, match="domain name"):
        type(house.listeners)(
            accept=service.accept,
            session_sink=service.session_sink,
            server_context=service.server_context,
            hostname="relay test\r\n250 x",
            limits=InboundLimits(),
            credentials=service.credentials,
            now=service.now,
            new_id=service.new_id,
        )
