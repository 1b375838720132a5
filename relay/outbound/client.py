"""Opening a connection as an SMTP client: aiosmtplib's, with answers as values, its dialog kept.

What comes after the last EHLO is `Exchange`'s.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib.response import SMTPResponse

from relay.core.replies import Reply
from relay.core.transcripts import TranscriptLog
from relay.outbound.answers import TROUBLE, Answer, reply_of
from relay.outbound.dialog import Dialog
from relay.outbound.exchange import CLOSE_TIMEOUT, Exchange
from relay.outbound.tap import TappedSMTP


@dataclass(frozen=True, slots=True, kw_only=True)
class StarttlsResult:
    """How STARTTLS went: `reply` is None when it was not answered.

    `error` is what ended the connection: instead of the reply or, after a 220, in the handshake.
    """

    reply: Reply | None
    error: BaseException | None


class Client:
    """One SMTP connection as a client; `timeout` counts seconds and bounds each answer."""

    def __init__(
        self, *, host: str, local_hostname: str, timeout: float, transcript: TranscriptLog
    ) -> None:
        self._transcript = transcript
        self._timeout = timeout
        self._idle = True
        self._smtp = TappedSMTP(
            transcript, host=host, local_hostname=local_hostname, timeout=timeout
        )
        self._tap = self._smtp.tapped

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS session's object, also of one that has ended; None in clear."""
        return self._tap.ssl_object

    @property
    def encrypted(self) -> bool:
        """Whether TLS protects what is sent."""
        return self._tap.ssl_object is not None

    @property
    def plaintext_after_go_ahead(self) -> int:
        """Octets that came in clear behind the 220 to STARTTLS, and were discarded."""
        return self._tap.plaintext_after_go_ahead

    @property
    def extensions(self) -> Mapping[str, str]:
        """The keywords of the last EHLO reply in lower case, with their parameters."""
        return self._smtp.extensions

    async def greet(self, sock: socket.socket, context: ssl.SSLContext | None) -> Answer:
        """Take over a connected socket and read the greeting, behind a handshake with `context`."""
        if context is None:
            # Nothing is left to wait for but the greeting, which the tap does.
            return await self._answer(self._smtp.connect(sock=sock, use_tls=False, timeout=None))
        return await self._answer(self._smtp.connect(sock=sock, use_tls=True, tls_context=context))

    async def ehlo(self) -> Answer:
        """Send EHLO; a 250 fills `extensions`."""
        return await self._answer(self._smtp.say_hello())

    async def helo(self) -> Answer:
        """Send HELO, for hosts that do not know EHLO (RFC 5321 section 3.2)."""
        return await self._answer(self._smtp.helo())

    async def starttls(self, context: ssl.SSLContext, server_name: str) -> StarttlsResult:
        """Send STARTTLS and, after a 220, shake hands as a client of `server_name`."""
        self._tap.last_reply = None
        self._idle = False
        try:
            await self._smtp.shake_hands(context, server_name)
        except aiosmtplib.SMTPResponseException:
            self._idle = True
            return StarttlsResult(reply=self._tap.last_reply, error=None)
        except TROUBLE as error:
            # After a failed handshake nobody reports the end of the connection any more.
            self.abort()
            return StarttlsResult(reply=self._tap.last_reply, error=error)
        self._idle = True
        return StarttlsResult(reply=self._tap.last_reply, error=None)

    def take_over(self) -> Exchange:
        """Return what the session goes on by; this can only be cut then."""
        wire = self._tap.wire
        gone = not self._idle or self._tap.lost.is_set()
        self._tap.rest()
        return Exchange(
            None if gone or wire is None else Dialog(wire),
            extensions=self.extensions,
            encrypted=self.encrypted,
            timeout=self._timeout,
            transcript=self._transcript,
        )

    async def farewell(self) -> None:
        """Say QUIT where that is possible, and close the connection."""
        if self._idle and self._smtp.is_connected:
            await self._answer(self._smtp.quit(timeout=min(self._timeout, CLOSE_TIMEOUT)))
            await self._close()
        else:
            self.abort()

    async def _close(self) -> None:
        self._smtp.close()
        if self._tap.wire is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._tap.lost.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._tap.rest()
        self._smtp.close()
        if self._tap.wire is not None:
            self._tap.wire.abort()
        self._tap.lost.set()

    async def _answer(self, call: Awaitable[SMTPResponse]) -> Answer:
        # Stays so without a reply: it might still come, and pass for one to the next command.
        self._idle = False
        try:
            response = await call
            answer = reply_of(response.code, response.message)
        except aiosmtplib.SMTPResponseException as error:
            answer = self._tap.last_reply or reply_of(error.code, error.message)
        except TROUBLE as error:
            return self._tap.broken_by(error)
        self._idle = True
        return answer
