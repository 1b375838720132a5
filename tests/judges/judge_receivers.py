"""The receivers of the agreement: what each one does wrong, by the name in `agreement.txt`.

Certificates are those of tests/tls, dialogs are played by the scripted peer of tests/outbound.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import tls_cases as certificate
from cryptography import x509
from outbound_peer import EVERYTHING, Conversation, Do, Peer, Step
from tls_authority import HOST, Recipe, issue, server_context
from tls_cases import HONEST, WORLD, Shown

from relay.core.settings import TlsSetting

Cell = tuple[str, TlsSetting]
"""A receiver by its name, and the setting under which mail is sent to it."""

GO_AHEAD = b"220 2.0.0 go ahead\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What a receiver does, and how a policy speaks of it.

    `peer` makes it; None for one that does not listen. `host` is its name in a route; `rule` holds
    further keys of the rule for it, `crls` the revocation lists that the rule names.
    """

    what: str
    peer: Callable[[], Peer] | None
    host: str = HOST
    rule: Mapping[str, str] = field(default_factory=dict)
    crls: Sequence[str] = ()


class PlainAnswer(Peer):
    """Answers the first octet of a handshake with a line of clear text."""

    async def _perform(
        self,
        step: Step,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
    ) -> bool:
        if step is Do.TLS:
            conversation.octets += await reader.read(1)
            writer.write(b"500 5.5.1 what is this?\r\n")
            step = Do.CLOSE
        return await super()._perform(step, reader, writer, conversation)


class ResetsHandshake(Peer):
    """Resets the connection where it is not satisfied with the client's part of the handshake."""

    async def _perform(
        self,
        step: Step,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
    ) -> bool:
        if step is Do.TLS:
            # Closing a socket that lingers for no time resets the connection.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return await super()._perform(step, reader, writer, conversation)


def shows(what: str, show: Callable[[], Shown], **rest: str) -> Receiver:
    """A receiver whose certificate is the point."""

    def peer() -> Peer:
        shown = show()
        return Peer(context=server_context(shown.leaf, shown.above))

    return Receiver(what=what, peer=peer, rule=rest)


def revokes(what: str, show: Callable[[], Shown]) -> Receiver:
    """A receiver whose certificate is looked for in revocation lists."""
    shown = show()
    made = shows(what, lambda: shown)
    return replace(made, crls=shown.crls)


def from_root(recipe: Recipe) -> Callable[[], Shown]:
    return lambda: Shown(leaf=issue(recipe, WORLD.root))


def does(what: str, **answers: Step) -> Receiver:
    """A receiver with an honest certificate whose dialog is the point."""
    return Receiver(what=what, peer=lambda: Peer(context=honest(), answers=answers), rule={})


def honest() -> ssl.SSLContext:
    return server_context(issue(HONEST, WORLD.root))


def speaks(
    what: str, change: Callable[[ssl.SSLContext], None], *, kind: type[Peer] = Peer, **rest: str
) -> Receiver:
    """A receiver with an honest certificate whose TLS is the point."""

    def peer() -> Peer:
        context = honest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            change(context)
        return kind(context=context)

    return Receiver(what=what, peer=peer, rule=rest)


