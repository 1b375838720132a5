"""A scripted receiver: one SMTP server that follows a script and keeps what it is told.

It accepts AUTH, offered in clear text too, so that a client which gives its secrets away is
seen to do so; the secrets themselves are not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, assert_never

from relay.core.fault_scripts import Delay, FaultPhase
from relay.core.replies import Reply
from relay.core.settings import TlsMode
from relay.core.transcripts import Direction
from relay.lab.commands import CommandRefusedError, MailPath, parse_mail, parse_rcpt
from relay.lab.fault_overlay import Decide, answer_of
from relay.lab.received import ReceivedMessage, SessionRecord
from relay.lab.recipients import Tries, recipient_answer
from relay.lab.scripts import (
    MAX_MESSAGE,
    AfterClientHello,
    Answer,
    Ending,
    HangUp,
    LabScenario,
    LastReply,
    Raw,
    ServeLegacyTls,
    ServeTls,
    Silence,
)
from relay.lab.tls_layer import HandshakeError, TlsLayer
from relay.lab.wire import ClientSilent, ConnectionEnded, LineTooLong, SmtpWire

MAX_RECIPIENTS: Final = 1000
MAX_COMMANDS: Final = 100_000
"""Commands of one session; the next one is answered with 421."""
_OK: Final = Reply(code=250, text="2.0.0 Ok")
_BAD_SEQUENCE: Final = Reply(code=503, text="5.5.1 Bad sequence of commands")
_UNKNOWN: Final = Reply(code=500, text="5.5.1 Command not recognized")
_NO_SERVICE: Final = Reply(code=503, text="5.5.1 No mail service here, only QUIT")
_TOO_BIG: Final = Reply(code=552, text="5.3.4 Message too big")

TlsMaker = Callable[[ServeTls | ServeLegacyTls], TlsLayer]
"""Makes the receiver's side of one handshake."""


class _SessionOver(Exception):  # noqa: N818 - the regular end of a session, not an error
    """The receiver ends the session."""


