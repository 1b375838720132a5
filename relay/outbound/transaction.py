"""One mail transaction in a session that the policy admitted.

Only an `Admitted` can say AUTH, MAIL, RCPT and DATA, and only a session's `admit` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.core.addresses import Domain, parse_address
from relay.core.email_relays import Credentials
from relay.core.outcomes import (
    Delivered,
    LocalRefusal,
    Outcome,
    Stage,
    outcome_of,
)
from relay.core.records import Envelope, RecipientOutcome
from relay.core.replies import Reply
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver
from relay.outbound.answers import Answer, Broken, failure_of
from relay.outbound.authentication import log_in
from relay.outbound.client import CLOSING, Client
from relay.outbound.preparation import Prepared, prepare

_START_INPUT = 354


class Admitted:
    """A session in which one message to `recipient_domain` may be sent, under `verdict`.

    `setting` is what the verdict was given under.
    """

    def __init__(
        self, client: Client, verdict: Deliver, recipient_domain: Domain, setting: TlsSetting
    ) -> None:
        if verdict.protection is not Protection.CLEAR and not client.encrypted:
            raise ValueError("a session in clear text can not protect a message")
        self._client = client
        self._verdict = verdict
        self._recipient_domain = recipient_domain
        self._setting = setting
        self._used = False

    @property
    def verdict(self) -> Deliver:
        """What the policy decided."""
        return self._verdict

    async def send(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        content: bytes,
        *,
        credentials: Credentials | None = None,
    ) -> tuple[RecipientOutcome, ...]:
        """Send `content` to `recipients`; return an outcome for each, in their order.

        With `credentials`, log in first. Every octet of `content` goes out as it is (RFC 5321
        section 4.5.2 for dots). Never raises for what a peer does. ValueError: this was used
        before, a recipient belongs to another domain than the one that the session was admitted
        for, or there are credentials, and Required Verify has not verified the host.
        """
        if self._used:
            raise ValueError("a session is admitted for one message")
        if credentials is not None and not self._is_verified:
            raise ValueError("credentials are for a host that Required Verify has verified")
        self._used = True
        for recipient in recipients:
            if _domain_of(recipient) not in {None, self._recipient_domain}:
                raise ValueError(f"the session was not admitted for the domain of {recipient}")
        prepared = prepare(envelope, recipients, content, self._client.extensions)
        if isinstance(prepared, LocalRefusal):
            return _outcomes(recipients, {}, outcome_of(prepared))
        if credentials is not None:
            failure = await log_in(self._client, credentials)
            if failure is not None:
                return _outcomes(recipients, {}, outcome_of(failure))
        return await self._transact(prepared, recipients)

    @property
    def _is_verified(self) -> bool:
        required = self._setting is TlsSetting.REQUIRED_VERIFY
        return required and self._verdict.protection is Protection.VERIFIED

    async def _transact(
        self, prepared: Prepared, recipients: Sequence[str]
    ) -> tuple[RecipientOutcome, ...]:
        outcomes: dict[str, Outcome] = {
            recipient: outcome_of(refusal) for recipient, refusal in prepared.refused.items()
        }
        if not prepared.forward_paths:
            return _outcomes(recipients, outcomes)
        answer = await self._client.command(b"MAIL", prepared.reverse_path, *prepared.options)
        if not _positive(answer):
            return self._end(answer, Stage.MAIL, recipients, outcomes)

        for recipient, path in prepared.forward_paths.items():
            answer = await self._client.command(
                b"RCPT", path, *prepared.recipient_options[recipient]
            )
            if _positive(answer):
                continue
            if _ends_session(answer):
                return self._end(answer, Stage.RCPT, recipients, outcomes)
            outcomes[recipient] = outcome_of(failure_of(answer, Stage.RCPT))
        if all(recipient in outcomes for recipient in prepared.forward_paths):
            return _outcomes(recipients, outcomes)

        answer = await self._client.command(b"DATA")
        if not (isinstance(answer, Reply) and answer.code == _START_INPUT):
            return self._end(answer, Stage.DATA, recipients, outcomes)
        body = await self._client.body(
            prepared.stuffed, note=f"message content, {prepared.size} octets"
        )
        answer = body.answer
        if not body.sent:
            # Whatever the host says by now, it can't be about the whole message.
            self._client.abort()
            failure = failure_of(answer, Stage.BODY)
            return _outcomes(recipients, outcomes, outcome_of(failure))
        if not _positive(answer):
            return self._end(answer, Stage.CONFIRMATION, recipients, outcomes)
        assert isinstance(answer, Reply)
        delivered = Delivered(reply=answer, protection=self._verdict.protection, dsn=prepared.dsn)
        return _outcomes(recipients, outcomes, delivered)

    def _end(
        self,
        answer: Answer,
        stage: Stage,
        recipients: Sequence[str],
        outcomes: Mapping[str, Outcome],
    ) -> tuple[RecipientOutcome, ...]:
        """Give an unwelcome answer to all recipients that have no outcome yet."""
        if _ends_session(answer) or _positive(answer):
            self._client.abort()
        return _outcomes(recipients, outcomes, outcome_of(failure_of(answer, stage)))


def _positive(answer: Answer) -> bool:
    return isinstance(answer, Reply) and 200 <= answer.code < 300


def _ends_session(answer: Answer) -> bool:
    """Whether nothing sensible can follow: no reply, a closing one, or one out of place."""
    if isinstance(answer, Broken) or answer.code == CLOSING:
        return True
    return not (200 <= answer.code < 300 or 400 <= answer.code < 600)


def _outcomes(
    recipients: Sequence[str], decided: Mapping[str, Outcome], others: Outcome | None = None
) -> tuple[RecipientOutcome, ...]:
    """Return an outcome for each recipient: its own, or that of all `others`."""
    found = []
    for recipient in recipients:
        outcome = decided.get(recipient, others)
        assert outcome is not None
        found.append(RecipientOutcome(recipient=recipient, outcome=outcome))
    return tuple(found)


def _domain_of(recipient: str) -> Domain | None:
    try:
        return parse_address(recipient).domain
    except ValueError:
        return None
