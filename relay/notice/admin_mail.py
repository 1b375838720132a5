"""Notices as mail to an administrator: queued by the relay like any other message.

It has the null reverse path, so that it never bounces (RFC 5321 section 4.5.5), and is marked as
automatic (RFC 3834 section 5).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from email import policy as email_policy
from email.message import EmailMessage
from email.utils import format_datetime

from relay.core.addresses import Address
from relay.core.clock import Clock
from relay.core.delivery import Policy
from relay.core.notices import Notice
from relay.core.records import BodyType, Envelope
from relay.core.replies import ReplyMode
from relay.journal.api import JournalError, NewMessage, RecipientState
from relay.notice.words import subject_of, text_of

log = logging.getLogger("relay.notice")


class AdminMail:
    """A channel of notices; `submit` takes a message into the queue, and may raise JournalError."""

    def __init__(
        self,
        *,
        to: Address,
        hostname: str,
        policy: Callable[[], Policy],
        submit: Callable[[NewMessage], Awaitable[None]],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._to = to
        self._hostname = hostname
        self._policy = policy
        self._submit = submit
        self._clock = clock
        self._new_id = new_id

    def __str__(self) -> str:
        return f"mail to {self._to}"

    async def deliver(self, notice: Notice) -> bool:
        """Queue the notice's mail; return whether the journal took it."""
        try:
            await self._submit(self.message(notice))
        except JournalError as error:
            log.error("%s: a notice about %s is lost: %s", self, notice.domain, error)
            return False
        return True

    def message(self, notice: Notice) -> NewMessage:
        """Return the notice as a message that is due at once."""
        at, message_id, policy = self._clock.now(), self._new_id(), self._policy()
        subject = subject_of(notice)
        content = self._content(notice, subject, message_id)
        return NewMessage(
            envelope=Envelope(
                id=message_id,
                reverse_path="",
                recipients=(str(self._to),),
                received_at=at,
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                body=BodyType.SEVEN_BIT if content.isascii() else BodyType.EIGHT_BIT,
                smtputf8=self._to.needs_smtputf8,
                reply_mode=ReplyMode.QUEUED,
                policy=policy.source,
                policy_sha256=policy.sha256,
                message_id_header=f"<{message_id}@{self._hostname}>",
                subject=subject,
                notification_for=notice.message_id,
            ),
            content=content,
            state=RecipientState.QUEUED,
            next_at=at,
        )

    def _content(self, notice: Notice, subject: str, message_id: str) -> bytes:
        mail = EmailMessage(policy=email_policy.SMTP.clone(utf8=self._to.needs_smtputf8))
        mail["From"] = f"Relaylab <MAILER-DAEMON@{self._hostname}>"
        mail["To"] = str(self._to)
        mail["Subject"] = subject
        mail["Date"] = format_datetime(self._clock.now())
        mail["Message-ID"] = f"<{message_id}@{self._hostname}>"
        mail["Auto-Submitted"] = "auto-generated"
        text = text_of(notice)
        mail.set_content(text, cte="7bit" if text.isascii() else "quoted-printable")
        return mail.as_bytes()
