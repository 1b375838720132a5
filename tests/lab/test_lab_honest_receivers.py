"""What is special about each honest receiver, seen by clients that are not ours."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from lab_handshakes import verifying_context
from lab_programs import run

from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.recipes import shipped_recipes


async def encrypted(
    host: HostAddress, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which TLS stands, by STARTTLS."""
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    assert (await reader.readline()).startswith(b"220")
    try:
        await writer.start_tls(context, server_hostname=host.name)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("name", "spoken", "refused"),
    [
        ("tls12", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("tls13", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2),
    ],
)
async def test_one_version_alone(
    lab: Lab,
    authority: LabAuthority,
    name: str,
    spoken: ssl.TLSVersion,
    refused: ssl.TLSVersion,
) -> None:
    host = await lab.address(name)
    _, writer = await encrypted(host, verifying_context(authority.root_pem))
    assert writer.get_extra_info("ssl_object").version() == spoken.name.replace("_", ".")
    await leave(writer)
    context = verifying_context(authority.root_pem)
    context.minimum_version = context.maximum_version = refused
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await encrypted(host, context)


@pytest.mark.parametrize(("name", "kind"), [("rsa", "RSA"), ("ecdsa", "ECDSA"), ("good", "ECDSA")])
async def test_the_kind_of_the_key(lab: Lab, authority: LabAuthority, name: str, kind: str) -> None:
    context = verifying_context(authority.root_pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await encrypted(await lab.address(name), context)
    cipher = writer.get_extra_info("cipher")[0]
    assert f"-{kind}-" in cipher
    await leave(writer)


async def test_implicit_tls_speaks_no_word_in_clear(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("implicit-tls")
    assert host.mode is TlsMode.IMPLICIT
    reader, writer = await asyncio.open_connection(
        host.address,
        host.port,
        ssl=verifying_context(authority.root_pem),
        server_hostname=host.name,
    )
    assert (await reader.readline()).startswith(b"220 mx.implicit-tls.lab.test")
    writer.write(b"EHLO me\r\n")
    lines = [await reader.readline()]
    while lines[-1][3:4] == b"-":
        lines.append(await reader.readline())
    assert not any(b"STARTTLS" in line for line in lines)
    writer.write(b"MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nsafe\r\n.\r\nQUIT\r\n")
    while not (await reader.readline()).startswith(b"221"):
        pass
    await leave(writer)
    (message,) = lab.messages("implicit-tls")
    assert message.encrypted
    lab.reset()
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"EHLO me\r\n")
    # What comes back, if anything, is a TLS alert.
    assert not (await reader.read()).startswith(b"220")
    await leave(writer)
    await lab.wait_until_idle("implicit-tls")
    assert all(not session.commands for session in lab.received("implicit-tls"))


@pytest.mark.parametrize("recipe", [None, "wrong-purpose"])
async def test_a_client_certificate_is_wanted_not_needed(
    lab: Lab, authority: LabAuthority, tmp_path: Path, recipe: str | None
) -> None:
    host = await lab.address("wants-client-certificate")
    context = verifying_context(authority.root_pem)
    if recipe is not None:
        issued = authority.issue(shipped_recipes()[recipe], "client.lab.test")
        (tmp_path / "client.pem").write_bytes(issued.key_pem + issued.chain_pem)
        context.load_cert_chain(tmp_path / "client.pem")
    reader, writer = await encrypted(host, context)
    writer.write(b"NOOP\r\n")
    assert (await reader.readline()).startswith(b"250")
    await leave(writer)


@pytest.mark.judge("openssl")
@pytest.mark.parametrize(("name", "asked"), [("good", False), ("wants-client-certificate", True)])
async def test_openssl_is_asked_for_a_certificate(lab: Lab, name: str, asked: bool) -> None:
    host = await lab.address(name)
    where = f"{host.address}:{host.port}"
    code, output = await run("openssl", "s_client", "-starttls", "smtp", "-connect", where)
    assert code is not None
    assert ("Requested Signature Algorithms" in output) is asked


async def test_a_host_without_a_name(lab: Lab, authority: LabAuthority) -> None:
    for name in ("ip-address-name", "ip-address-host"):
        host = await lab.address(name)
        assert host.name == host.address == "127.0.0.1"
    host = await lab.address("ip-address-name")
    _, writer = await encrypted(host, verifying_context(authority.root_pem))
    assert ("IP Address", "127.0.0.1") in writer.get_extra_info("peercert")["subjectAltName"]
    await leave(writer)
