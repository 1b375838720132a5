"""What comes back to one of our own reverse paths: read, counted as a bounce, never sent on.

RCPT    an address in the bounce domain that no message left with is refused, 550 5.1.1
data    kept as a message; each failure that it reports becomes a bounce of the message that it
        is about; the sender gets it as it came where the policy returns bounces
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from relay.core.addresses import Address, domain_of, parse_address
from relay.core.bounces import make_returned_bounce
from relay.core.codebook import CodeEntry
from relay.core.contacts import address_key
from relay.core.delivery import Policy
from relay.core.records import (
    Bounce,
    BounceAction,
    Envelope,
    MatchedRule,
    Notified,
    Reading,
    Returned,
)
from relay.core.replies import ReplyMode, StatusCode
from relay.core.tls_policy import strictest
from relay.core.verp import decode_verp, may_be_verp
from relay.engine.flags import Flags
from relay.formats.dsn_reading import ReportedRecipient, read_report
from relay.journal.api import (
    Batch,
    JournalError,
    JournalReader,
    MessageRecord,
    NewMessage,
    NotFound,
    RecipientState,
    RecipientUpdate,
)

log = logging.getLogger("relay.engine")

_UNKNOWN: Final = CodeEntry(StatusCode(550, "5.1.1"), "No message left with this reverse path")
_UNREADABLE: Final = CodeEntry(StatusCode(451, "4.3.0"), "The journal can not be read, try again")
_WORST_FIRST: Final = (Reading.FAILED, Reading.DELAYED, Reading.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedMail:
    """A message that came back: its envelope and content, and the messages that it is about.

    `originals` are by the recipient, one of our own reverse paths, that names each.
    """

    envelope: Envelope
    content: bytes
    originals: Mapping[str, MessageRecord]


class Returns:
    """Takes back what comes to the reverse paths that mail left with.

    `policy` gives the one in force.
    """

    def __init__(
        self,
        *,
        journal: JournalReader,
        flags: Flags,
        policy: Callable[[], Policy],
        new_id: Callable[[], str],
    ) -> None:
        self._journal = journal
        self._flags = flags
        self._policy = policy
        self._new_id = new_id

    def refusal(self, recipient: str) -> CodeEntry | None:
        """Return the reply to RCPT for a reverse path that nothing left with, else None."""
        domain = self._policy().salesforce.reverse_path_domain
        if domain is None:
            return None
        address = parse_address(recipient)
        if address.domain != domain or _is_postmaster(address):
            return None
        try:
            return _UNKNOWN if self.original(recipient) is None else None
        except JournalError:
            log.exception("a reverse path can't be looked up")
            return _UNREADABLE

    def original(self, recipient: str) -> MessageRecord | None:
        """Return the message that left with this reverse path; raise JournalError.

        The domain need not be the policy's any more: what left keeps its path.
        """
        path = decode_verp(parse_address(recipient))
        if path is None:
            return None
        try:
            record = self._journal.message(path.message_id, sessions=False)
        except NotFound:
            return None
        sent_from = record.envelope.sent_from
        if sent_from is None or address_key(sent_from) != address_key(recipient):
            return None
        return record

    def originals(self, recipients: Iterable[str]) -> dict[str, MessageRecord]:
        """Return, by our own reverse paths among recipients, which message left with each.

        Raises JournalError.
        """
        return {
            recipient: record
            for recipient in recipients
            if may_be_verp(recipient) and (record := self.original(recipient)) is not None
        }

    async def take(self, mail: ReturnedMail, *, at: datetime) -> Batch:
        """Return what the journal is to record; recipients that are none of ours are queued."""
        reports = await asyncio.to_thread(read_report, mail.content)
        returned: list[Returned] = []
        bounces: list[Bounce] = []
        forwarded: list[NewMessage] = []
        for recipient, original in mail.originals.items():
            about = list(_about(reports, original))
            readings = {report.reading for _, report in about}
            reading = next((r for r in _WORST_FIRST if r in readings), Reading.UNREADABLE)
            returned.append(
                Returned(message_id=original.envelope.id, recipient=recipient, reading=reading)
            )
            for whom, report in about:
                if report.reading is Reading.DELIVERED or self._counted(mail, original, whom):
                    continue
                bounces.append(self._bounce(mail, original, whom, report, at=at))
            if self._tells_sender(original.envelope):
                forwarded.append(self._forward(mail, original.envelope, at=at))
        return self._batch(mail, returned, bounces, forwarded, at=at)

    def _counted(self, mail: ReturnedMail, original: MessageRecord, recipient: str) -> bool:
        """Whether this notification, by its Message-ID, came before and was counted then."""
        header = mail.envelope.message_id_header
        if header is None:
            return False
        reports = (b.returned_in for b in original.bounces if b.recipient == recipient)
        return any(self._header_of(report) == header for report in reports if report is not None)

    def _header_of(self, message_id: str) -> str | None:
        try:
            return self._journal.message(message_id, sessions=False).envelope.message_id_header
        except NotFound:
            return None

    def _tells_sender(self, about: Envelope) -> bool:
        if about.copy_of is not None:
            return False
        management = self._policy().salesforce.bounces
        return management is None or management.return_to_sender

    def _told(self, about: Envelope) -> Notified:
        if self._tells_sender(about):
            return Notified.SENDER
        managed = self._policy().salesforce.bounces is not None
        return Notified.BOUNCE_MANAGEMENT if managed else Notified.NOBODY

    def _bounce(
        self,
        mail: ReturnedMail,
        original: MessageRecord,
        recipient: str,
        report: ReportedRecipient,
        *,
        at: datetime,
    ) -> Bounce:
        policy, about = self._policy(), original.envelope
        management = policy.salesforce.bounces
        tries = [a for a in original.attempts if a.tried(recipient) is not None]
        last = tries[-1] if tries else None
        domain = parse_address(recipient).domain
        way = policy.way(domain, sender=domain_of(about.reverse_path))
        return make_returned_bounce(
            bounce_id=self._new_id(),
            original=about,
            recipient=recipient,
            # A host may report sooner than its own reply to the data is recorded here.
            rule=last.rule if last else MatchedRule.of(way.tls),
            route=last.route if last else str(way.route.to),
            host=report.host or (last.hop.host if last and last.hop else None),
            session_id=last.session_id if last else None,
            attempts=len({a.round for a in tries}) or 1,
            status=report.status,
            text=report.text or "the notification has no words for it",
            action=(
                BounceAction.FAILED if report.reading is Reading.FAILED else BounceAction.DELAYED
            ),
            returned_in=mail.envelope.id,
            at=at,
            notified=self._told(about),
            management=management,
            earlier_soft=self._flags.earlier_soft(recipient, management),
        )

    def _forward(self, mail: ReturnedMail, about: Envelope, *, at: datetime) -> NewMessage:
        """Hand the message on to the sender as it came, under no weaker TLS than the original."""
        policy = self._policy()
        sender = domain_of(about.reverse_path)
        ways = [policy.way(parse_address(r).domain, sender=sender) for r in about.recipients]
        came = mail.envelope
        return NewMessage(
            envelope=Envelope(
                id=self._new_id(),
                reverse_path="",
                recipients=(about.reverse_path,),
                received_at=at,
                size=len(mail.content),
                sha256=hashlib.sha256(mail.content).hexdigest(),
                body=came.body,
                smtputf8=came.smtputf8 or parse_address(about.reverse_path).needs_smtputf8,
                reply_mode=ReplyMode.QUEUED,
                policy=policy.source,
                policy_sha256=policy.sha256,
                message_id_header=came.message_id_header,
                subject=came.subject,
                notification_for=about.id,
                protect_as=strictest([way.tls.policy.setting for way in ways]),
            ),
            content=mail.content,
            state=RecipientState.QUEUED,
            next_at=at,
        )

    def _batch(
        self,
        mail: ReturnedMail,
        returned: Sequence[Returned],
        bounces: Sequence[Bounce],
        forwarded: Sequence[NewMessage],
        *,
        at: datetime,
    ) -> Batch:
        envelope = replace(mail.envelope, reply_mode=ReplyMode.QUEUED, returned=tuple(returned))
        all_ours = len(mail.originals) == len(envelope.recipients)
        kept = NewMessage(
            envelope=envelope,
            content=mail.content,
            state=RecipientState.DELIVERED if all_ours else RecipientState.QUEUED,
            next_at=None if all_ours else at,
        )
        taken = tuple(
            RecipientUpdate(
                message_id=envelope.id,
                recipient=recipient,
                state=RecipientState.DELIVERED,
                next_at=None,
            )
            for recipient in mail.originals
        )
        return Batch(messages=(kept, *forwarded), bounces=tuple(bounces), updates=taken)


def _about(
    reports: Sequence[ReportedRecipient], original: MessageRecord
) -> Iterator[tuple[str, ReportedRecipient]]:
    """Find the recipients of a message that reports are about, the first report of each.

    A message with one recipient may have been forwarded, and the report name another address.
    """
    by_key = {address_key(recipient): recipient for recipient in original.envelope.recipients}
    only = original.envelope.recipients[0] if len(by_key) == 1 else None
    seen: set[str] = set()
    for report in reports:
        named = (by_key.get(address_key(address)) for address in report.addresses)
        recipient = next((found for found in named if found is not None), only)
        if recipient is not None and recipient not in seen:
            seen.add(recipient)
            yield recipient, report


def _is_postmaster(address: Address) -> bool:
    return address.local.lower() == "postmaster"
