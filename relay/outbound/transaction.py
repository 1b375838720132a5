"""One mail transaction in a session that the policy admitted.

Only an `Admitted` can say AUTH, MAIL, RCPT and DATA, and only a session's `admit` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.core.addresses import Domain, parse_address
from relay.core.content import ContentFacts
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
from relay.outbound.answers import Answer, failure_of
from relay.outbound.authentication import log_in
from relay.outbound.exchange import Exchange
from relay.outbound.preparation import Prepared, prepare
from relay.outbound.series import START_INPUT, Series, ends_session, positive


class Admitted:
    """A session in which one message to `recipient_domain` may be sent, under `verdict`.

    `setting` is what the verdict was given under.
    """

    def __init__(
        self, exchange: Exchange, verdict: Deliver, recipient_domain: Domain, setting: TlsSetting
    ) -> None:
        if verdict.protection is not Protection.CLEAR and not exchange.encrypted:
            raise ValueError("a session in clear text can not protect a message")
        self._exchange = exchange
        self._verdict = verdict
        self._recipient_domain = recipient_domain
        self._setting = setting
        self._used = False
        self._series: Series | None = None

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
        facts: ContentFacts | None = None,
    ) -> tuple[RecipientOutcome, ...]:
        """Send `content` to `recipients`; return an outcome for each, in their order.

        With `credentials`, log in first. Every octet of `content` goes out as it is (RFC 5321
        section 4.5.2 for dots); `facts` are of this content, None where nobody has looked for them.
        Never raises for what a peer does. ValueError: this was used
        before, a recipient belongs to another domain than the one that the session was admitted
        for, the session is logged in with other credentials, or there are credentials, and Required
        Verify has not verified the host.
        """
        if self._used:
            raise ValueError("a session is admitted for one message")
        if credentials is not None and not self._is_verified:
            raise ValueError("credentials are for a host that Required Verify has verified")
        if self._exchange.logged_in not in {None, credentials}:
            raise ValueError("the session is logged in for somebody else")
        self._used = True
        for recipient in recipients:
            if _domain_of(recipient) not in {None, self._recipient_domain}:
                raise ValueError(f"the session was not admitted for the domain of {recipient}")
        prepared = prepare(envelope, recipients, content, self._exchange.extensions, facts=facts)
        if isinstance(prepared, LocalRefusal):
            return _outcomes(recipients, {}, outcome_of(prepared))
        if credentials is not None and self._exchange.logged_in is None:
            failure = await log_in(self._exchange, credentials)
            if failure is not None:
                return _outcomes(recipients, {}, outcome_of(failure))
            self._exchange.logged_in = credentials
        return await self._transact(prepared, recipients)

    @property
    def _is_verified(self) -> bool:
        required = self._setting is TlsSetting.REQUIRED_VERIFY
        return required and self._verdict.protection is Protection.VERIFIED

    async def _transact(
        self, prepared: Prepared, recipients: Sequence[str]
    ) -> tuple[RecipientOutcome, ...]:
        outcomes: dict[str, Outcome] = {}
        for recipient, refusal in prepared.refused.items():
            outcomes[recipient] = outcome_of(refusal)
        if not prepared.forward_paths:
            return _outcomes(recipients, outcomes)
        series = Series(self._exchange, _commands(prepared))
        self._series = series
        answer = await series.answer()
        if not positive(answer):
            return self._end(answer, Stage.MAIL, recipients, outcomes)

        for recipient in prepared.forward_paths:
            answer = series.heard() or await series.answer()
            if positive(answer):
                continue
            if ends_session(answer):
                return self._end(answer, Stage.RCPT, recipients, outcomes)
            outcomes[recipient] = outcome_of(failure_of(answer, Stage.RCPT))
        if len(outcomes) == len(prepared.refused) + len(prepared.forward_paths):
            return _outcomes(recipients, outcomes)

        answer = series.heard() or await series.answer()
        if not (isinstance(answer, Reply) and answer.code == START_INPUT):
            return self._end(answer, Stage.DATA, recipients, outcomes)
        body = await self._exchange.body(
            prepared.stuffed, note=f"message content, {prepared.size} octets"
        )
        answer = body.answer
        if not body.sent:
            # Whatever the host says by now, it can't be about the whole message.
            self._exchange.abort()
            failure = failure_of(answer, Stage.BODY)
            return _outcomes(recipients, outcomes, outcome_of(failure))
        if not positive(answer):
            return self._end(answer, Stage.CONFIRMATION, recipients, outcomes)
        assert isinstance(answer, Reply)
        self._series = None
        delivered = Delivered(reply=answer, protection=self._verdict.protection, dsn=prepared.dsn)
        return _outcomes(recipients, outcomes, delivered)

    async def unwind(self) -> None:
        """Read what the host still owes, so that a farewell or another message may follow."""
        if self._series is not None:
            await self._series.unwind()

    @property
    def unfinished(self) -> bool:
        """Whether commands were sent that did not end in a message taken or refused as a whole."""
        return self._series is not None

    async def reset(self) -> None:
        """End what there is of a transaction, so that another message may follow."""
        await self.unwind()
        if self._series is not None and self._series.opened and self._exchange.idle:
            answer = await self._exchange.command(b"RSET")
            if not positive(answer):
                self._exchange.abort()
        self._series = None

    def _end(
        self,
        answer: Answer,
        stage: Stage,
        recipients: Sequence[str],
        outcomes: Mapping[str, Outcome],
    ) -> tuple[RecipientOutcome, ...]:
        """Give an unwelcome answer to all recipients that have no outcome yet."""
        if ends_session(answer) or positive(answer):
            self._exchange.abort()
        return _outcomes(recipients, outcomes, outcome_of(failure_of(answer, stage)))


def _commands(prepared: Prepared) -> list[bytes]:
    commands = [b" ".join((b"MAIL", prepared.reverse_path, *prepared.options))]
    for recipient, path in prepared.forward_paths.items():
        commands.append(b" ".join((b"RCPT", path, *prepared.recipient_options[recipient])))
    commands.append(b"DATA")
    return commands


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
