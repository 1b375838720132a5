"""One inbound session: the only file that knows aiosmtpd, and closes its traps.

What stays aiosmtpd's is the protocol's frame: the transport, the task of a session, the table of
verbs and the plain ones (NOOP, RSET, EXPN). Overridden is what was measured to be unsafe:

    command loop     reflects the client's words, takes bare LF, tells exceptions to the client
    addresses        takes what RFC 5321 does not
    size limits      one dictionary for all sessions, which every EHLO widens
    DATA             buffers a line without end, whatever the size limit
    STARTTLS         can be said twice; a failure is a traceback
    AUTH             impossible under implicit TLS; passwords may be tried without end
    cancellation     the client's leaving, or a timer, ends a message that is being accepted

Nothing but the end of `Listeners.stop` cancels a session here. A client that goes away is the end
of the input: the session runs up to it, then finds that it can't be answered.
"""

# ruff: noqa: N802  (aiosmtpd finds verbs by the names of methods)
from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiosmtpd.smtp import SMTP

from relay.core.codebook import CodeEntry
from relay.core.settings import TlsMode
from relay.inbound import replies
from relay.inbound.commands import parse_command
from relay.inbound.content import ContentProblem
from relay.inbound.dialog import Dialog
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.lines import ClientInput, Interrupted, LineTooLong
from relay.inbound.login import exchange
from relay.inbound.reception import receive_content
from relay.inbound.replies import LastWord
from relay.inbound.sasl import challenge
from relay.inbound.service import Service
from relay.inbound.session_log import SessionLog

_log: Final = logging.getLogger("relay.inbound")

_AUTH_LINE: Final = 12_288
"""Octets of a line of an AUTH exchange, RFC 4954 section 4."""
_OF_EVERY_MESSAGE: Final = frozenset({"RCPT", "DATA", "QUIT"})
"""Verbs that are no sign of a client that only passes the time."""
_LINGER_SECONDS: Final = 2.0
"""How long a closing connection may take to send what is left."""


class _Gone(Exception):  # noqa: N818
    """The connection is no more."""


