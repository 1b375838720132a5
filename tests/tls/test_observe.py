"""What comes out of real handshakes, through aiosmtplib and bare, becomes the right evidence."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosmtplib
import pytest
from tls_authority import (
    HOST,
    Recipe,
    handshake,
    issue,
    rsa_key,
    server_context,
    speak_only,
)
from tls_cases import EXPIRED, WORLD

from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem
from relay.core.settings import TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.tls.contexts import ClientContexts
from relay.tls.observe import observe_done, observe_failed
from relay.tls.peer_chain import ChainKeepingObject, peer_chain
from relay.tls.trust import TrustStores

P = HandshakeProblem
CONTEXTS = ClientContexts(TrustStores(WORLD.root.pem.encode))
VERIFYING = CONTEXTS.context(TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY))
ACCEPTING = CONTEXTS.context(TlsPolicy.for_setting(TlsSetting.REQUIRED))
GOOD = issue(Recipe(), WORLD.root)
GOOD_RSA = issue(Recipe(key=rsa_key(2048)), WORLD.root)
CHAINED = issue(EXPIRED, WORLD.intermediate)

# Diffie-Hellman over 1024 bits: the second Oakley group (RFC 2409 section 6.2).
SMALL_GROUP = """\
-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(script: Script, *, implicit: bool) -> AsyncIterator[int]:
    """Serve one session: up to the 220 to STARTTLS, unless implicit; then the script."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not implicit:
            writer.write(b"220 peer.test\r\n")
            await reader.readline()
            writer.write(b"250-peer.test\r\n250 STARTTLS\r\n")
            await reader.readline()
            writer.write(b"220 go ahead\r\n")
        try:
            await script(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def tls(context: ssl.SSLContext) -> Script:
    """A TLS server by hand, which flushes its alerts (asyncio's own does not)."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            refused = False
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                refused = True
            else:
                writer.write(outgoing.read())
                return
            writer.write(outgoing.read())
            await writer.drain()
            # A refusal, too, waits for the client: closing at once could overtake the alert.
            octets = await reader.read(65536)
            if refused or not octets:
                return
            incoming.write(octets)

    return script


async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def close_after_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"250 what was that, please?\r\n")
    await reader.read()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def observe(
    script: Script, context: ssl.SSLContext, *, implicit: bool, patience: float = 20
) -> tuple[HandshakeDone | HandshakeFailed, tuple[str, ...]]:
    async with peer(script, implicit=implicit) as port:
        if implicit:
            connected = socket.create_connection(("127.0.0.1", port))
            connected.setblocking(False)
            client = aiosmtplib.SMTP(
                hostname=HOST,
                sock=connected,
                use_tls=True,
                tls_context=context,
                timeout=patience,
                local_hostname="client.test",
            )
        else:
            client = aiosmtplib.SMTP(
                hostname="127.0.0.1",
                port=port,
                start_tls=False,
                tls_context=context,
                timeout=patience,
                local_hostname="client.test",
            )
        try:
            await client.connect()
            if not implicit:
                await client.ehlo()
                await client.starttls(server_hostname=HOST)
            return observe_done(client.get_transport_info("ssl_object"))
        except (aiosmtplib.SMTPException, ssl.SSLError) as error:
            return observe_failed(error)
        finally:
            client.close()
            if implicit:
                connected.close()


def with_version(version: TlsVersion) -> ssl.SSLContext:
    context = server_context(GOOD)
    speak_only(context, version)
    return context


def without_common_cipher() -> ssl.SSLContext:
    context = server_context(GOOD_RSA)
    speak_only(context, TlsVersion.TLS1_2)
    context.set_ciphers("NULL-SHA256:@SECLEVEL=0")
    return context


def with_small_group() -> ssl.SSLContext:
    context = server_context(GOOD_RSA)
    speak_only(context, TlsVersion.TLS1_2)
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    with TemporaryDirectory() as directory:
        path = Path(directory, "group.pem")
        path.write_text(SMALL_GROUP)
        context.load_dh_params(path)
    return context


def wanting_client_certificate(version: TlsVersion) -> ssl.SSLContext:
    context = with_version(version)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


