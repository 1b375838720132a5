"""The state of an SMTP dialog and what each command may do in it, without any I/O.

    nothing said --EHLO--> greeted --MAIL--> message --RCPT--> message with recipients --DATA-->
         ^                    |  ^                                                         |
         '------STARTTLS------'  '------------------RSET, EHLO, end of data----------------'

A method takes a command's argument, changes the state and returns the reply; where the session
itself has work to do (DATA, AUTH, STARTTLS) it returns the refusal, or None to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.core.codebook import CodeEntry
from relay.core.content import ContentFacts
from relay.core.dsn import DsnRequest, RecipientRequest
from relay.inbound import replies
from relay.inbound.commands import Mail, parse_hello, parse_mail, parse_rcpt
from relay.inbound.incoming import Incoming, ListenerKind, RefuseRecipient, any_recipient
from relay.inbound.limits import InboundLimits
from relay.inbound.sasl import MECHANISMS

_NOTHING_ASKED: Final = DsnRequest()
_BEFORE_STARTTLS: Final = frozenset({"NOOP", "EHLO", "STARTTLS", "QUIT"})


class Dialog:
    """One session's dialog. `user` is who logged in, None before."""

    def __init__(
        self,
        *,
        kind: ListenerKind,
        hostname: str,
        limits: InboundLimits,
        refuse_recipient: RefuseRecipient = any_recipient,
    ) -> None:
        self._kind = kind
        self._refuse_recipient = refuse_recipient
        self._hostname = hostname
        self._limits = limits
        self._encrypted = False
        self._helo: str | None = None
        self._esmtp = False
        self._mail: Mail | None = None
        self._recipients: list[RecipientRequest] = []
        self._failed_logins = 0
        self.user: str | None = None

    @property
    def _offers_auth(self) -> bool:
        return self._kind is not ListenerKind.SMTP and self._encrypted

    def barred(self, verb: str) -> CodeEntry | None:
        """Return the refusal of a verb that a listener does not take before TLS (RFC 3207)."""
        clear_submission = self._kind is ListenerKind.SUBMISSION and not self._encrypted
        return replies.NEEDS_STARTTLS if clear_submission and verb not in _BEFORE_STARTTLS else None

    def hello(self, argument: str, *, esmtp: bool) -> list[str] | CodeEntry:
        """HELO or EHLO: return the lines of the 250, the extensions of this moment among them."""
        name = parse_hello(argument)
        if isinstance(name, CodeEntry):
            return name
        self.reset()
        self._helo, self._esmtp = name, esmtp
        if not esmtp:
            return [self._hostname]
        texts = [self._hostname, f"SIZE {self._limits.message_size}", "8BITMIME", "SMTPUTF8"]
        texts += ["PIPELINING", "ENHANCEDSTATUSCODES", "DSN"]
        if not self._encrypted:
            texts.append("STARTTLS")
        if self._offers_auth:
            texts.append(f"AUTH {' '.join(MECHANISMS)}")
        return texts

    def starttls(self, argument: str) -> CodeEntry | None:
        """STARTTLS: once in a session."""
        if argument:
            return replies.NO_PARAMETERS
        return replies.TLS_ACTIVE if self._encrypted else None

    def secured(self) -> None:
        """Forget all that was said in clear (RFC 3207 section 4.2)."""
        self._encrypted = True
        self._helo, self._esmtp = None, False
        self.reset()

    def auth(self) -> CodeEntry | None:
        """AUTH: over TLS alone, before any message (RFC 4954 section 4)."""
        if self._kind is ListenerKind.SMTP:
            return replies.NOT_IMPLEMENTED
        if not self._encrypted:
            return replies.AUTH_NEEDS_TLS
        if self._helo is None or not self._esmtp:
            return replies.NO_HELLO
        if self.user is not None:
            return replies.LOGGED_IN_ALREADY
        return replies.AUTH_AFTER_MAIL if self._mail else None

    def logged_in(self, user: str) -> CodeEntry:
        """Take a login that succeeded."""
        self.user = user
        return replies.LOGGED_IN

    def login_failed(self) -> CodeEntry:
        """Take a login that failed."""
        self._failed_logins += 1
        last = self._failed_logins >= self._limits.failed_logins
        return replies.TOO_MANY_LOGINS if last else replies.BAD_LOGIN

    def mail(self, argument: str) -> CodeEntry:
        """MAIL: begin a message."""
        if self._helo is None:
            return replies.NO_HELLO
        if self._kind is ListenerKind.SUBMISSION and self.user is None:
            return replies.NEEDS_AUTH
        if self._mail is not None:
            return replies.NESTED_MAIL
        mail = parse_mail(
            argument,
            size_limit=self._limits.message_size,
            esmtp=self._esmtp,
            auth_offered=self._offers_auth,
        )
        if isinstance(mail, CodeEntry):
            return mail
        self._mail = mail
        return replies.SENDER_OK

    def rcpt(self, argument: str) -> CodeEntry:
        """RCPT: one recipient more."""
        if self._mail is None:
            return replies.NO_MAIL
        recipient = parse_rcpt(
            argument, hostname=self._hostname, esmtp=self._esmtp, smtputf8=self._mail.smtputf8
        )
        if isinstance(recipient, CodeEntry):
            return recipient
        if len(self._recipients) >= self._limits.recipients:
            return replies.TOO_MANY_RECIPIENTS
        refusal = self._refuse_recipient(recipient.recipient)
        if refusal is not None:
            return refusal
        self._recipients.append(recipient)
        return replies.RECIPIENT_OK

    def data(self, argument: str) -> CodeEntry | None:
        """Let DATA pass for a message with a recipient."""
        if argument:
            return replies.NO_PARAMETERS
        if self._mail is None:
            return replies.NO_MAIL
        return None if self._recipients else replies.NO_RECIPIENT

    def message(
        self,
        content: bytes,
        *,
        facts: ContentFacts | None,
        peer: str,
        tls: str | None,
        session_id: str,
    ) -> Incoming:
        """Return the message of which `content` came, and be ready for the next one."""
        assert self._mail is not None
        assert self._helo is not None
        incoming = Incoming(
            reverse_path=self._mail.reverse_path,
            recipients=tuple(each.recipient for each in self._recipients),
            content=content,
            body=self._mail.body,
            smtputf8=self._mail.smtputf8,
            peer=peer,
            listener=self._kind,
            tls=tls,
            authenticated_as=self.user,
            helo=self._helo,
            esmtp=self._esmtp,
            session_id=session_id,
            dsn=_dsn_request(self._mail, self._recipients),
            facts=facts,
        )
        self.reset()
        return incoming

    def reset(self) -> None:
        """RSET: forget the message."""
        self._mail = None
        self._recipients = []


def _dsn_request(mail: Mail, recipients: Sequence[RecipientRequest]) -> DsnRequest:
    """Return what was asked; of a recipient that is named twice, what was asked first."""
    if (
        mail.ret is None
        and mail.envelope_id is None
        and all(each.notify is None and each.original is None for each in recipients)
    ):
        return _NOTHING_ASKED
    first: dict[str, RecipientRequest] = {}
    for request in recipients:
        first.setdefault(request.recipient, request)
    return DsnRequest(
        ret=mail.ret,
        envelope_id=mail.envelope_id,
        recipients=tuple(
            request
            for request in first.values()
            if request.notify is not None or request.original is not None
        ),
    )
