"""What the relay's listener and plain aiosmtpd do alike: the same tests run against both.

Where aiosmtpd is not right (bare line ends in commands, addresses that RFC 5321 does not allow,
STARTTLS within TLS ...) only the relay is tested, elsewhere.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from inbound_harness import HOSTNAME, TAKEN, Client, House, OpenHouse

from relay.inbound.incoming import ListenerKind
from relay.inbound.limits import InboundLimits

MAX_SIZE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a server took."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class Plain:
    """aiosmtpd as it comes, and what it took."""

    context: ssl.SSLContext
    messages: list[Message] = field(default_factory=list)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        self.messages.append(
            Message(
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                content=envelope.content,
            )
        )
        return str(TAKEN)

    def session(self) -> SMTP:
        return SMTP(
            self,
            hostname=HOSTNAME,
            enable_SMTPUTF8=True,
            data_size_limit=MAX_SIZE,
            tls_context=self.context,
            loop=asyncio.get_running_loop(),
        )


@dataclass
class Server:
    """Either of the two."""

    address: tuple[str, int]
    client_context: ssl.SSLContext
    of: House | Plain
    clients: list[Client] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        if isinstance(self.of, Plain):
            return self.of.messages
        return [
            Message(sender=each.reverse_path, recipients=each.recipients, content=each.content)
            for each in self.of.accepted
        ]

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection(*self.address))
        self.clients.append(client)
        assert (await client.reply()).startswith("220 ")
        return client


@pytest.fixture(params=["relay", "aiosmtpd"])
async def server(
    request: pytest.FixtureRequest,
    open_house: OpenHouse,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> AsyncIterator[Server]:
    if request.param == "relay":
        house = await open_house(limits=InboundLimits(message_size=MAX_SIZE))
        endpoint = house.endpoint(ListenerKind.SMTP)
        listening, address = None, (endpoint.host, endpoint.port)
        found = Server(address=address, client_context=contexts[1], of=house)
    else:
        plain = Plain(contexts[0])
        listening = await asyncio.get_running_loop().create_server(plain.session, "127.0.0.1", 0)
        address = listening.sockets[0].getsockname()[:2]
        found = Server(address=address, client_context=contexts[1], of=plain)
    yield found
    for client in found.clients:
        await client.close()
    if listening is not None:
        listening.close()
        await listening.wait_closed()


async def codes(client: Client, count: int) -> list[str]:
    return [(await client.reply())[:3] for _ in range(count)]


GROUP = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n"


async def test_a_message(server: Server) -> None:
    client = await server.connect()
    await client.begin_message()
    assert await client.say(b"Subject: x\r\n\r\n..dot\r\n.\r\n") == str(TAKEN)
    assert (await client.say("QUIT")).startswith("221 ")
    assert server.messages == [
        Message(sender="a@b.test", recipients=("c@d.test",), content=b"Subject: x\r\n\r\n.dot\r\n")
    ]


async def test_groups_of_commands(server: Server) -> None:
    client = await server.connect()
    await client.say("EHLO client.test")
    await client.send(GROUP)
    assert await codes(client, 4) == ["250", "250", "250", "354"]
    await client.send(b"one\r\n.\r\n" + GROUP)
    assert await codes(client, 5) == ["250", "250", "250", "250", "354"]
    await client.send(b"two\r\n.\r\nNOOP\r\nRSET\r\nQUIT\r\n")
    assert await codes(client, 4) == ["250", "250", "250", "221"]
    assert [message.content for message in server.messages] == [b"one\r\n", b"two\r\n"]
    assert server.messages[0].recipients == ("c@d.test", "e@f.test")


async def test_a_group_octet_by_octet(server: Server) -> None:
    client = await server.connect()
    await client.say("EHLO client.test")
    for octet in GROUP + b".x\r\n\r\n.\r\n":
        await client.send(bytes([octet]))
    assert await codes(client, 5) == ["250", "250", "250", "354", "250"]
    assert server.messages[0].content == b"x\r\n\r\n"


ODD_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"]


@pytest.mark.parametrize("odd", ODD_ENDS, ids=repr)
async def test_only_one_sequence_ends_a_message(odd: bytes, server: Server) -> None:
    client = await server.connect()
    await client.begin_message()
    await client.send(b"one" + odd + GROUP + b"evil\r\n.\r\nVRFY x\r\n")
    await client.reply()
    assert await codes(client, 1) == ["252"]
    assert len(server.messages) <= 1


async def test_what_stands_behind_starttls_is_thrown_away(server: Server) -> None:
    client = await server.connect()
    await client.say("EHLO client.test")
    assert (await client.say(b"STARTTLS\r\n" + GROUP)).startswith("220 ")
    await client.secure(server.client_context)
    assert (await client.say("RCPT TO:<c@d.test>")).startswith("503 ")
    assert "STARTTLS" not in await client.say("EHLO client.test")
    await client.send(GROUP + b"text\r\n.\r\n")
    assert await codes(client, 5) == ["250", "250", "250", "354", "250"]
    assert len(server.messages) == 1


async def test_a_message_that_is_too_big(server: Server) -> None:
    client = await server.connect()
    await client.begin_message()
    assert (await client.say((b"x" * 70 + b"\r\n") * 300 + b".\r\n")).startswith("552 ")
    assert (await client.say(f"MAIL FROM:<a@b.test> SIZE={MAX_SIZE + 1}")).startswith("552 ")
    assert (await client.say("MAIL FROM:<a@b.test> SIZE=100")).startswith("250 ")
    assert server.messages == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("FOO", "500"),
        ("MAIL FROM:<a@b.test> X=Y", "555"),
        ("MAIL TO:<a@b.test>", "501"),
        ("RCPT TO:<c@d.test>", "503"),
        ("DATA", "503"),
        ("VRFY x", "252"),
        ("EXPN x", "502"),
        ("NOOP x", "250"),
        ("HELP", "2"),
        ("x" * 3000, "500"),
    ],
    ids=lambda value: value[:12],
)
async def test_replies(command: str, code: str, server: Server) -> None:
    client = await server.connect()
    await client.say("EHLO client.test")
    assert (await client.say(command)).startswith(code)
    assert (await client.say("NOOP")).startswith("250 ")


async def test_nothing_before_a_greeting(server: Server) -> None:
    client = await server.connect()
    assert (await client.say("MAIL FROM:<a@b.test>")).startswith("503 ")
    assert (await client.say("HELO client.test")).startswith("250 ")
    assert (await client.say("MAIL FROM:<a@b.test>")).startswith("250 ")