ROWS: list[tuple[str, Script, HandshakeProblem]] = [
    ("close", close, P.CLOSED),
    ("close after hello", close_after_hello, P.CLOSED),
    ("reset", reset, P.CLOSED),
    ("plain text", plain_text, P.NOT_TLS),
    ("TLS 1.1 only", tls(with_version(TlsVersion.TLS1_1)), P.PROTOCOL_VERSION),
    ("no shared cipher", tls(without_common_cipher()), P.NO_SHARED_CIPHER),
    ("small group", tls(with_small_group()), P.WEAK_PARAMETERS),
    ("client certificate", tls(wanting_client_certificate(TlsVersion.TLS1_2)), P.ALERT),
]


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("context", [VERIFYING, ACCEPTING], ids=["verifying", "accepting"])
@pytest.mark.parametrize(("script", "problem"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
async def test_each_way_to_fail(
    script: Script, problem: HandshakeProblem, context: ssl.SSLContext, implicit: bool
) -> None:
    if script is close and implicit:
        script = close_after_hello
    handshake_result, _ = await observe(script, context, implicit=implicit)
    assert isinstance(handshake_result, HandshakeFailed)
    assert handshake_result.problem is problem, handshake_result
    assert handshake_result.verify_code is None
    assert handshake_result.detail


async def test_a_silent_host_is_a_timeout() -> None:
    handshake_result, _ = await observe(silence, VERIFYING, implicit=False, patience=0.1)
    assert isinstance(handshake_result, HandshakeFailed)
    assert handshake_result.problem is P.TIMEOUT


async def test_a_silent_host_with_implicit_tls_is_a_timeout() -> None:
    handshake_result, _ = await observe(silence, VERIFYING, implicit=True, patience=0.1)
    assert isinstance(handshake_result, HandshakeFailed)
    assert handshake_result.problem is P.TIMEOUT


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("version", [TlsVersion.TLS1_2, TlsVersion.TLS1_3])
async def test_a_refused_certificate_keeps_its_chain(version: TlsVersion, implicit: bool) -> None:
    server = server_context(CHAINED, [WORLD.intermediate])
    speak_only(server, version)
    result, chain = await observe(tls(server), VERIFYING, implicit=implicit)
    assert isinstance(result, HandshakeFailed)
    assert result.problem is P.CERTIFICATE_REFUSED
    assert result.verify_code == 10
    assert chain == (CHAINED.pem, WORLD.intermediate.pem)


async def test_an_accepted_certificate_keeps_its_chain() -> None:
    server = server_context(CHAINED, [WORLD.intermediate])
    done, chain = await observe(tls(server), ACCEPTING, implicit=False)
    assert done == HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
    assert chain == (CHAINED.pem, WORLD.intermediate.pem)


def test_a_forged_key_exchange_is_a_bad_signature() -> None:
    server = server_context(GOOD_RSA)
    speak_only(server, TlsVersion.TLS1_2)
    for context in (VERIFYING, ACCEPTING):
        with pytest.raises(ssl.SSLError) as raised:
            handshake(context, server, on_the_way=with_forged_key_exchange)
        failed, chain = observe_failed(raised.value)
        assert failed.problem is P.BAD_SIGNATURE, failed
        assert chain == (GOOD_RSA.pem,)


def with_forged_key_exchange(octets: bytes) -> bytes:
    """Change the last octet of a ServerKeyExchange (RFC 5246: record 22, message 12)."""
    changed, at = bytearray(octets), 0
    while at < len(octets):
        length = int.from_bytes(octets[at + 3 : at + 5])
        if octets[at] == 22 and octets[at + 5] == 12:
            changed[at + 5 + length - 1] ^= 1
        at += 5 + length
    return bytes(changed)


async def test_a_demand_for_a_client_certificate_after_the_handshake_is_an_alert() -> None:
    """With TLS 1.3 it shows on the first read after the client's side is done."""
    server = wanting_client_certificate(TlsVersion.TLS1_3)
    async with peer(tls(server), implicit=True) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=ACCEPTING, server_hostname=HOST
        )
        with pytest.raises(ssl.SSLError) as raised:
            await reader.read()
        writer.transport.abort()
    failed, _ = observe_failed(raised.value)
    assert failed.problem is P.ALERT
    assert "certificate required" in failed.detail


def wrapped(cause: BaseException) -> BaseException:
    error = aiosmtplib.SMTPServerDisconnected("Connection lost")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ConnectionAbortedError("SSL handshake is taking longer than 1 seconds"), P.TIMEOUT),
        (ConnectionAbortedError(errno.ECONNABORTED, "aborted"), P.CLOSED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), P.CLOSED),
        (wrapped(ConnectionResetError()), P.CLOSED),
        (wrapped(ssl.SSLZeroReturnError()), P.CLOSED),
        (BrokenPipeError(errno.EPIPE, "pipe"), P.CLOSED),
        (EOFError(), P.CLOSED),
        (TimeoutError(), P.TIMEOUT),
        (ssl.SSLError(), P.OTHER),
        (ssl.SSLCertVerificationError(), P.CERTIFICATE_REFUSED),
        (RuntimeError("secret"), P.OTHER),
    ],
)
def test_any_exception_has_an_answer(error: BaseException, problem: HandshakeProblem) -> None:
    failed, chain = observe_failed(error)
    assert failed.problem is problem
    assert chain == ()
    assert "secret" not in failed.detail


def test_a_circle_of_causes_ends() -> None:
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert observe_failed(first)[0].problem is P.OTHER


class Older(ChainKeepingObject):
    """An SSL object of an interpreter without any way to the chain."""

    def __getattribute__(self, name: str) -> object:
        if name in {"get_unverified_chain", "_sslobj"}:
            raise AttributeError(name)
        if name == "getpeercert":
            return lambda binary_form=False: ssl.PEM_cert_to_DER_cert(GOOD.pem)
        return super().__getattribute__(name)


def test_without_a_way_to_the_chain_the_leaf_remains() -> None:
    assert peer_chain(object.__new__(Older)) == (GOOD.pem,)


def test_before_a_handshake_there_is_no_chain() -> None:
    unused = ACCEPTING.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST)
    assert peer_chain(unused) == ()
