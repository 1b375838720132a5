"""A scripted receiver: one SMTP server that follows a script and keeps what it is told.

It accepts AUTH, offered in clear text too, so that a client which gives its secrets away is
seen to do so; the secrets themselves are not kept.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, assert_never

from relay.core.replies import Reply
from relay.core.settings import TlsMode
from relay.core.transcripts import Direction
from relay.lab.commands import CommandRefusedError, MailPath, parse_mail, parse_rcpt
from relay.lab.received import ReceivedMessage, SessionRecord
from relay.lab.scripts import DropHandshake, LabScenario, ServeTls
from relay.lab.wire import ClientSilent, ConnectionEnded, HandshakeError, LineTooLong, SmtpWire

MAX_MESSAGE: Final = 26_214_400
"""Octets of a message; the SIZE that EHLO announces."""
MAX_RECIPIENTS: Final = 1000
MAX_COMMANDS: Final = 100_000
"""Commands of one session; the next one is answered with 421."""
_OK: Final = Reply(code=250, text="2.0.0 Ok")
_BAD_SEQUENCE: Final = Reply(code=503, text="5.5.1 Bad sequence of commands")


class ReceiverSession:
    """One client's session with one receiver, run once by `run`."""

    def __init__(
        self,
        wire: SmtpWire,
        scenario: LabScenario,
        record: SessionRecord,
        *,
        server_context: Callable[[ServeTls], ssl.SSLContext],
        now: Callable[[], datetime],
        keep: Callable[[ReceivedMessage], None],
    ) -> None:
        self._wire = wire
        self._card = scenario.card
        self._script = scenario.script
        self._record = record
        self._server_context = server_context
        self._now = now
        self._keep = keep
        self._greeted = False
        self._mail: MailPath | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        """Serve the client until it leaves or stays silent for too long."""
        with suppress(ConnectionEnded):
            try:
                if self._card.mode is TlsMode.STARTTLS or await self._start_tls():
                    await self._serve_commands()
            except ClientSilent:
                await self._wire.send(Reply(code=421, text="4.4.2 Idle for too long"))
        await self._wire.close()

    async def _serve_commands(self) -> None:
        await self._wire.send(Reply(code=220, text=f"{self._card.host} ESMTP Relaylab"))
        while await self._serve_command():
            pass

    async def _serve_command(self) -> bool:
        """Read and answer one command; return False when the session is over."""
        try:
            raw = await self._wire.read_command()
        except LineTooLong:
            await self._wire.send(Reply(code=500, text="5.5.2 Line too long"))
            return False
        text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self._record.log.command(Direction.RECEIVED, text, encrypted=self._wire.encrypted)
        self._record.commands.append(verb if verb.isascii() and verb.isalnum() else "?")
        if not raw.endswith(b"\r\n"):
            await self._wire.send(Reply(code=500, text="5.5.2 A line ends in CRLF"))
            return True
        if len(self._record.commands) > MAX_COMMANDS:
            await self._wire.send(Reply(code=421, text="4.7.0 Too many commands"))
            return False
        try:
            return await self._obey(verb, argument.strip())
        except CommandRefusedError as refused:
            await self._wire.send(refused.reply)
            return True

    async def _obey(self, verb: str, argument: str) -> bool:
        match verb:
            case "EHLO" | "HELO":
                await self._hello(verb, argument)
            case "STARTTLS":
                return await self._starttls(argument)
            case "AUTH":
                await self._auth(argument)
            case "MAIL":
                await self._mail_from(argument)
            case "RCPT":
                await self._rcpt_to(argument)
            case "DATA":
                await self._data()
            case "RSET":
                self._forget_mail()
                await self._wire.send(_OK)
            case "NOOP":
                await self._wire.send(_OK)
            case "QUIT":
                await self._wire.send(Reply(code=221, text="2.0.0 Bye"))
                return False
            case _:
                await self._wire.send(Reply(code=500, text="5.5.1 Command not recognized"))
        return True

    async def _hello(self, verb: str, name: str) -> None:
        if not name:
            raise CommandRefusedError(501, f"5.5.4 Syntax: {verb} hostname")
        self._forget_mail()
        self._greeted = True
        lines = [self._card.host]
        if verb == "EHLO":
            lines += ["PIPELINING", "8BITMIME", "SMTPUTF8", f"SIZE {MAX_MESSAGE}", "DSN"]
            lines += ["ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"]
            if self._script.starttls_keyword and not self._wire.encrypted:
                lines.append(self._script.starttls_keyword)
        await self._wire.send(Reply(code=250, text="\n".join(lines)))

    async def _starttls(self, argument: str) -> bool:
        """Answer STARTTLS (RFC 3207); return False when the session is over."""
        if self._wire.encrypted:
            await self._wire.send(_BAD_SEQUENCE)
            return True
        if argument:
            raise CommandRefusedError(501, "5.5.4 STARTTLS takes no argument")
        await self._wire.send(self._script.starttls_reply)
        if not self._script.starttls_reply.positive:
            return True
        self._forget_mail()
        self._greeted = False
        return await self._start_tls()

    async def _start_tls(self) -> bool:
        """Do as the script says of the handshake; return False when it leaves no session."""
        try:
            match self._script.handshake:
                case ServeTls() as script:
                    return await self._handshake(self._server_context(script))
                case DropHandshake():
                    await self._wire.read_client_hello()
                    self._record.log.note("closed the connection after the ClientHello")
                    return False
                case _:
                    assert_never(self._script.handshake)
        except ClientSilent:
            # A reply would be clear text in the middle of a handshake.
            self._record.handshake_error = "the client fell silent"
            self._record.log.note("the client fell silent in the handshake")
            return False

    async def _handshake(self, context: ssl.SSLContext) -> bool:
        try:
            await self._wire.start_tls(context)
        except HandshakeError as error:
            self._record.handshake_error = str(error)
            self._record.log.note(f"TLS handshake failed: {error}")
            return False
        self._record.tls_version = self._wire.tls_version
        self._record.cipher = self._wire.cipher
        self._record.log.note(f"TLS established: {self._wire.tls_version}, {self._wire.cipher}")
        return True

    async def _auth(self, argument: str) -> None:
        """Accept whatever credentials come, by PLAIN or LOGIN (RFC 4954)."""
        mechanism, _, initial = argument.upper().partition(" ")
        prompts = {"PLAIN": [""], "LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]}.get(mechanism)
        if prompts is None:
            raise CommandRefusedError(504, "5.5.4 Mechanism not supported")
        for prompt in prompts[1:] if initial else prompts:
            await self._wire.send(Reply(code=334, text=prompt))
            try:
                answer = await self._wire.read_command()
            except LineTooLong:
                raise ConnectionEnded from None
            self._record.log.command(Direction.RECEIVED, "", encrypted=self._wire.encrypted)
            if answer.strip() == b"*":
                raise CommandRefusedError(501, "5.7.0 Authentication cancelled")
        await self._wire.send(Reply(code=235, text="2.7.0 Authentication successful"))

    async def _mail_from(self, argument: str) -> None:
        if not self._greeted or self._mail is not None:
            await self._wire.send(_BAD_SEQUENCE)
            return
        mail = parse_mail(argument)
        if mail.size > MAX_MESSAGE:
            raise CommandRefusedError(552, "5.3.4 Message too big")
        self._mail = mail
        await self._wire.send(Reply(code=250, text="2.1.0 Sender ok"))

    async def _rcpt_to(self, argument: str) -> None:
        if self._mail is None:
            await self._wire.send(_BAD_SEQUENCE)
            return
        recipient = parse_rcpt(argument, smtputf8=self._mail.smtputf8)
        if len(self._recipients) >= MAX_RECIPIENTS:
            raise CommandRefusedError(452, "4.5.3 Too many recipients")
        if self._script.recipient_reply.positive:
            self._recipients.append(recipient.path)
        await self._wire.send(self._script.recipient_reply)

    async def _data(self) -> None:
        if self._mail is None or not self._recipients:
            await self._wire.send(_BAD_SEQUENCE)
            return
        await self._wire.send(Reply(code=354, text="End data with <CR><LF>.<CR><LF>"))
        before = self._record.octets.data
        try:
            content = await self._wire.read_data(MAX_MESSAGE)
        finally:
            count = self._record.octets.data - before
            self._record.log.note(f"{count} octets of message data received")
        if content is None:
            self._forget_mail()
            raise CommandRefusedError(552, "5.3.4 Message too big")
        self._keep(
            ReceivedMessage(
                reverse_path=self._mail.path,
                recipients=tuple(self._recipients),
                content=content,
                encrypted=self._wire.encrypted,
                at=self._now(),
            )
        )
        self._forget_mail()
        await self._wire.send(Reply(code=250, text="2.0.0 Ok: message kept"))

    def _forget_mail(self) -> None:
        self._mail = None
        self._recipients = []