class ReceiverSession:
    """One client's session with one receiver, run once by `run`."""

    def __init__(
        self,
        wire: SmtpWire,
        scenario: LabScenario,
        record: SessionRecord,
        *,
        make_tls: TlsMaker,
        decide: Decide,
        tries: Tries,
        client: str,
        now: Callable[[], datetime],
        keep: Callable[[ReceivedMessage], None],
    ) -> None:
        self._wire = wire
        self._card = scenario.card
        self._script = scenario.script
        self._record = record
        self._make_tls = make_tls
        self._decide = decide
        self._tries = tries
        self._client = client
        self._now = now
        self._keep = keep
        self._extensions = {
            keyword: value
            for keyword, _, value in (e.partition(" ") for e in self._script.extensions)
        }
        self._in_service = True
        self._greeted = False
        self._authenticated = False
        self._mail: MailPath | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        """Serve the client until it leaves, stays silent for too long, or is sent away."""
        with suppress(ConnectionEnded, _SessionOver):
            try:
                if self._card.mode is TlsMode.IMPLICIT:
                    await self._start_tls()
                await self._greet()
                while True:
                    await self._serve_command()
            except ClientSilent:
                await self._wire.send(Reply(code=421, text="4.4.2 Idle for too long"))
        await self._wire.close()

    async def _fault(self, phase: FaultPhase, recipients: Sequence[str] = ()) -> Answer | None:
        """Return what a fault script puts in the place of the scenario's answer, if anything.

        A delay has passed then.
        """
        decision = self._decide(phase, recipients)
        if decision is None:
            return None
        self._record.log.note(str(decision))
        match decision.rule.answer:
            case Delay(by=by):
                await asyncio.sleep(by.total_seconds())
                return None
            case fault:
                return answer_of(fault)

    async def _answer(self, answer: Answer) -> None:
        """Do as the script says; raise _SessionOver where that is the end."""
        match answer:
            case Reply():
                await self._reply(answer)
            case LastReply(reply=reply):
                await self._reply(reply)
                raise _SessionOver
            case Raw(octets=octets):
                await self._wire.send_octets(octets)
            case Silence():
                self._record.log.note("stays silent")
                await self._wire.ignore()
                raise _SessionOver
            case HangUp(ending=ending):
                self._record.log.note(f"ends the connection: {ending.value}")
                if ending is Ending.RESET:
                    self._wire.reset()
                raise _SessionOver
            case _:
                assert_never(answer)

    async def _reply(self, reply: Reply, *, followed_by: bytes = b"") -> None:
        """Send a reply in the script's manner."""
        if self._script.seconds_per_reply:
            await asyncio.sleep(self._script.seconds_per_reply)
        if (lines := self._script.lines_per_reply) > 1 and "\n" not in reply.text:
            reply = Reply(code=reply.code, text="\n".join([reply.text] * lines))
        await self._wire.send(reply, followed_by=followed_by)

    async def _greet(self) -> None:
        answer = (
            await self._fault(FaultPhase.GREETING)
            or self._script.greeting
            or Reply(code=220, text=f"{self._card.host} ESMTP Relaylab")
        )
        if isinstance(answer, Reply):
            self._in_service = answer.positive
        await self._answer(answer)

    async def _serve_command(self) -> None:
        """Read and answer one command."""
        try:
            raw = await self._wire.read_command()
        except LineTooLong:
            await self._answer(LastReply(reply=Reply(code=500, text="5.5.2 Line too long")))
            return
        text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self._record.command(verb, text, encrypted=self._wire.encrypted)
        if not raw.endswith(b"\r\n"):
            await self._reply(Reply(code=500, text="5.5.2 A line ends in CRLF"))
        elif len(self._record.commands) > MAX_COMMANDS:
            await self._answer(LastReply(reply=Reply(code=421, text="4.7.0 Too many commands")))
        elif not self._in_service and verb != "QUIT":
            # RFC 5321 section 3.1, of a host that has greeted with 554.
            await self._reply(_NO_SERVICE)
        else:
            try:
                await self._obey(verb, argument.strip())
            except CommandRefusedError as refused:
                await self._reply(refused.reply)

    async def _obey(self, verb: str, argument: str) -> None:
        match verb:
            case "EHLO" | "HELO":
                await self._hello(verb, argument)
            case "STARTTLS":
                await self._starttls(argument)
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
                await self._reply(_OK)
            case "NOOP":
                await self._reply(_OK)
            case "QUIT":
                await self._answer(LastReply(reply=Reply(code=221, text="2.0.0 Bye")))
            case _:
                await self._reply(_UNKNOWN)

    async def _hello(self, verb: str, name: str) -> None:
        if not name:
            raise CommandRefusedError(501, f"5.5.4 Syntax: {verb} hostname")
        answer: Answer = Reply(code=250, text=self._card.host)
        if verb == "EHLO":
            fault = await self._fault(FaultPhase.EHLO)
            answer = fault or self._script.ehlo or self._ehlo_reply()
        if _positive(answer):
            self._forget_mail()
            self._greeted = True
        await self._answer(answer)

    def _ehlo_reply(self) -> Reply:
        encrypted = self._wire.encrypted
        starttls = self._script.keyword_under_tls if encrypted else self._script.starttls_keyword
        lines = [self._card.host, *self._script.extensions, *([starttls] if starttls else [])]
        return Reply(code=250, text="\n".join(lines))

    async def _starttls(self, argument: str) -> None:
        """Answer STARTTLS (RFC 3207), and take part in what follows a go-ahead."""
        if self._wire.encrypted:
            await self._reply(_BAD_SEQUENCE)
            return
        if argument:
            raise CommandRefusedError(501, "5.5.4 STARTTLS takes no argument")
        answer = await self._fault(FaultPhase.STARTTLS) or self._script.starttls
        if not (isinstance(answer, Reply) and answer.positive):
            await self._answer(answer)
            return
        await self._reply(answer, followed_by=self._script.injected)
        if self._script.injected:
            self._record.log.note(
                f"injected {len(self._script.injected)} octets in clear text behind the go-ahead"
            )
        self._forget_mail()
        self._greeted = self._authenticated = False
        await self._start_tls()

    async def _start_tls(self) -> None:
        """Do as a fault script or the scenario's own says of the handshake."""
        try:
            fault = await self._fault(FaultPhase.HANDSHAKE)
            match AfterClientHello(answer=fault) if fault else self._script.handshake:
                case ServeTls(seconds_per_octet=pace) as script:
                    await self._handshake(self._make_tls(script), seconds_per_octet=pace)
                case ServeLegacyTls() as script:
                    await self._handshake(self._make_tls(script))
                case AfterClientHello(answer=answer):
                    await self._wire.read_client_hello()
                    await self._answer(answer)
                    await self._wire.linger()
                    raise _SessionOver
                case HangUp() as answer:
                    await self._answer(answer)
                case never:
                    assert_never(never)
        except ClientSilent:
            # A reply would be clear text in the middle of a handshake.
            self._record.handshake_error = "the client fell silent"
            self._record.log.note("the client fell silent in the handshake")
            raise _SessionOver from None

    async def _handshake(self, tls: TlsLayer, *, seconds_per_octet: float = 0.0) -> None:
        try:
            await self._wire.start_tls(tls, seconds_per_octet=seconds_per_octet)
        except HandshakeError as error:
            self._record.handshake_error = str(error)
            self._record.log.note(f"TLS handshake failed: {error}")
            raise _SessionOver from None
        self._record.tls_version = self._wire.tls_version
        self._record.cipher = self._wire.cipher
        self._record.log.note(f"TLS established: {self._wire.tls_version}, {self._wire.cipher}")

    async def _auth(self, argument: str) -> None:
        """Take whatever credentials come, by PLAIN or LOGIN (RFC 4954)."""
        mechanism, _, initial = argument.upper().partition(" ")
        prompts = {"PLAIN": [""], "LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]}.get(mechanism)
        if "AUTH" not in self._extensions:
            raise CommandRefusedError(502, "5.5.1 Command not implemented")
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
        verdict = await self._fault(FaultPhase.AUTH) or self._script.auth
        self._authenticated = isinstance(verdict, Reply) and verdict.positive
        await self._answer(verdict)

    async def _mail_from(self, argument: str) -> None:
        if not self._greeted or self._mail is not None:
            await self._reply(_BAD_SEQUENCE)
            return
        mail = parse_mail(argument, self._extensions)
        if self._script.needs_auth and not self._authenticated:
            raise CommandRefusedError(530, "5.7.0 Authentication required")
        if mail.size > self._size_limit:
            await self._reply(_TOO_BIG)
            return
        answer = await self._fault(FaultPhase.MAIL) or self._script.mail
        if _positive(answer):
            self._mail = mail
        await self._answer(answer)

    async def _rcpt_to(self, argument: str) -> None:
        if self._mail is None:
            await self._reply(_BAD_SEQUENCE)
            return
        recipient = parse_rcpt(argument, self._extensions, smtputf8=self._mail.smtputf8).path
        if len(self._recipients) >= MAX_RECIPIENTS:
            raise CommandRefusedError(452, "4.5.3 Too many recipients")
        fault = await self._fault(FaultPhase.RCPT, (recipient,))
        answer = fault or recipient_answer(
            self._script.recipient,
            recipient,
            reverse_path=self._mail.path,
            client=self._client,
            tries=self._tries,
        )
        if _positive(answer):
            self._recipients.append(recipient)
        await self._answer(answer)

    async def _data(self) -> None:
        if self._mail is None or not self._recipients:
            await self._reply(_BAD_SEQUENCE)
            return
        answer = await self._fault(FaultPhase.DATA, self._recipients) or self._script.data
        await self._answer(answer)
        if not _positive(answer):
            return
        content = await self._read_content()
        mail, recipients = self._mail, tuple(self._recipients)
        self._forget_mail()
        if content is None:
            await self._reply(_TOO_BIG)
            return
        fault = await self._fault(FaultPhase.CONTENT, recipients)
        answer = fault or self._script.confirmation
        if _positive(answer):
            self._keep(
                ReceivedMessage(
                    reverse_path=mail.path,
                    recipients=recipients,
                    content=content,
                    encrypted=self._wire.encrypted,
                    at=self._now(),
                )
            )
        await self._answer(answer)

    async def _read_content(self) -> bytes | None:
        before = self._record.octets.data
        try:
            return await self._wire.read_data(self._size_limit)
        finally:
            count = self._record.octets.data - before
            self._record.log.note(f"{count} octets of message data received")

    @property
    def _size_limit(self) -> int:
        """Octets of a message that this receiver takes: what it announces, within its own limit."""
        return min(int(self._extensions.get("SIZE") or MAX_MESSAGE), MAX_MESSAGE)

    def _forget_mail(self) -> None:
        self._mail = None
        self._recipients = []


def _positive(answer: Answer) -> bool:
    reply = answer.reply if isinstance(answer, LastReply) else answer
    return isinstance(reply, Reply) and reply.positive
