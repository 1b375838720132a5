"""The family handshake before OpenSSL's own client, and before clients that can take part in it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lab_handshakes import verifying_context
from lab_legacy_client import deliver, signatures_unchecked
from lab_programs import s_client
from OpenSSL import crypto

from relay.core.routing import HostAddress
from relay.core.scenarios import Family
from relay.lab import availability
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab, ScenarioUnavailable
from relay.lab.recipes import shipped_recipes

# Typed by hand from OpenSSL's reasons. An exit code of None: it waits for ever.
OPENSSL = {
    # Some builds refuse by themselves what others would speak.
    "tls10-only": (1, ("alert protocol version", "legacy sigalg disallowed")),
    "tls11-only": (1, ("alert protocol version", "legacy sigalg disallowed")),
    "no-common-cipher": (1, ("sslv3 alert handshake failure",)),
    "null-cipher": (1, ("sslv3 alert handshake failure",)),
    "rc4-only": (1, ("tlsv1 alert insufficient security",)),
    "3des-only": (1, ("tlsv1 alert insufficient security",)),
    "weak-dh": (1, ("dh key too small",)),
    "handshake-silence": (None, ("",)),
    "handshake-slow": (None, ("",)),
    "handshake-drop": (1, ("unexpected eof while reading",)),
    # It names no reason for a reset.
    "handshake-reset": (1, ("",)),
    "alert-internal-error": (1, ("tlsv1 alert internal error",)),
    # Of TLS 1.2; that of 1.3 comes only once the client is through with its handshake.
    "requires-client-certificate": (1, ("sslv3 alert handshake failure",)),
    "sni-required": (0, ("Verification: OK",)),
    "sni-different-certificate": (0, ("Verification error: hostname mismatch",)),
    "ten-thousand-names": (1, ("excessive message size",)),
    "goto-fail": (1, ("bad signature",)),
}


def test_the_table_names_the_family() -> None:
    assert list(OPENSSL) == [n for n, card in SCENARIOS.items() if card.family is Family.HANDSHAKE]


@pytest.mark.judge("openssl")
@pytest.mark.parametrize("name", OPENSSL)
async def test_openssl_meets_what_is_meant(lab: Lab, authority: LabAuthority, name: str) -> None:
    code, words = OPENSSL[name]
    host = await lab.address(name)
    within = 1.0 if code is None else 20
    more = ("-tls1_2",) if name == "requires-client-certificate" else ()
    got, output = await s_client(host, authority, "-servername", host.name, *more, within=within)
    assert got == code, output
    assert any(word in output for word in words), output


@pytest.mark.judge("openssl")
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("sni-required", 1, "tlsv1 unrecognized name"),
        ("sni-different-certificate", 0, "Verification: OK"),
    ],
)
async def test_without_a_server_name_it_is_the_other_way_round(
    lab: Lab, authority: LabAuthority, name: str, code: int, words: str
) -> None:
    got, output = await s_client(await lab.address(name), authority, "-noservername")
    assert got == code
    assert words in output


async def client(host: HostAddress, context: ssl.SSLContext) -> aiosmtplib.SMTP:
    """Return a client behind its handshake; raise what ended that."""
    smtp = aiosmtplib.SMTP(
        hostname=host.address,
        port=host.port,
        start_tls=False,
        timeout=5,
        local_hostname="client.test",
    )
    await smtp.connect()
    await smtp.starttls(tls_context=context, server_hostname=host.name)
    return smtp


@pytest.mark.parametrize(
    ("name", "ciphers", "version", "suite"),
    [
        ("tls10-only", "DEFAULT", "TLSv1", "ECDHE-ECDSA-AES256-SHA"),
        ("tls11-only", "DEFAULT", "TLSv1.1", "ECDHE-ECDSA-AES256-SHA"),
        ("null-cipher", "eNULL", "TLSv1.2", "ECDHE-ECDSA-NULL-SHA"),
        ("weak-dh", "DEFAULT", "TLSv1.2", "DHE-RSA-AES256-GCM-SHA384"),
    ],
)
async def test_a_client_that_allows_it_is_served(
    lab: Lab, authority: LabAuthority, name: str, ciphers: str, version: str, suite: str
) -> None:
    context = verifying_context(authority.root_pem)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    smtp = await client(await lab.address(name), context)
    await smtp.quit()
    await lab.wait_until_idle(name)
    (session,) = lab.received(name)
    assert (session.tls_version, session.cipher) == (version, suite)


async def test_only_a_client_with_a_certificate_gets_through(
    lab: Lab, authority: LabAuthority, tmp_path: Path
) -> None:
    host = await lab.address("requires-client-certificate")
    context = verifying_context(authority.root_pem)
    smtp = await client(host, context)
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await smtp.ehlo()
    # The recipe of a certificate for clients, which is a fault in a server's hands.
    issued = authority.issue(shipped_recipes()["wrong-purpose"], "client.test", "127.0.0.1")
    path = tmp_path / "client.pem"
    path.write_bytes(issued.key_pem + issued.chain_pem)
    context = verifying_context(authority.root_pem)
    context.load_cert_chain(path)
    smtp = await client(host, context)
    assert (await smtp.ehlo()).code == 250
    await smtp.quit()


async def test_a_slow_handshake_trickles(lab: Lab) -> None:
    host = await lab.address("handshake-slow")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    await reader.readline()
    to_host = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), to_host, server_hostname="a.test")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    writer.write(to_host.read())
    # The header of a TLS record: handshake, and the version.
    assert [await reader.read(1000) for _ in range(3)] == [b"\x16", b"\x03", b"\x03"]
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_a_reset_is_a_reset(lab: Lab) -> None:
    host = await lab.address("handshake-reset")

    def meet() -> None:
        with socket.create_connection((host.address, host.port), timeout=5) as sock:
            sock.recv(1000)
            sock.sendall(b"STARTTLS\r\n")
            sock.recv(1000)
            sock.sendall(b"\x16\x03\x01\x00\x02hi")
            with pytest.raises(ConnectionResetError):
                sock.recv(1000)

    await asyncio.to_thread(meet)


def test_ten_thousand_names_are_more_than_openssl_reads(authority: LabAuthority) -> None:
    issued = authority.issue(
        shipped_recipes()["ten-thousand-names"], SCENARIOS["ten-thousand-names"].host, "127.0.0.1"
    )
    leaf = x509.load_pem_x509_certificates(issued.chain_pem)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == 10_000
    assert len(leaf.public_bytes(Encoding.DER)) > 100 * 1024


@pytest.mark.parametrize(("name", "cipher"), [("rc4-only", "rc4"), ("3des-only", "3des")])
async def test_a_client_with_the_old_cipher_delivers(lab: Lab, name: str, cipher: str) -> None:
    host = await lab.address(name)
    done = await asyncio.to_thread(deliver, host, cipher)
    assert done.cipher == cipher
    (message,) = lab.messages(name)
    assert message.encrypted
    assert message.content == b"Subject: x\r\n\r\nx\r\n"
    await lab.wait_until_idle(name)
    (session,) = lab.received(name)
    assert session.tls_version == "TLSv1.2"
    assert session.commands[-1] == "QUIT"


async def test_goto_fail_is_refused_even_by_who_verifies_nothing(lab: Lab) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError) as caught:
        await client(await lab.address("goto-fail"), context)
    assert caught.value.reason == "BAD_SIGNATURE"
    assert lab.messages("goto-fail") == ()


async def test_goto_fail_takes_in_a_client_that_checks_all_but_the_signature(
    lab: Lab, authority: LabAuthority
) -> None:
    host = await lab.address("goto-fail")
    with pytest.raises(Exception, match="decrypt_error"):
        await asyncio.to_thread(deliver, host)
    assert lab.messages("goto-fail") == ()
    with signatures_unchecked():
        done = await asyncio.to_thread(deliver, host)
    assert len(lab.messages("goto-fail")) == 1
    leaf, *above = (crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in done.chain)
    store = crypto.X509Store()
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, authority.root_pem))
    # Chain and dates, now.
    crypto.X509StoreContext(store, leaf, above).verify_certificate()
    names = leaf.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [host.name]


@pytest.mark.parametrize("name", ["rc4-only", "3des-only", "goto-fail"])
async def test_without_the_optional_library_they_are_unavailable_and_say_so(
    authority: LabAuthority, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda _: None)
    async with Lab(authority, now=lambda: datetime.now(UTC)) as lab:
        with pytest.raises(ScenarioUnavailable, match=rf"{name} needs the library tlslite-ng"):
            await lab.address(name)
