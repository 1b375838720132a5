"""A real Postfix that sends: everything to the relay under test, or as its levels of TLS say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
from e2e_ports import free_port
from e2e_postfix import MASTER, started

MAIN = """
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log
maillog_file_prefixes = {base}
mail_owner = postfix
setgid_group = postdrop
myhostname = client.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtp_host_lookup = native
smtp_tls_CAfile = {base}/ca.pem
smtp_tls_loglevel = 1
"""

TO_RELAY = """
relayhost = [localhost]:NEXT_HOP
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
"""

BY_LEVEL = """
transport_maps = texthash:{base}/transport
smtp_starttls_timeout = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 2s
queue_run_delay = 2s
default_process_limit = 10
"""

IN = """127.0.0.1:PORT inet n - n - - smtpd
  -o syslog_name=postfix/in
"""
SMTP = "smtp unix - - n - - smtp\n"
WRAPPER = """relaylab-smtps unix - - n - - smtp
  -o smtp_tls_wrappermode=yes -o smtp_tls_security_level=encrypt
"""

LEVELS = ("may", "encrypt", "secure")


@dataclass(frozen=True, slots=True)
class PostfixClient:
    """A running Postfix; `port` takes the mail that it is to send on."""

    base: Path
    port: int

    @property
    def log(self) -> str:
        file = self.base / "log"
        # The daemon that writes it starts with the first line.
        return file.read_text() if file.exists() else ""

    async def until(self, *words: str) -> str:
        """Wait until one line of the log has all the words; return that line."""
        async with asyncio.timeout(30):
            while True:
                for line in self.log.splitlines():
                    if all(word in line for word in words):
                        return line
                await asyncio.sleep(0.02)

    async def submit(self, to: str, message: bytes) -> None:
        """Hand a message to Postfix, which then sends it on."""
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self.port, start_tls=False, local_hostname="origin.test"
        )
        async with client:
            await client.mail("sender@example.test")
            await client.rcpt(to)
            await client.data(message)


@contextlib.asynccontextmanager
async def postfix_client(next_hop: int, *, ca: bytes) -> AsyncIterator[PostfixClient]:
    """Start a Postfix that sends to this port of localhost, verified by `ca` or not at all."""
    main = MAIN + TO_RELAY.replace("NEXT_HOP", str(next_hop))
    async with _running(main, SMTP, {"ca.pem": ca}) as postfix:
        yield postfix


@contextlib.asynccontextmanager
async def postfix_by_level(
    routes: Mapping[str, tuple[str, int]], *, host: str, ca: bytes
) -> AsyncIterator[PostfixClient]:
    """Start a Postfix that sends each domain at its level of TLS to its port of 127.0.0.1.

    At level `secure` it verifies for the name `host`. What is deferred is tried again very soon.
    """
    master = "".join(
        f"{level} unix - - n - - smtp\n  -o syslog_name=postfix/{level}\n"
        f"  -o smtp_tls_security_level={level}\n"
        + (f"  -o smtp_tls_secure_cert_match={host}\n" if level == "secure" else "")
        for level in LEVELS
    )
    transport = "".join(
        f"{domain} {level}:[127.0.0.1]:{port}\n" for domain, (level, port) in routes.items()
    )
    files = {"ca.pem": ca, "transport": transport.encode()}
    async with _running(MAIN + BY_LEVEL, SMTP + master, files) as postfix:
        yield postfix


@contextlib.asynccontextmanager
async def postfix_at_level(
    level: str, *, transport: bytes, ca: bytes, tls: bytes | None = None, more: str = ""
) -> AsyncIterator[PostfixClient]:
    """Start a Postfix that sends by a transport map at one level of TLS, and soon tries again.

    `tls` is a TLS policy map, for a level that verifies; `more` goes into main.cf.
    """
    main = MAIN + BY_LEVEL + f"smtp_tls_security_level = {level}\n{more}"
    files = {"ca.pem": ca, "transport": transport}
    if tls is not None:
        main += "smtp_tls_policy_maps = texthash:{base}/tls\n"
        files["tls"] = tls
    async with _running(main, SMTP + WRAPPER, files) as postfix:
        yield postfix


@contextlib.asynccontextmanager
async def postfix_by_maps(
    *, transport: bytes, tls: bytes | None, ca: bytes
) -> AsyncIterator[PostfixClient]:
    """Start a Postfix that sends by a transport map, and verifies by a TLS policy map if given."""
    main = MAIN + "transport_maps = texthash:{base}/transport\nsmtp_tls_security_level = may\n"
    files = {"ca.pem": ca, "transport": transport}
    if tls is not None:
        main += "smtp_tls_policy_maps = texthash:{base}/tls\n"
        files["tls"] = tls
    async with _running(main, SMTP + WRAPPER, files) as postfix:
        yield postfix


@contextlib.asynccontextmanager
async def _running(
    main: str, clients: str, files: Mapping[str, bytes]
) -> AsyncIterator[PostfixClient]:
    port = free_port()
    master = MASTER + clients + IN.replace("PORT", str(port))
    async with started(main, master, files=files, ports=[port]) as base:
        yield PostfixClient(base, port)
