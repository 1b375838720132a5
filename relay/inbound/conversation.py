"""One session's commands and replies, without any I/O: octets in, octets out, and errands.

    client's octets --> ClientInput --> Conversation.run() --> replies, as one write
                                             |  ^
                                   an errand v  | its outcome
                                     the session's task (TLS, AUTH, a message)

Commands are carried out in their order, one at a time: while an errand is done, nothing is read.
A group of commands that came together (PIPELINING, RFC 2920) is answered as if each had come alone,
only in one write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from relay.core.codebook import CodeEntry
from relay.inbound import replies
from relay.inbound.commands import Command, parse_command, remembered_command
from relay.inbound.content import ContentProblem
from relay.inbound.dialog import Dialog
from relay.inbound.errands import (
    LIBRARY_VERBS,
    AcceptMessage,
    Authenticate,
    BeginTls,
    Errand,
    LetOthersRun,
    LibraryVerb,
)
from relay.inbound.lines import ClientInput, EndlessLine, LineTooLong
from relay.inbound.reception import Receiving
from relay.inbound.replies import LastWord
from relay.inbound.service import Service
from relay.inbound.session_log import SessionLog

_log: Final = logging.getLogger("relay.inbound")

AUTH_LINE: Final = 12_288
"""Octets of a line of an AUTH exchange, RFC 4954 section 4."""
_OF_EVERY_MESSAGE: Final = frozenset({"RCPT", "DATA", "QUIT"})
"""Verbs that are no sign of a client that only passes the time."""
_AT_ONE_TIME: Final = 100
"""Commands of one client that are carried out before other sessions have their turn."""


class Gone(Exception):  # noqa: N818
    """The connection is no more."""


def _left_to_library(verb: str) -> Callable[[Conversation, str], Errand]:
    return lambda _, argument: LibraryVerb(verb, argument)


class Conversation:
    """What a client says and what it is answered.

    `gone` tells whether no reply can be sent any more: Gone is raised instead; it is set anew with
    each transport. `LIBRARY_VERBS` are left to aiosmtpd. `steps` counts what the client did,
    `ended` says that the last reply was given, `receiving` is there between 354 and the final dot,
    `output` holds the replies that are to be sent.
    """

    def __init__(
        self,
        *,
        service: Service,
        dialog: Dialog,
        record: SessionLog,
        client: ClientInput,
        gone: Callable[[], bool],
    ) -> None:
        self._service = service
        self._limits = service.limits
        self._dialog = dialog
        self._record = record
        self._client = client
        self.gone = gone
        self._line_limit = max(service.limits.command_line, AUTH_LINE)
        self.receiving: Receiving | None = None
        self.output = bytearray()
        self._bad_commands = 0
        self._commands_without_message = 0
        self.steps = 0
        self.ended = False

    def run(self) -> Errand | None:
        """Carry out what the client has sent; return what must be done first, None for nothing.

        Raises Gone.
        """
        for _ in range(_AT_ONE_TIME):
            if self.ended:
                return None
            errand: Errand | None = None
            try:
                if self.receiving is not None:
                    if not self._client.unread:
                        return None
                    errand = self._content(self.receiving)
                    if self.receiving is not None:
                        return None
                elif (line := self._client.next_line(self._line_limit)) is not None:
                    errand = self._command(line)
                else:
                    return None
            except EndlessLine:
                self._record.note("a line without an end was dropped")
                self.last(replies.LINE_TOO_LONG)
            except LineTooLong:
                self._record.note("a line that is too long was dropped")
                self.reply(replies.LINE_TOO_LONG)
            except LastWord as last:
                self.last(last.entry)
            self.steps += 1
            if errand is not None:
                return errand
        return LetOthersRun()

    def abandon(self) -> None:
        """Give back the memory of a message that does not come to its end."""
        if self.receiving is not None:
            self.receiving.share.give_back()
            self.receiving = None

    def local_error(self) -> CodeEntry:
        """Log the exception in hand under a reference; return the reply, which names that alone."""
        reference = self._service.new_id()
        _log.exception("inbound session %s broke, reference %s", self._record.id, reference)
        self._record.note(f"internal error, reference {reference}")
        return replies.local_error(reference)

    # Replies

    def reply(self, entry: CodeEntry) -> None:
        """Answer a command; one bad command too many ends the session."""
        if (line := replies.known_line(entry)) is not None:
            self._say_line(line)
            return
        if 500 <= entry.status.code <= 504:
            self._bad_commands += 1
            if self._bad_commands >= self._limits.bad_commands:
                entry = replies.TOO_MANY_ERRORS
        self.say(entry)

    def last(self, entry: CodeEntry) -> None:
        """Say the session's last word."""
        self.ended = True
        self.say(entry)

    def say(self, entry: CodeEntry) -> None:
        """Say something."""
        code = entry.status.code
        if code == 421:
            # RFC 5321 section 3.8: whoever says it closes the channel.
            self.ended = True
        line = replies.plain_line(entry)
        if line is None:
            self.say_lines(code, replies.reply_texts(entry))
        else:
            self._say_line(line)

    def _say_line(self, line: str) -> None:
        """Say a reply of one line of plain text, given with its code. Raises Gone."""
        if self.gone():
            raise Gone
        self.output += f"{line}\r\n".encode()
        self._record.plain_reply(line)

    def say_lines(self, code: int, texts: list[str]) -> None:
        """Say one reply of several lines, given without code and CRLF. Raises Gone."""
        if self.gone():
            raise Gone
        for text in texts[:-1]:
            self.output += f"{code}-{text}\r\n".encode()
        self.output += f"{code} {texts[-1]}\r\n".encode()
        self._record.reply(code, texts)

    # Commands

    def _command(self, line: bytes) -> Errand | None:
        command = remembered_command(line)
        if command is not None:
            self._record.command_of_message(command.text)
        else:
            read = parse_command(line)
            if isinstance(read, Command) and read.verb not in _VERBS:
                read = replies.UNKNOWN_COMMAND
            if isinstance(read, CodeEntry):
                self._record.not_a_command(line)
                self.reply(read)
                return None
            command = read
            self._record.command(command.text)
        _, verb, argument = command
        if refusal := self._refusal(verb, len(line)):
            self.reply(refusal)
            return None
        try:
            return _VERBS[verb](self, argument)
        except Gone:
            raise
        except Exception:
            self.reply(self.local_error())
            return None

    def _refusal(self, verb: str, octets: int) -> CodeEntry | None:
        if octets > self._limits.command_line and verb != "AUTH":
            return replies.LINE_TOO_LONG
        if verb not in _OF_EVERY_MESSAGE:
            self._commands_without_message += 1
            if self._commands_without_message > self._limits.commands_without_message:
                return replies.NO_PROGRESS
        return self._dialog.barred(verb)

    def _mail(self, argument: str) -> None:
        self.reply(self._dialog.mail(argument))

    def _rcpt(self, argument: str) -> None:
        self.reply(self._dialog.rcpt(argument))

    def _helo(self, argument: str) -> None:
        self._hello(argument, esmtp=False)

    def _ehlo(self, argument: str) -> None:
        self._hello(argument, esmtp=True)

    def _hello(self, argument: str, *, esmtp: bool) -> None:
        match self._dialog.hello(argument, esmtp=esmtp):
            case CodeEntry() as refusal:
                self.reply(refusal)
            case texts:
                self._record.extensions(texts)
                self.say_lines(250, texts)

    def _starttls(self, argument: str) -> Errand | None:
        """STARTTLS (RFC 3207): once, and everything said before it is forgotten."""
        if refusal := self._dialog.starttls(argument):
            self.reply(refusal)
            return None
        self.say(replies.READY_FOR_TLS)
        self._record.starttls(replies.READY_FOR_TLS)
        return BeginTls()

    def _auth(self, argument: str) -> Errand | None:
        """AUTH (RFC 4954): over TLS alone."""
        if refusal := self._dialog.auth():
            self.reply(refusal)
            return None
        return Authenticate(argument=argument)

    def _vrfy(self, _argument: str) -> None:
        # RFC 5321 section 3.5.3: neither confirmed nor denied.
        self.reply(replies.CANNOT_VERIFY)

    def _help(self, _argument: str) -> None:
        self.reply(replies.COMMANDS)

    def _quit(self, _argument: str) -> None:
        self.last(replies.BYE)

    def _data(self, argument: str) -> None:
        if refusal := self._dialog.data(argument):
            self.reply(refusal)
            return
        self._say_line("354 End data with <CR><LF>.<CR><LF>")
        self.receiving = Receiving(
            limits=self._limits,
            share=self._service.buffered.share(),
            bare_line_ends=self._service.bare_line_ends(),
        )

    def _content(self, receiving: Receiving) -> Errand | None:
        reception = receiving.take(self._client)
        if reception is None:
            return None
        self.receiving = None
        self._record.note(str(reception))
        if isinstance(reception.content, ContentProblem):
            receiving.share.give_back()
            self._dialog.reset()
            self.say(replies.CONTENT_PROBLEMS[reception.content])
            return None
        self._commands_without_message = 0
        incoming = self._dialog.message(
            reception.content,
            facts=reception.facts,
            peer=self._record.peer,
            tls=self._record.tls,
            session_id=self._record.id,
        )
        return AcceptMessage(incoming=incoming, share=receiving.share)


_VERBS: Final[Mapping[str, Callable[[Conversation, str], Errand | None]]] = {
    "HELO": Conversation._helo,
    "EHLO": Conversation._ehlo,
    "STARTTLS": Conversation._starttls,
    "AUTH": Conversation._auth,
    "MAIL": Conversation._mail,
    "RCPT": Conversation._rcpt,
    "DATA": Conversation._data,
    "VRFY": Conversation._vrfy,
    "HELP": Conversation._help,
    "QUIT": Conversation._quit,
} | {verb: _left_to_library(verb) for verb in LIBRARY_VERBS}
