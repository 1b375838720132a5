"""One inbound session: with `fast_start` all that knows aiosmtpd, and closes its traps.

What stays aiosmtpd's is the protocol's frame: the transport, the task of a session, and the plain
verbs (NOOP, RSET, EXPN). Overridden is what was measured to be unsafe, or slow:

    command loop     reflects the client's words, takes bare LF, tells exceptions to the client
    addresses        takes what RFC 5321 does not
    size limits      one dictionary for all sessions, which every EHLO widens
    DATA             buffers a line without end, whatever the size limit
    STARTTLS         can be said twice; a failure is a traceback
    AUTH             impossible under implicit TLS; passwords may be tried without end
    cancellation     the client's leaving, or a timer, ends a message that is being accepted

Commands are carried out where their octets arrive, in `data_received`, as long as the session's
task has nothing to wait for; it is woken for an errand (TLS, AUTH, a message), and at the end.

Nothing but the end of `Listeners.stop` cancels a session here. A client that goes away is the end
of the input: the session runs up to it, then finds that it can't be answered.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final, assert_never, cast

from aiosmtpd.smtp import SMTP

from relay.core.codebook import CodeEntry
from relay.core.settings import TlsMode
from relay.inbound import replies
from relay.inbound.conversation import AUTH_LINE, Conversation, Gone
from relay.inbound.dialog import Dialog
from relay.inbound.errands import (
    AcceptMessage,
    Authenticate,
    BeginTls,
    Errand,
    LetOthersRun,
    LibraryVerb,
)
from relay.inbound.incoming import ListenerKind
from relay.inbound.lines import ClientInput, Interrupted, LineTooLong
from relay.inbound.login import exchange
from relay.inbound.replies import LastWord
from relay.inbound.sasl import challenge
from relay.inbound.service import Service
from relay.inbound.session_log import SessionLog
from relay.inbound.watchdog import Watchdog
from relay.journal.api import JournalUnavailable
from relay.tls.starting import accept_tls

_log: Final = logging.getLogger("relay.inbound")

_LINGER_SECONDS: Final = 2.0
"""How long a closing connection may take to send what is left."""


class RelaySMTP(SMTP):
    """One session of one listener."""

    def __init__(self, service: Service, kind: ListenerKind) -> None:
        service.blueprint.construct(self)
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
        self._lost = asyncio.Event()
        self._talk = Conversation(
            service=service,
            dialog=self._dialog,
            record=self._record,
            client=self._input,
            gone=self._lost.is_set,
        )
        self._wire: asyncio.Transport
        self._lost_error: Exception | None = None
        self._shaking_hands = False
        self._choked = False
        self._parked: asyncio.Future[Errand | None] | None = None
        self._steps_seen = -1
        self._deadline = 0.0
        self._watchdog = Watchdog(self.loop, self._too_late)
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
        self._talk.gone = self._wire.is_closing
        self._service.joined(self, self._record.client)

    def data_received(self, data: bytes) -> None:
        """Keep what came in; the base class's stream reader is not used."""
        self._input.feed(data, self._wire)
        self._look()

    def eof_received(self) -> bool:
        """Let the session come to the end of its input; in clear it can still be answered."""
        self._input.end()
        self._look()
        return not self._record.encrypted

    def connection_lost(self, error: Exception | None) -> None:
        """Let the session find out by itself, where aiosmtpd would cancel it."""
        super(SMTP, self).connection_lost(error)
        self._lost_error = error
        self._lost.set()
        self._input.end()
        self._look()

    def pause_writing(self) -> None:
        """Carry out nothing more for a client that does not read its replies."""
        self._choked = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._choked = False
        super().resume_writing()

    def close_soon(self) -> None:
        """End the session at its next command, with 421; at once where TLS is only beginning."""
        self._input.interrupt()
        self._look()
        if self._shaking_hands:
            self._wire.abort()

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Start no timer: each reading has its own, and accepting a message has none."""

    # The session: its task from beginning to end.

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (Gone, EOFError, OSError):
            self._record.note("the client closed the connection")
        except asyncio.CancelledError:
            self._record.note("the session was cut off")
            self._cut_off()
            raise
        except Exception:
            _log.exception("inbound session %s broke", self._record.id)
        finally:
            await self._close()
            self._untie()

    def _untie(self) -> None:
        """Drop what leads back to this session, so that it is freed without a full collection.

        A full collection stops everybody for tens of milliseconds. What a late end of the
        connection would need stays.
        """
        self._client_connected_cb = None
        self._smtp_methods = {}
        del self._writer
        del self._watchdog

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
            self._talk.last(crowded)
        else:
            self._talk.say_lines(220, [f"{self.hostname} ESMTP"])
        while not self._talk.ended:
            errand = await self._next_errand()
            if errand is not None:
                await self._carry_out(errand)
        await self._flush()

    async def _close(self) -> None:
        self._watchdog.stop()
        self._talk.abandon()
        # Closed twice, a TLS transport of Python 3.11.2 can't be aborted any more.
        if not self._wire.is_closing():
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
        except JournalUnavailable as error:
            # What a full disk does to each session is no fault of ours that a traceback explains.
            _log.error("inbound session %s is not recorded: %s", self._record.id, error)
        except Exception:
            _log.exception("inbound session %s could not be recorded", self._record.id)

    # Between the client's octets and the task.

    async def _next_errand(self) -> Errand | None:
        """Let the conversation go on up to something that the task must do, or to its end."""
        while True:
            await self._flush()
            errand = self._advance(self.loop.time())
            if errand is not None or self._talk.ended:
                return errand
            self._write()
            if self._choked:
                continue
            if self._input.ended:
                raise EOFError
            # Nothing was awaited since the conversation came to a stand: no octet was missed.
            errand = await self._until_needed()
            if errand is not None:
                return errand

    async def _until_needed(self) -> Errand | None:
        self._parked = self.loop.create_future()
        self._watch(self.loop.time())
        try:
            return await self._parked
        finally:
            self._parked = None
            self._watchdog.calm()

    def _look(self) -> None:
        """Carry out what can be at once, if the task is waiting; wake it where it is needed."""
        parked = self._parked
        if parked is None or parked.done():
            return
        try:
            now = self.loop.time()
            errand = None if self._choked else self._advance(now)
        except Exception as error:
            parked.set_exception(error)
            return
        if errand is not None or self._choked or self._talk.ended or self._input.ended:
            parked.set_result(errand)
        else:
            self._write()
            self._watch(now)

    def _advance(self, now: float) -> Errand | None:
        if self._talk.ended:
            return None
        if self._talk.receiving is None:
            if self._input.interrupted:
                self._talk.last(replies.SHUTTING_DOWN)
            elif now >= self._must_end_at:
                self._talk.last(replies.TOO_LONG_SESSION)
        return self._talk.run()

    def _watch(self, now: float) -> None:
        """Give the client its time, anew with every command and not with every octet."""
        if self._steps_seen != self._talk.steps:
            self._steps_seen = self._talk.steps
            if self._talk.receiving is not None:
                self._deadline = now + self._limits.data_seconds
            else:
                self._deadline = min(now + self._limits.idle_seconds, self._must_end_at)
        self._watchdog.expect(self._deadline)

    def _too_late(self) -> None:
        if self._parked is None or self._parked.done():
            return
        too_old = self._talk.receiving is None and self.loop.time() >= self._must_end_at
        try:
            self._talk.last(replies.TOO_LONG_SESSION if too_old else replies.TIMED_OUT)
        except Gone as gone:
            self._parked.set_exception(gone)
        else:
            self._parked.set_result(None)

    def _write(self) -> None:
        if output := self._talk.output:
            self._talk.output = bytearray()
            self._wire.write(output)

    async def _flush(self) -> None:
        self._write()
        # Where neither holds, the writer would find out the same, and slowly.
        if self._choked or self._wire.is_closing():
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    await self._writer.drain()
            except TimeoutError:
                self._record.note("the client did not read its replies")
                self._wire.abort()
                raise Gone from None

    async def push(self, status: str | bytes) -> None:
        """Send a reply of the library's own."""
        text = status.decode() if isinstance(status, bytes) else status
        self._talk.reply(replies.with_enhanced(text))

    # Errands

    async def _carry_out(self, errand: Errand) -> None:
        try:
            match errand:
                case AcceptMessage():
                    await self._accept(errand)
                case BeginTls():
                    await self._flush()
                    await self._secure()
                case Authenticate(argument=argument):
                    await self._log_in(argument)
                case LibraryVerb(verb=verb, argument=argument):
                    await self._smtp_methods[verb](argument)
                case LetOthersRun():
                    await asyncio.sleep(0)
                case _:
                    assert_never(errand)
        except LastWord as last:
            self._talk.last(last.entry)
        except (Gone, EOFError, ConnectionError):
            raise
        except Exception:
            self._talk.reply(self._talk.local_error())

    async def _accept(self, errand: AcceptMessage) -> None:
        self._write()
        with errand.share:
            # Whatever is raised in there, a lost connection to somebody else too, is not the
            # client's.
            try:
                entry = await self._service.accept(errand.incoming)
            except Exception:
                entry = self._talk.local_error()
        try:
            self._talk.say(entry)
            await self._flush()
        except (Gone, ConnectionError):
            self._record.note(f"the client had gone before it could read: {entry}")
            raise

    async def _secure(self) -> None:
        # Nothing may be awaited between this and `accept_tls`: what comes later is the handshake's.
        early = bytearray()
        if self._kind is ListenerKind.SMTPS:
            # uvloop reads on where `connection_made` has paused the transport.
            early = self._input.some()
        else:
            self._record.discarded(self._input.discard())
        self._shaking_hands = True
        try:
            if self._input.ended:
                raise ConnectionResetError
            wire = await accept_tls(
                self._wire,
                self,
                self._service.server_context,
                early=early,
                handshake_seconds=self._limits.handshake_seconds,
            )
        except OSError as error:
            # asyncio tells a protocol nothing of a connection that was lost in the handshake.
            self._lost.set()
            self._record.handshake_failed(error)
            raise Gone from None
        finally:
            self._shaking_hands = False
        self._wire = wire
        self._talk.gone = wire.is_closing
        self._record.handshake_done(wire.get_extra_info("ssl_object"))
        self._dialog.secured()

    async def _log_in(self, argument: str) -> None:
        try:
            login = await exchange(argument, self._challenge)
        except LineTooLong:
            login = replies.EXCHANGE_TOO_LONG
        if isinstance(login, CodeEntry):
            self._talk.reply(login)
            return
        accept = self._service.credentials.accept
        if await asyncio.to_thread(accept, login.user, login.password):
            self._talk.say(self._dialog.logged_in(login.user))
        else:
            self._talk.say(self._dialog.login_failed())

    async def _challenge(self, text: str) -> str:
        self._talk.say_lines(334, [challenge(text)])
        await self._flush()
        line = await self._read_line()
        self._record.auth_response()
        return line.rstrip(b"\r\n").decode("ascii", "replace")

    async def _read_line(self) -> bytes:
        left = self._must_end_at - self.loop.time()
        if left <= 0:
            raise LastWord(replies.TOO_LONG_SESSION)
        idle = self._limits.idle_seconds
        try:
            async with asyncio.timeout(min(idle, left)):
                return await self._input.line(max(self._limits.command_line, AUTH_LINE))
        except TimeoutError:
            raise LastWord(replies.TIMED_OUT if idle < left else replies.TOO_LONG_SESSION) from None
        except Interrupted:
            raise LastWord(replies.SHUTTING_DOWN) from None

    def _set_rset_state(self) -> None:
        """Forget the message: what the base class does for RSET."""
        self._dialog.reset()
