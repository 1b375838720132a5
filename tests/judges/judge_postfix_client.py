"""A real Postfix that sends everything to one next hop: the relay under test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
from e2e_postfix import MASTER, free_port, started

MAIN = """
compatibility_level = 3.6
queue_directory = {{base}}/queue
data_directory = {{base}}/data
maillog_file = {{base}}/log
maillog_file_prefixes = {{base}}
mail_owner = postfix
setgid_group = postdrop
myhostname = client.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relayhost = [localhost]:{port}
smtp_host_lookup = native
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_CAfile = {{base}}/ca.pem
smtp_tls_loglevel = 1
maximal_queue_lifetime = 1d
"""

CLIENT = """127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/in
smtp       unix  - - n - - smtp
"""


@dataclass(frozen=True, slots=True)
class PostfixClient:
    """A running Postfix; `port` takes the mail that it is to send on."""

    base: Path
    port: int

    @property
    def log(self) -> str:
        return (self.base / "log").read_text()

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
    port = free_port()
    master = MASTER + CLIENT.format(port=port)
    async with started(
        MAIN.format(port=next_hop), master, files={"ca.pem": ca}, ports=[port]
    ) as base:
        yield PostfixClient(base, port)
