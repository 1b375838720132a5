"""The relay that anybody would write first: aiosmtpd in front, aiosmtplib.send behind.

`aiosmtpd_naive.py PORT NEXT_PORT CA.pem`: verified STARTTLS with one context for all messages, a
connection for each. It keeps no record and makes nothing durable.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

import aiosmtplib
from aiosmtpd.smtp import SMTP, Envelope, Session


class Relay:
    """Answers with what the next hop said."""

    def __init__(self, next_port: int, ca: str) -> None:
        self._next_port = next_port
        self._context = ssl.create_default_context(cafile=ca)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Send a message on."""
        assert isinstance(envelope.content, bytes)
        try:
            await aiosmtplib.send(
                envelope.content,
                sender=envelope.mail_from,
                recipients=[str(recipient) for recipient in envelope.rcpt_tos],
                hostname="localhost",
                port=self._next_port,
                start_tls=True,
                tls_context=self._context,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return f"451 4.4.0 {type(error).__name__}"
        return "250 2.0.0 OK"


async def main(port: int, next_port: int, ca: str) -> None:
    """Serve until the process is ended."""
    relay = Relay(next_port, ca)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(relay, hostname="localhost", data_size_limit=104_857_600), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
