"""The family starttls before swaks, and what each of its receivers really puts on the wire."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest
from lab_handshakes import verifying_context
from lab_programs import s_client, swaks

from relay.core.routing import HostAddress
from relay.core.scenarios import Family
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab

# Typed by hand from swaks's manual: 29, TLS was asked for and did not come about; 6, the host hung
# up; 25, DATA was refused; 0, delivered. What can't be told from its words says why in a comment.
SWAKS = {
    "no-starttls": (29, "Host did not advertise STARTTLS"),
    "starttls-stripped": (29, "Host did not advertise STARTTLS"),
    "ehlo-refused": (29, "502 5.5.1 Command not implemented"),
    "starttls-refused": (29, "454 4.7.0"),
    "starttls-rejected": (29, "554 5.7.3"),
    "starttls-421": (29, "421 4.3.0"),
    "starttls-close": (6, "Remote host closed connection unexpectedly"),
    "starttls-silence": (29, "Timeout (1 secs) waiting for server response"),
    # It waits for a line that begins with a code.
    "starttls-garbage": (29, "Timeout (1 secs) waiting for server response"),
    # It dies of a closed connection, without a word.
    "starttls-then-close": (None, ""),
    "starttls-plaintext": (29, "wrong version number"),
    # It falls for it: from EHLO on it takes each reply for that to the next command.
    "starttls-injection": (25, ""),
    # It does not look.
    "starttls-offered-again": (0, "STARTTLS"),
}


def test_the_table_names_the_family() -> None:
    assert list(SWAKS) == [n for n, card in SCENARIOS.items() if card.family is Family.STARTTLS]


@pytest.mark.judge("swaks")
@pytest.mark.parametrize("name", SWAKS)
async def test_swaks_with_tls_required(lab: Lab, name: str) -> None:
    code, words = SWAKS[name]
    got, output = await swaks(await lab.address(name), f"x@{name}.lab.test", "--tls")
    assert got == code or (code is None and got)
    assert words in output
    assert bool(lab.messages(name)) is (got == 0)


@pytest.mark.judge("swaks")
@pytest.mark.parametrize(
    "name", [name for name in SWAKS if name not in {"starttls-injection", "starttls-offered-again"}]
)
async def test_clear_text_is_taken_by_all_of_them(lab: Lab, name: str) -> None:
    got, output = await swaks(await lab.address(name), f"x@{name}.lab.test")
    assert got == 0, output
    (message,) = lab.messages(name)
    assert not message.encrypted


async def raw_starttls(host: HostAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Say STARTTLS and return before anything of the answer is read."""
    reader, writer = await asyncio.open_connection(host.address, host.port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.write(b"STARTTLS\r\n")
    return reader, writer


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("starttls-421", b"421 4.3.0 Error in TLS, closing\r\n"),
        ("starttls-close", b""),
        ("starttls-then-close", b"220 2.0.0 Ready to start TLS\r\n"),
    ],
)
async def test_octets_up_to_the_end_of_the_connection(lab: Lab, name: str, octets: bytes) -> None:
    reader, writer = await raw_starttls(await lab.address(name))
    assert await reader.read() == octets
    await ended(writer)


async def test_garbage_is_no_reply(lab: Lab) -> None:
    reader, writer = await raw_starttls(await lab.address("starttls-garbage"))
    line = await reader.readline()
    assert not line[:3].isdigit()
    await ended(writer)


async def test_an_injection_comes_ahead_of_the_handshake_and_tls_is_honest(
    lab: Lab, authority: LabAuthority
) -> None:
    host = await lab.address("starttls-injection")
    reader, writer = await raw_starttls(host)
    assert await reader.readline() == b"220 2.0.0 Ready to start TLS\r\n"
    # Nothing of a ClientHello has been sent yet.
    assert await reader.readline() == b"250 2.0.0 Ok\r\n"
    await writer.start_tls(verifying_context(authority.root_pem), server_hostname=host.name)
    writer.write(b"EHLO client.test\r\n")
    assert await reader.readline() == b"250-mx.starttls-injection.lab.test\r\n"
    await ended(writer)
    await lab.wait_until_idle("starttls-injection")
    (session,) = lab.received("starttls-injection")
    assert any("injected 14 octets" in line.text for line in session.transcript)


@pytest.mark.judge("openssl")
@pytest.mark.parametrize("name", ["starttls-injection", "starttls-offered-again"])
async def test_openssl_is_content_with_their_tls(
    lab: Lab, authority: LabAuthority, name: str
) -> None:
    code, output = await s_client(await lab.address(name), authority, "-verify_return_error")
    assert code == 0
    assert "Verification: OK" in output


async def test_what_is_offered_again_is_refused(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("starttls-offered-again")
    reader, writer = await raw_starttls(host)
    assert (await reader.readline()).startswith(b"220 ")
    await writer.start_tls(verifying_context(authority.root_pem), server_hostname=host.name)
    writer.write(b"EHLO client.test\r\nSTARTTLS\r\n")
    lines = []
    while not (line := await reader.readline()).startswith(b"503 "):
        lines.append(line)
    assert b"250 STARTTLS\r\n" in lines
    await ended(writer)


async def test_a_refused_ehlo_leaves_helo(lab: Lab) -> None:
    host = await lab.address("ehlo-refused")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"EHLO a.test\r\nHELO a.test\r\nMAIL FROM:<a@b.test>\r\nQUIT\r\n")
    replies = (await reader.read()).splitlines()
    assert [reply[:4] for reply in replies] == [b"220 ", b"502 ", b"250 ", b"250 ", b"221 "]
    await ended(writer)


async def test_plain_text_comes_where_tls_should(lab: Lab) -> None:
    reader, writer = await raw_starttls(await lab.address("starttls-plaintext"))
    await reader.readline()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError) as caught:
        await writer.start_tls(context, server_hostname="mx.starttls-plaintext.lab.test")
    assert caught.value.reason == "WRONG_VERSION_NUMBER"
    await ended(writer)
