"""`relay lab serve --cert`: the user's own certificate, and what is wrong with it.

Only the standard library and light modules at import time.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli.console import fail

if TYPE_CHECKING:
    from relay.core.faults import TlsFault
    from relay.core.jsonform import Json
    from relay.core.routing import HostAddress
    from relay.lab.authority import LabAuthority
    from relay.lab.lab import Lab
    from relay.lab.own_certificate import OwnCertificate

OwnCertOption = Annotated[
    Path | None,
    typer.Option(
        "--cert",
        metavar="FILE",
        help="A certificate of yours, shown by one more receiver: own.lab.test.",
        show_default=False,
    ),
]
OwnKeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Key of --cert.", show_default=False)
]
OwnChainOption = Annotated[
    Path | None,
    typer.Option(
        "--chain", metavar="FILE", help="Certificates sent after --cert.", show_default=False
    ),
]

NAME: Final = "own"
_WIDTH: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnReceiver:
    """The receiver that shows it, and its faults by the lab's root and this machine's roots."""

    mail_domain: str
    host: str
    where: HostAddress
    sent: int
    faults: tuple[TlsFault, ...]

    @property
    def records(self) -> Mapping[str, tuple[str, ...]]:
        """What the lab's zone has for it."""
        kind = "AAAA" if ":" in self.where.address else "A"
        return {
            self.mail_domain: (f"MX 10 {self.host}.",),
            self.host: (f"{kind} {self.where.address}",),
        }


def open_own(cert: Path | None, key: Path | None, chain: Path | None) -> OwnCertificate | None:
    """Read the files, if any; end the command where they can't be served."""
    from datetime import UTC, datetime

    from relay.lab.own_certificate import OwnCertificateError, read_own_certificate

    if cert is None and key is None and chain is None:
        return None
    if cert is None or key is None:
        fail("--cert and --key belong together", hint="Give both; --chain is for what comes after.")
    try:
        return read_own_certificate(cert, key, chain, now=datetime.now(UTC))
    except OwnCertificateError as error:
        fail(str(error), hint=error.hint)


async def start_own(lab: Lab, own: OwnCertificate) -> OwnReceiver:
    """Start the receiver and examine what it shows."""
    card = own.scenario.card
    where = await lab.add(own.scenario, lambda _: own.issued)
    return OwnReceiver(
        mail_domain=card.mail_domain,
        host=card.host,
        where=where,
        sent=len(own.chain),
        faults=_faults(own, lab.authority),
    )


def own_lines(own: OwnReceiver, socket: str) -> Iterator[str]:
    """Yield what to know about it."""
    count = f"{own.sent} certificate" if own.sent == 1 else f"{own.sent} certificates"
    yield f"Your own certificate ({count} sent) is shown by the receiver {NAME}:"
    yield f"  anyone@{own.mail_domain} on {socket}"
    yield f"  verify it as {own.host}"
    if not own.faults:
        yield "  faults: none, by the lab's root and this machine's roots"
        return
    yield "  faults, by the lab's root and this machine's roots:"
    for fault in own.faults:
        yield from textwrap.wrap(
            f"{fault.kind.value}: {fault.detail}",
            _WIDTH,
            initial_indent="    ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )


def own_plain(own: OwnReceiver | None) -> Json:
    """Return what the `--json` document says of it."""
    from relay.core.jsonform import to_json

    if own is None:
        return None
    return {
        "scenario": NAME,
        "mail_domain": own.mail_domain,
        "host": own.host,
        "address": own.where.address,
        "port": own.where.port,
        "mode": own.where.mode.value,
        "faults": to_json(own.faults),
    }


def _faults(own: OwnCertificate, authority: LabAuthority) -> tuple[TlsFault, ...]:
    from datetime import UTC, datetime

    from relay.core.addresses import parse_domain
    from relay.core.evidence import HandshakeDone, TlsEvidence
    from relay.core.settings import TlsSetting, TlsVersion
    from relay.core.tls_policy import TlsPolicy, TrustAnchors
    from relay.tls.examine import examine
    from relay.tls.trust import TrustStores

    now = datetime.now(UTC)
    card = own.scenario.card
    trust = TrustAnchors(lab=True, system=True)
    stores = TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
    return examine(
        TlsEvidence(
            mode=card.mode,
            observed_at=now,
            starttls_offered=True,
            handshake=HandshakeDone(version=TlsVersion.TLS1_3.label, cipher=""),
            chain=own.chain,
        ),
        TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY, trust=trust),
        host=card.host,
        recipient_domain=parse_domain(card.mail_domain),
        at=now,
        store=stores.store(trust),
    )