class RelaySMTP(SMTP):
    """One session of one listener."""

    def __init__(self, service: Service, kind: ListenerKind) -> None:
        # The class's own dictionary is shared by all sessions, and the constructor clears it.
        self.command_size_limits = {}
        super().__init__(
            None,
            hostname=service.hostname,
            ident="ESMTP",
            enable_SMTPUTF8=True,
            data_size_limit=service.limits.message_size,
            loop=asyncio.get_running_loop(),
        )
        self._service = service
        self._limits = service.limits
        self._kind = kind
        self._input = ClientInput()
        self._dialog = Dialog(
            kind=kind,
            hostname=service.hostname,
            limits=service.limits,
            refuse_recipient=service.refuse_recipient,
        )
        self._record = SessionLog(
            id=service.new_id(),
            mode=TlsMode.IMPLICIT if kind is ListenerKind.SMTPS else TlsMode.STARTTLS,
            now=service.now,
        )
        self._wire: asyncio.Transport
        self._lost = asyncio.Event()
        self._lost_error: Exception | None = None
        self._shaking_hands = False
        self._ends = False
        self._bad_commands = 0
        self._commands_without_message = 0
        self._must_end_at = self.loop.time() + service.limits.session_seconds

    # The connection: what asyncio calls.

    def task(self) -> asyncio.Task[None]:
        """Return the session's task; it ends when the connection has, and was recorded."""
        assert self._handler_coroutine is not None
        return self._handler_coroutine

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        if self._kind is ListenerKind.SMTPS:
            # The client's first octets belong to the handshake, which the session's task begins.
            cast(asyncio.ReadTransport, transport).pause_reading()
        self._record.connected(transport.get_extra_info("peername"))
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        self._service.joined(self, self._record.client)

    def data_received(self, data: bytes) -> None:
        """Keep what came in; the base class's stream reader is not used."""
        self._input.feed(data, self._wire)

    def eof_received(self) -> bool:
        """Let the session come to the end of its input; in clear it can still be answered."""
        self._input.end()
        return not self._record.encrypted

    def connection_lost(self, error: Exception | None) -> None:
        """Let the session find out by itself, where aiosmtpd would cancel it."""
        super(SMTP, self).connection_lost(error)
        self._lost_error = error
        self._lost.set()
        self._input.end()

    def close_soon(self) -> None:
        """End the session at its next command, with 421; at once where TLS is only beginning."""
        self._input.interrupt()
        if self._shaking_hands:
            self._wire.abort()

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Start no timer: each reading has its own, and accepting a message has none."""

    # The session: its task from beginning to end.

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (_Gone, EOFError, OSError):
            self._record.note("the client closed the connection")
        except asyncio.CancelledError:
            self._record.note("the session was cut off")
            self._cut_off()
            raise
        except Exception:
            _log.exception("inbound session %s broke", self._record.id)
        finally:
            await self._close()

    def _cut_off(self) -> None:
        """Say 421 where it can be said at once; clear text has no place in a handshake."""
        if self._shaking_hands or self._wire.is_closing():
            self._wire.abort()
            return
        (text,) = replies.reply_texts(replies.SHUTTING_DOWN)
        self._wire.write(f"{replies.SHUTTING_DOWN.status.code} {text}\r\n".encode())
        self._record.reply(replies.SHUTTING_DOWN.status.code, [text])

    async def _converse(self) -> None:
        crowded = self._service.crowded(self._record.client)
        if self._kind is ListenerKind.SMTPS:
            if crowded:
                self._record.note(f"closed before the handshake, instead of {crowded}")
                return
            await self._secure()
        if crowded:
            await self._send(crowded)
            return
        await self._send_lines(220, [f"{self.hostname} ESMTP"])
        while not self._ends:
            try:
                await self._one_command()
            except LastWord as last:
                await self._last(last.entry)

    async def _close(self) -> None:
        self._wire.close()
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._lost.wait()
        except TimeoutError:
            self._record.note("the client did not close in time")
        finally:
            self._wire.abort()
            self._service.left(self, self._record.client)
            await self._keep_record()

    async def _keep_record(self) -> None:
        # In TLS 1.3 our side of the handshake ends before the client has seen the certificate.
        if isinstance(self._lost_error, ssl.SSLError) and not self._record.commands_since_handshake:
            self._record.handshake_failed(self._lost_error)
        try:
            await self._service.session_sink(self._record.session())
        except Exception:
            _log.exception("inbound session %s could not be recorded", self._record.id)

    async def _one_command(self) -> None:
        try:
            line = await self._read_line()
        except LineTooLong:
            self._record.note("a line that is too long was dropped")
            await self._reply(replies.LINE_TOO_LONG)
            return
        command = parse_command(line)
        if isinstance(command, CodeEntry):
            self._record.not_a_command(line)
            await self._reply(command)
            return
        method = self._smtp_methods.get(command.verb)
        if method is None:
            self._record.not_a_command(line)
            await self._reply(replies.UNKNOWN_COMMAND)
            return
        self._record.command(line[:-2].decode())
        if len(line) > self._limits.command_line and command.verb != "AUTH":
            await self._reply(replies.LINE_TOO_LONG)
        elif self._makes_no_progress(command.verb):
            await self._reply(replies.NO_PROGRESS)
        elif barred := self._dialog.barred(command.verb):
            await self._reply(barred)
        else:
            await self._carry_out(method, command.argument)

    def _makes_no_progress(self, verb: str) -> bool:
        if verb in _OF_EVERY_MESSAGE:
            return False
        self._commands_without_message += 1
        return self._commands_without_message > self._limits.commands_without_message

    async def _carry_out(self, method: Callable[[str], Awaitable[None]], argument: str) -> None:
        try:
            await method(argument)
        except (_Gone, LastWord, EOFError, ConnectionError):
            raise
        except Exception:
            await self._reply(self._broken())

    def _broken(self) -> CodeEntry:
        reference = self._service.new_id()
        _log.exception("inbound session %s broke, reference %s", self._record.id, reference)
        self._record.note(f"internal error, reference {reference}")
        return replies.local_error(reference)

    async def _read_line(self) -> bytes:
        left = self._must_end_at - self.loop.time()
        # A line that is there already is read without a look at the clock.
        if left <= 0:
            raise LastWord(replies.TOO_LONG_SESSION)
        idle = self._limits.idle_seconds
        try:
            async with asyncio.timeout(min(idle, left)):
                return await self._input.line(max(self._limits.command_line, _AUTH_LINE))
        except TimeoutError:
            raise LastWord(replies.TIMED_OUT if idle < left else replies.TOO_LONG_SESSION) from None
        except Interrupted:
            raise LastWord(replies.SHUTTING_DOWN) from None

    # Replies

    async def push(self, status: str | bytes) -> None:
        """Send a reply of the library's own."""
        text = status.decode() if isinstance(status, bytes) else status
        await self._reply(replies.with_enhanced(text))

    async def _reply(self, entry: CodeEntry) -> None:
        """Answer a command; one bad command too many ends the session."""
        if 500 <= entry.status.code <= 504:
            self._bad_commands += 1
            if self._bad_commands >= self._limits.bad_commands:
                entry = replies.TOO_MANY_ERRORS
        await self._send(entry)

    async def _last(self, entry: CodeEntry) -> None:
        self._ends = True
        await self._send(entry)

    async def _send(self, entry: CodeEntry) -> None:
        # RFC 5321 section 3.8: whoever says 421 closes the channel.
        self._ends = self._ends or entry.status.code == 421
        await self._send_lines(entry.status.code, replies.reply_texts(entry))

    async def _send_lines(self, code: int, texts: list[str]) -> None:
        if self._wire.is_closing():
            raise _Gone
        lines = [f"{code}-{text}\r\n" for text in texts[:-1]] + [f"{code} {texts[-1]}\r\n"]
        self._wire.write("".join(lines).encode())
        self._record.reply(code, texts)
        await self._writer.drain()

    # Verbs

    async def smtp_HELO(self, hostname: str) -> None:
        """HELO: no extensions (RFC 5321 section 4.1.1.1)."""
        await self._hello(hostname, esmtp=False)

    async def smtp_EHLO(self, hostname: str) -> None:
        """EHLO: announces what this session may use now."""
        await self._hello(hostname, esmtp=True)

    async def _hello(self, argument: str, *, esmtp: bool) -> None:
        match self._dialog.hello(argument, esmtp=esmtp):
            case CodeEntry() as refusal:
                await self._reply(refusal)
            case texts:
                self._record.extensions(texts)
                await self._send_lines(250, texts)

    async def smtp_STARTTLS(self, arg: str) -> None:
        """STARTTLS (RFC 3207): once, and everything said before it is forgotten."""
        if refusal := self._dialog.starttls(arg):
            await self._reply(refusal)
            return
        await self._send(replies.READY_FOR_TLS)
        self._record.starttls(replies.READY_FOR_TLS)
        await self._secure()

    async def _secure(self) -> None:
        # Nothing may be awaited between this and `start_tls`: what comes later is the handshake's.
        self._record.discarded(self._input.discard())
        self._shaking_hands = True
        try:
            wire = await self.loop.start_tls(
                self._wire,
                self,
                self._service.server_context,
                server_side=True,
                ssl_handshake_timeout=self._limits.handshake_seconds,
            )
            if wire is None:
                raise ConnectionResetError
        except OSError as error:
            # asyncio tells a protocol nothing of a connection that was lost in the handshake.
            self._lost.set()
            self._record.handshake_failed(error)
            raise _Gone from None
        finally:
            self._shaking_hands = False
        self._wire = wire
        self._record.handshake_done(wire.get_extra_info("ssl_object"))
        self._dialog.secured()

    async def smtp_AUTH(self, arg: str) -> None:
        """AUTH (RFC 4954): PLAIN or LOGIN, over TLS alone."""
        if refusal := self._dialog.auth():
            await self._reply(refusal)
            return
        try:
            login = await exchange(arg, self._challenge)
        except LineTooLong:
            login = replies.EXCHANGE_TOO_LONG
        if isinstance(login, CodeEntry):
            await self._reply(login)
            return
        accept = self._service.credentials.accept
        if await asyncio.to_thread(accept, login.user, login.password):
            await self._send(self._dialog.logged_in(login.user))
        else:
            await self._send(self._dialog.login_failed())

    async def _challenge(self, text: str) -> str:
        await self._send_lines(334, [challenge(text)])
        line = await self._read_line()
        self._record.auth_response()
        return line.rstrip(b"\r\n").decode("ascii", "replace")

    async def smtp_MAIL(self, arg: str | None) -> None:
        """MAIL: begin a message."""
        await self._reply(self._dialog.mail(arg or ""))

    async def smtp_RCPT(self, arg: str | None) -> None:
        """RCPT: one recipient more."""
        await self._reply(self._dialog.rcpt(arg or ""))

    async def smtp_DATA(self, arg: str) -> None:
        """Receive the content of a message, and answer with what becomes of it."""
        if refusal := self._dialog.data(arg):
            await self._reply(refusal)
            return
        await self._send_lines(354, ["End data with <CR><LF>.<CR><LF>"])
        with self._service.buffered.share() as share:
            reception = await receive_content(
                self._input,
                limits=self._limits,
                share=share,
                bare_line_ends=self._service.bare_line_ends(),
            )
            self._record.note(str(reception))
            content = reception.content
            del reception
            if isinstance(content, ContentProblem):
                self._dialog.reset()
                await self._send(replies.CONTENT_PROBLEMS[content])
                return
            self._commands_without_message = 0
            incoming = self._dialog.message(
                content, peer=self._record.peer, tls=self._record.tls, session_id=self._record.id
            )
            del content
            entry = await self._accept(incoming)
        try:
            await self._send(entry)
        except (_Gone, ConnectionError):
            self._record.note(f"the client had gone before it could read: {entry}")
            raise

    async def _accept(self, incoming: Incoming) -> CodeEntry:
        # Whatever is raised in there, a lost connection to somebody else too, is not the client's.
        try:
            return await self._service.accept(incoming)
        except Exception:
            return self._broken()

    async def smtp_VRFY(self, arg: str) -> None:
        """VRFY: neither confirms nor denies (RFC 5321 section 3.5.3)."""
        await self._reply(replies.CANNOT_VERIFY)

    async def smtp_HELP(self, arg: str) -> None:
        """HELP: the verbs."""
        await self._reply(replies.COMMANDS)

    async def smtp_QUIT(self, arg: str) -> None:
        """QUIT: the client has done."""
        await self._last(replies.BYE)

    def _set_rset_state(self) -> None:
        """Forget the message: what the base class does for RSET."""
        self._dialog.reset()
