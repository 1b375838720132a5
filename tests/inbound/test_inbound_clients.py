"""Real clients: the standard library's and aiosmtplib."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage

import aiosmtplib
import pytest
from inbound_harness import HOSTNAME, House, OpenHouse

from relay.core.records import BodyType
from relay.inbound.credentials import Credentials
from relay.inbound.incoming import ListenerKind

MESSAGE = b"Subject: test\r\n\r\n.a line that begins with a dot\r\n"


async def test_smtplib_in_clear_and_over_starttls(house: House) -> None:
    endpoint = house.endpoint(ListenerKind.SMTP)

    def send() -> None:
        with smtplib.SMTP(endpoint.host, endpoint.port, local_hostname="client.test") as client:
            client.sendmail("a@b.test", ["c@d.test", "e@f.test"], MESSAGE)
        with smtplib.SMTP(endpoint.host, endpoint.port, local_hostname="client.test") as client:
            client.starttls(context=house.client_context)
            client.sendmail("", ["c@d.test"], MESSAGE, mail_options=["BODY=8BITMIME"])

    await asyncio.to_thread(send)
    clear, secured = house.accepted
    assert (clear.reverse_path, clear.recipients) == ("a@b.test", ("c@d.test", "e@f.test"))
    assert (clear.tls, clear.listener, clear.helo) == (None, ListenerKind.SMTP, "client.test")
    assert (clear.body, secured.body) == (BodyType.SEVEN_BIT, BodyType.EIGHT_BIT)
    assert secured.reverse_path == ""
    assert secured.tls is not None
    assert secured.tls.startswith("TLSv1.")
    assert clear.content == secured.content == MESSAGE
    assert clear.session_id != secured.session_id


@pytest.mark.parametrize("kind", [ListenerKind.SMTPS, ListenerKind.SUBMISSION])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_smtplib_logs_in(kind: ListenerKind, mechanism: str, house: House) -> None:
    endpoint = house.endpoint(kind)

    def log_in(client: smtplib.SMTP) -> None:
        client.ehlo()
        client.user, client.password = "app", "opensesame"
        method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
        client.auth(mechanism, method, initial_response_ok=mechanism == "PLAIN")
        client.sendmail("a@b.test", ["c@d.test"], MESSAGE)

    def send() -> None:
        if kind is ListenerKind.SMTPS:
            with smtplib.SMTP_SSL(endpoint.host, endpoint.port, context=context) as client:
                log_in(client)
        else:
            with smtplib.SMTP(endpoint.host, endpoint.port) as client:
                client.starttls(context=context)
                log_in(client)

    context = house.client_context
    await asyncio.to_thread(send)
    assert [i.authenticated_as for i in house.accepted] == ["app"]


async def test_smtplib_reads_the_refusals(house: House) -> None:
    endpoint = house.endpoint(ListenerKind.SUBMISSION)

    def send() -> None:
        with smtplib.SMTP(endpoint.host, endpoint.port) as client:
            with pytest.raises(smtplib.SMTPSenderRefused) as early:
                client.sendmail("a@b.test", ["c@d.test"], MESSAGE)
            assert early.value.smtp_code == 530
            client.starttls(context=house.client_context)
            with pytest.raises(smtplib.SMTPSenderRefused) as unknown:
                client.sendmail("a@b.test", ["c@d.test"], MESSAGE)
            assert unknown.value.smtp_error == b"5.7.0 Authentication required"
            with pytest.raises(smtplib.SMTPAuthenticationError) as wrong:
                client.login("app", "wrong")
            assert wrong.value.smtp_code == 535

    await asyncio.to_thread(send)
    assert house.accepted == []


async def test_anybody_may_log_in_on_loopback(open_house: OpenHouse) -> None:
    house = await open_house(credentials=Credentials.anybody())
    endpoint = house.endpoint(ListenerKind.SUBMISSION)
    async with aiosmtplib.SMTP(
        hostname=endpoint.host, port=endpoint.port, start_tls=False
    ) as client:
        await client.starttls(tls_context=house.client_context, server_hostname=HOSTNAME)
        await client.login("whoever", "whatever")
        await client.sendmail("a@b.test", ["c@d.test"], MESSAGE)
    assert [i.authenticated_as for i in house.accepted] == ["whoever"]


async def test_aiosmtplib_sends_utf8_addresses(house: House) -> None:
    endpoint = house.endpoint(ListenerKind.SMTP)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "grün@b.test", "blau@d.test", "grün"
    message.set_content("text")
    async with aiosmtplib.SMTP(
        hostname=endpoint.host, port=endpoint.port, start_tls=False
    ) as client:
        await client.send_message(message, sender="grün@b.test", recipients=["blau@d.test"])
    (incoming,) = house.accepted
    assert incoming.smtputf8
    assert incoming.reverse_path == "grün@b.test"
    assert "Subject: grün".encode() in incoming.content


async def test_many_clients_at_once(house: House) -> None:
    endpoint = house.endpoint(ListenerKind.SMTP)

    async def send(number: int) -> None:
        async with aiosmtplib.SMTP(
            hostname=endpoint.host, port=endpoint.port, start_tls=False
        ) as client:
            for _ in range(5):
                await client.sendmail(f"{number}@b.test", ["c@d.test"], MESSAGE)

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(send(number))
    assert len(house.accepted) == 100
    assert {i.content for i in house.accepted} == {MESSAGE}