def up_to_tls11(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1


def up_to_tls12(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def only(ciphers: str) -> Callable[[ssl.SSLContext], None]:
    def change(context: ssl.SSLContext) -> None:
        up_to_tls12(context)
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")

    return change


def wants_client_certificate(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=WORLD.root.pem)


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
UNDER_ITS_ADDRESS = "127.0.0.1"

RECEIVERS: Mapping[str, Receiver] = {
    # Certificates.
    "ok": shows("good certificate", from_root(HONEST)),
    "expired": shows("certificate expired", from_root(certificate.EXPIRED)),
    "notyet": shows("certificate not yet valid", certificate.not_yet_valid),
    "wronghost": shows("certificate for another host", certificate.wrong_host),
    "expired-wronghost": shows(
        "certificate expired, and for another host", certificate.wrong_host_and_expired
    ),
    "untrusted": shows("issued by an unknown root", certificate.untrusted_root_not_sent),
    "untrusted-withroot": shows(
        "issued by an unknown root, which is sent", certificate.untrusted_root_sent
    ),
    "selfsigned": shows("self-signed certificate", certificate.self_signed),
    "missinginter": shows("intermediate not sent", certificate.missing_intermediate),
    "expiredinter": shows("intermediate expired", certificate.expired_intermediate),
    "badsig": shows("signature does not fit the issuer's key", certificate.bad_signature),
    "nameconstraint": shows(
        "issuer is limited to other names", certificate.outside_permitted_names
    ),
    "eku-client": shows("certificate for clients only", certificate.for_clients_only),
    "weak1024": shows("RSA key of 1024 bits", certificate.weak_key),
    "cnonly": shows("right common name, no alternative names", from_root(Recipe(dns=()))),
    "wild-ok": shows("name is `*.partner.test`", from_root(Recipe(dns=("*.partner.test",)))),
    "wild-deep": shows("name is `*.test`", from_root(Recipe(dns=("*.test",)))),
    "wild-two": shows("name is `*.b.partner.test`", from_root(Recipe(dns=("*.b.partner.test",)))),
    "wild-partial": shows("name is `m*.partner.test`", from_root(Recipe(dns=("m*.partner.test",)))),
    # TLS.
    "tls11only": speaks("TLS 1.0 and 1.1 only", up_to_tls11),
    "cipher-camellia": speaks("Camellia and ARIA ciphers only", only("CAMELLIA:ARIA")),
    "needclientcert13": speaks(
        "demands a client certificate, and resets without", wants_client_certificate,
        kind=ResetsHandshake,
    ),
    "needclientcert13-closes": speaks(
        "demands a client certificate, and closes without", wants_client_certificate
    ),
    # Dialogs.
    "m-noadv": Receiver(
        what="STARTTLS not offered",
        peer=lambda: Peer(extensions=[word for word in EVERYTHING if word != "STARTTLS"]),
    ),
    "m-454": does("STARTTLS answered 454", STARTTLS=b"454 4.7.0 TLS not available\r\n"),
    "m-502": does("STARTTLS answered 502", STARTTLS=b"502 5.5.1 not implemented\r\n"),
    "m-554": does("STARTTLS answered 554", STARTTLS=b"554 5.7.3 no security subsystem\r\n"),
    "m-421": does(
        "STARTTLS answered 421, then closed", STARTTLS=(b"421 4.3.2 closing\r\n", Do.CLOSE)
    ),
    "m-close": does("closed behind the go-ahead", STARTTLS=(GO_AHEAD, Do.CLOSE)),
    "m-rst": does("reset behind the go-ahead", STARTTLS=(GO_AHEAD, Do.RESET)),
    "m-hang": does("silent behind the go-ahead", STARTTLS=(GO_AHEAD, Do.SILENT)),
    "m-plain": Receiver(what="clear text instead of a handshake", peer=PlainAnswer),
    "m-inject": does(
        "clear text behind the go-ahead, then an honest handshake",
        STARTTLS=(GO_AHEAD + b"250-injected.test\r\n250 AUTH PLAIN\r\n", Do.TLS),
    ),
    "m-connclose": Receiver(what="closed before the greeting", peer=lambda: Peer(banner=Do.CLOSE)),
    "m-refused": Receiver(what="nothing listens", peer=None),
    "m-rcpt550": does("recipient refused with 550 5.1.1", RCPT=b"550 5.1.1 unknown\r\n"),
    # Those that Python's ssl alone was asked about.
    "expired-unverified": shows("certificate expired", from_root(certificate.EXPIRED)),
    "interok": shows("issued by an intermediate, also sent", certificate.good_from_intermediate),
    "ok-strict": shows("good certificate; strict checks asked for", from_root(HONEST)),
    "noaki": shows(
        "no authority key identifier", from_root(Recipe(names_issuer_key=False))
    ),
    "noaki-strict": shows(
        "no authority key identifier; strict checks asked for",
        from_root(Recipe(names_issuer_key=False)),
    ),
    "eku-none": shows("no extended key usage", certificate.good_without_extended_usage),
    "cnonly-san-only": shows(
        "right common name, no alternative names", from_root(Recipe(dns=()))
    ),
    "nosan-othercn": shows(
        "another common name, no alternative names", from_root(Recipe(subject="nobody", dns=()))
    ),
    "selfsigned-expired": shows(
        "self-signed and expired certificate", certificate.self_signed_and_expired
    ),
    "leaf-as-ca": shows("issued by a certificate of no authority", certificate.issued_by_a_leaf),
    "pathlen": shows("chain longer than an authority allows", certificate.path_too_long),
    "sha1leaf": shows("certificate signed with SHA-1", certificate.sha1_signature),
    "host-upper": replace(
        shows("good certificate; the route writes the host in capitals", from_root(HONEST)),
        host=HOST.upper(),
    ),
    "host-trailing-dot": replace(
        shows("good certificate; the route writes the host with a dot at its end",
        from_root(HONEST)),
        host=f"{HOST}.",
    ),
    "ok-by-address": replace(
        shows("good certificate; the route has the address", from_root(HONEST)),
        host=UNDER_ITS_ADDRESS,
    ),
    "no-name-given": replace(
        shows("good certificate; nothing but the address is known", from_root(HONEST)),
        host=UNDER_ITS_ADDRESS,
    ),
    "ipsan": replace(
        shows("bears the address; the route has it too",
        from_root(Recipe(dns=(), other_names=(LOOPBACK,)))),
        host=UNDER_ITS_ADDRESS,
    ),
    "ipdns": replace(
        shows("bears the address as a DNS name", from_root(Recipe(dns=(UNDER_ITS_ADDRESS,)))),
        host=UNDER_ITS_ADDRESS,
    ),
    "revoked": revokes("certificate revoked", certificate.revoked),
    "crl-none": revokes("no revocation list of its issuer", certificate.no_list_of_this_issuer),
    "crl-stale": revokes("revocation list out of date", certificate.stale_list),
    "srv-1.1-cli-1.2": speaks("TLS 1.1 at most; TLS 1.2 wanted", up_to_tls11),
    "srv-1.2-cli-1.3": speaks("TLS 1.2 at most; TLS 1.3 wanted", up_to_tls12, minimum_tls="1.3"),
    "no-shared-cipher": speaks("no cipher in common", only("ECDHE-ECDSA-AES128-CCM8")),
    "m-closebefore": does("closed on STARTTLS", STARTTLS=Do.CLOSE),
}  # fmt: skip
"""Names and certificates as in the runs that were measured, but for mx.partner.test."""


@contextlib.asynccontextmanager
async def receivers(cells: Iterable[Cell]) -> AsyncIterator[dict[Cell, Peer | None]]:
    """Start a receiver of its own for each case and setting; None where nothing is to listen."""
    async with contextlib.AsyncExitStack() as stack:
        peers: dict[Cell, Peer | None] = {}
        for cell in cells:
            make = RECEIVERS[cell[0]].peer
            peers[cell] = await stack.enter_async_context(make().running()) if make else None
        yield peers


def domain(number: int) -> str:
    """Return the mail domain of a cell, by its place."""
    return f"cell{number}.test"


def arrived(peer: Peer, mark: str) -> str:
    """Return how this message arrived, by what the receiver has."""
    found = [
        "tls" if conversation.tls else "clear"
        for conversation in peer.conversations
        for message in conversation.messages
        if f"<{mark}@".encode() in message
    ]
    assert len(found) < 2, "delivered twice"
    return found[0] if found else "not"
